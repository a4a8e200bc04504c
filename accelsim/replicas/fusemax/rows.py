"""The artifact's rows: five designs, four models, six lengths, and the mean speed-ups that the abstract states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from accelsim.replicas.fusemax import designs
from accelsim.replicas.fusemax.designs import Attention, Cost

BATCH = 64
MODELS = {"BERT": (12, 64), "TrXL": (16, 64), "T5": (8, 64), "XLM": (16, 128)}
"""Heads and their width."""
LENGTHS = {"1K": 2**10, "4K": 2**12, "16K": 2**14, "64K": 2**16, "256K": 2**18, "1M": 2**20}
DESIGNS: dict[str, Callable[[Attention], Cost]] = {
    "unfused": designs.unfused,
    "flat": designs.flat,
    "cascade": designs.cascade,
    "arch": designs.architecture,
    "binding": designs.binding,
}
SPILLED = {"1K": 0, "4K": 2, "16K": 2, "64K": 2}
"""Of FLAT, by the artifact's table: n beside 256 that fit, a share of n / (256 + n); see `_attention`."""
XLM_SPILLED = {"1K": 0, "4K": 19, "16K": 7, "64K": 4}
XLM_KEPT = {"1K": "V", "4K": "V", "16K": "Q", "64K": "Q"}
FFN_WIDTHS = 4
"""Width of the feed-forward layers over the model's."""


@dataclass(frozen=True)
class Row:
    """A row of the artifact's results; ``energy_pj`` is None: it is Accelergy's, at 16 nm with LPDDR4."""

    design: str
    model: str
    B: int
    H: int
    E: int
    F: int
    M: int
    P: int
    latency_s: float
    traffic_bytes: float
    utilization_2d: float
    utilization_1d: float
    energy_pj: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return vars(self)


class Speedups(NamedTuple):
    """FuseMax over FLAT, means over the 24 pairs of model and length."""

    attention: float
    end_to_end: float


def rows() -> tuple[Row, ...]:
    """Return all 120 rows, each rounded once from exact fractions."""
    return tuple(_row(design, model, length) for design in DESIGNS for model in MODELS for length in LENGTHS)


def speedups() -> Speedups:
    """Return the arithmetic means; end to end adds the linear layers of an encoder to both."""
    attention, whole = [], []
    for model in MODELS:
        for length in LENGTHS:
            a = _attention(model, length)
            linear = _linear_s(a)
            theirs, ours = designs.flat(a).latency_s, designs.binding(a).latency_s
            attention.append(theirs / ours)
            whole.append((theirs + linear) / (ours + linear))
    return Speedups(float(sum(attention) / len(attention)), float(sum(whole) / len(whole)))


def figures() -> dict[str, float]:
    """Return the figures that `accelsim validate` judges: ``<design>.<model>.<length>.<key>``, and the speed-ups."""
    found: dict[str, float] = dict(speedups()._asdict())
    names = {value: name for name, value in LENGTHS.items()}
    for row in rows():
        for key in ("latency_s", "traffic_bytes", "utilization_2d", "utilization_1d"):
            found[f"{row.design}.{row.model}.{names[row.M]}.{key}"] = getattr(row, key)
    return found


def _row(design: str, model: str, length: str) -> Row:
    a = _attention(model, length)
    cost = DESIGNS[design](a)
    cycles = cost.latency_s * designs.HERTZ
    return Row(
        design, model, a.B, a.H, a.E, a.E, a.length, a.length, float(cost.latency_s), float(cost.traffic_bytes),
        float(cost.busy_2d / cycles), float(cost.busy_1d / cycles),
    )  # fmt: skip


def _attention(model: str, length: str) -> Attention:
    """Return the layer with FLAT's choices; the artifact's shares are printed as .0690909, .026615970, .015384615."""
    heads, width = MODELS[model]
    beside = (XLM_SPILLED if model == "XLM" else SPILLED).get(length, 0)
    kept = XLM_KEPT.get(length, "") if model == "XLM" else ""
    return Attention(BATCH, heads, width, LENGTHS[length], Fraction(beside, designs.SIDE + beside), kept)


def _linear_s(a: Attention) -> Fraction:
    """Return the seconds of an encoder's linear layers: four projections and two layers of four times the width.

    Each takes its MACs on all PEs, or its inputs and outputs through DRAM where that is longer: T5's projections.
    """
    tokens, width = a.B * a.length, a.H * a.E
    inner = FFN_WIDTHS * width
    total = Fraction(0)
    for c, k in (*[(width, width)] * 4, (width, inner), (inner, width)):
        cycles = Fraction(tokens * c * k, designs.SIDE**2)
        moved = tokens * (c + k) * designs.VALUE_BYTES
        total += max(cycles / designs.HERTZ, Fraction(moved) / designs.BYTES_PER_S)
    return total
