"""The dataflow comparison of ISCA 2016: energy per operation of RS, WS, OSA, OSB, OSC and NLR at equal area.

Source: Chen, Emer, Sze, "Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for Convolutional
Neural Networks", ISCA 2016, with the formulas of the authors' released model. A replica: another model's
arithmetic, without cycles, values or energy of ours.
"""

from accelsim.replicas.isca16.area import buffer_bytes
from accelsim.replicas.isca16.flows import ENERGY, FLOWS
from accelsim.replicas.isca16.layers import BATCHES, CONV_LAYERS, FC_LAYERS, PES, Layer
from accelsim.replicas.isca16.study import LEVELS, StudyRow, best, study, totals

__all__ = [
    "BATCHES",
    "CONV_LAYERS",
    "ENERGY",
    "FC_LAYERS",
    "FLOWS",
    "LEVELS",
    "PES",
    "Layer",
    "StudyRow",
    "best",
    "buffer_bytes",
    "study",
    "totals",
]
