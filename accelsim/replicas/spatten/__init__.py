"""SpAtten's released models: the BERT simulator, the top-k engine's rounds, and the steady state of a GPT-2 trace.

Source: H. Wang, Z. Zhang and S. Han, "SpAtten: Efficient Sparse Attention Architecture with Cascade Token and Head
Pruning", HPCA 2021; mit-han-lab/spatten, spatten_hardware (simulator/src/bert.cpp, hardware/workloads).
"""
