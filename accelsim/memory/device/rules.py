"""What the kernel asks of a channel, from a standard's data."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.config.dram.standard import Standard, bits
from accelsim.memory.device import kernel


def rules(standard: Standard) -> np.ndarray:
    """Return what the kernel asks of a channel, int64 (kernel.RULES,): minima in clocks and shape, no controller.

    Each minimum is a row of the table in docs/decisions/0084-dram-device.md.
    """
    t, o = standard.timing, standard.organisation
    ccd_same, wtr_same = t.ccd_same or t.ccd, t.wtr if t.wtr_same is None else t.wtr_same
    write = max(t.ccd_write or t.ccd, t.bl)
    to_read = t.cwl + t.bl + t.wtr
    to_write = t.rtw or t.cl + t.bl + 2 - t.cwl
    stacked = o.stack_ids > 1
    between = max(t.ccd_stack or t.ccd, t.bl) if stacked else t.bl + t.cs
    given: dict[str, Any] = {
        "RCD_RD": t.rcd,
        "RCD_WR": t.rcd if t.rcd_write is None else t.rcd_write,
        "RAS": t.ras,
        "RC": t.rc,
        "RP": t.rp,
        "RP_ALL": t.rp_all or t.rp,
        "RTP": t.rtp,
        "WR_PRE": t.cwl + t.bl + t.wr,
        "RD_RD": max(t.ccd, t.bl),
        "RD_RD_SAME": ccd_same,
        "WR_WR": write,
        "WR_WR_SAME": t.ccd_write_same or ccd_same,
        "WR_RD": to_read,
        "WR_RD_SAME": t.cwl + (t.bl_max or t.bl) + wtr_same,
        "RD_WR": to_write,
        "RRD": t.rrd,
        "RRD_SAME": t.rrd_same or t.rrd,
        "FAW": t.faw,
        "RFC": t.rfc,
        "REFI": t.refi,
        "PPD": t.ppd,
        "RD_RD_RANK": between,
        "RD_WR_RANK": to_write if stacked else max(between, t.cl + between - t.cwl),
        "WR_RD_RANK": to_read if stacked else t.cwl + between - t.cl,
        "WR_WR_RANK": between if stacked else t.bl,
        "CL": t.cl,
        "CWL": t.cwl,
        "BL": t.bl,
        "ACT_LATE": standard.commands.activate_clocks - 1,
        "TWO_BUSES": standard.commands.buses - 1,
        "GROUP_BITS": bits(o.banks_per_group),
        "RANK_BITS": bits(o.banks_per_group * o.bank_groups),
        "BUS_BITS": bits(o.banks // o.pseudo_channels),
    }
    found = np.zeros(kernel.RULES, dtype=np.int64)
    for name, value in given.items():
        found[getattr(kernel, name)] = value
    return found
