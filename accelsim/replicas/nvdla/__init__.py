"""The performance workbook of NVDLA's open hardware repository, with its own inconsistencies.

Source: nvdla/hw 8e06b1b, perf/NVDLA_OpenSource_Performance.xlsx; the layer tables beside this file are its inputs.
"""

from accelsim.replicas.nvdla.workbook import NETWORKS, Row, Totals, network

__all__ = ["NETWORKS", "Row", "Totals", "network"]
