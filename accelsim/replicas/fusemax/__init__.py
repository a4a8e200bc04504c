"""The released model of FuseMax and of the designs it compares: fused attention beside unfused, in exact fractions.

Source: N. Nayak et al., "FuseMax: Leveraging Extended Einsums to Optimize Attention Accelerator Design", MICRO 2024;
artifact FPSG-UIUC/micro24-fusemax-artifact. Its time, traffic and utilisation; its energy is Accelergy's and not here.
"""

from accelsim.replicas.fusemax.rows import DESIGNS, LENGTHS, MODELS, Row, Speedups, figures, rows, speedups

__all__ = ["DESIGNS", "LENGTHS", "MODELS", "Row", "Speedups", "figures", "rows", "speedups"]
