"""SCALE-Sim 3.0.0, digit for digit: its readers, its three reports, its bugs included.

SCALE-Sim (scalesim-project/SCALE-Sim, package ``scalesim`` 3.0.0) is a systolic-array simulator. Its reports
follow from closed forms for the array and from small state machines for the three buffers, which are stated
again here so that its users can compare. Nothing here is accelsim's own model of a systolic array.

Replicated: CALC and USER mode, os/ws/is, convolution and GEMM topologies, layer-wise and row-wise N:M
sparsity. Not replicated: custom data layouts, Ramulator traces, trace files; where SCALE-Sim stops with a
traceback, an error says why. Utilisation averages are added one by one, as Python up to 3.11 does (from 3.12
on, SCALE-Sim's last digit differs).
"""

from accelsim.config.scalesim.cells import Note
from accelsim.config.scalesim.config import Config, read_config
from accelsim.workload.scalesim.topology import Topology, TopologyRow, read_topology

from .reports import ClosedRow, ReportRow, write_reports
from .simulate import closed, run

__all__ = [
    "ClosedRow",
    "Config",
    "Note",
    "ReportRow",
    "Topology",
    "TopologyRow",
    "closed",
    "read_config",
    "read_topology",
    "run",
    "write_reports",
]
