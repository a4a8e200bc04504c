"""The released performance models of BitFusion (2018) and of ANT (2022), its descendant, digit for digit.

Source: H. Sharma et al., "Bit Fusion: Bit-Level Dynamically Composable Architecture for Accelerating Deep Neural
Networks", ISCA 2018, released as ``hsharma35/bitfusion``; C. Guo et al., "ANT: Exploiting Adaptive Numerical
Data Type for Low-bit Deep Neural Network Quantization", MICRO 2022, released as ``clevercool/ANT-Quantization``.

These are other simulators' rules, oddities included: pure functions from a network and a machine to that
simulator's own columns. They say nothing about an engine of accelsim.

Reading order: ``values`` (what goes in and comes out), ``model`` (BitFusion's rules), ``ant`` (ANT's),
``search`` with ``kernel`` (every tiling and loop order of a layer, shared by both), ``reference`` (both again in
plain Python, one tile at a time), ``baseline`` (the published ratios), ``networks`` and ``reading`` (YAML).

Glossary: B batch, O output side (OW = OH), IC and OC input and output channels, K kernel side, S stride;
lower case is the tile (b, ow, oh, ic, oc). N rows and M columns of the array. IBUF, WBUF and OBUF hold
activations, weights and outputs. PF: products per fusion unit and cycle.
"""
