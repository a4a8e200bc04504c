"""What a bit-serial tile grid is made of, and how it maps onto a layer's widths."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from accelsim.config.schema import Strict
from accelsim.engine import Word
from accelsim.engines.bitserial import grid as g
from accelsim.engines.bitserial.grid import Grid
from accelsim.mapping.loopnest import Tiling
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView

Kind = Literal["dadiannao", "stripes", "loom", "pragmatic", "laconic"]
TRIMS = ("stripes", "loom")
CHASES = ("pragmatic", "laconic")


class Params(Strict):
    """A grid of tiles, each of rows (filters) x columns (windows) x lanes (inputs of a dot product)."""

    machine: Kind = Field(description="what sets the length of a step")
    lanes: int = Field(16, ge=1, le=256, description="inputs of a dot product side by side")
    columns: int = Field(ge=1, le=256, description="windows side by side")
    rows: int = Field(ge=1, le=1024, description="filters side by side in a tile")
    tiles: int = Field(1, ge=1, le=256, description="tiles, which take different filters")
    pe_bits: int = Field(16, ge=1, le=16, description="widest operand of a lane; wider ones join columns or rows")
    activation_bits_per_cycle: int = Field(1, ge=1, le=16, description="activation bits a lane takes per cycle")
    trim: Literal["layer", "activations", "both"] = Field(
        "layer", description="a step lasts for the layer's widths, or for the widest operands in it"
    )
    shift_bits: int = Field(2, ge=0, le=4, description="pragmatic: reach of the first shifter, as a power of two")
    column_registers: int = Field(0, ge=0, le=256, description="pragmatic: steps that columns may run apart")
    recoding: Literal["none", "naf", "booth"] = Field("none", description="pragmatic, laconic: terms of operands")
    fc_columns: Literal["windows", "steps", "filters"] = Field(
        "windows", description="what columns take in layers of one output pixel: steps in turn, or more filters"
    )
    space_to_depth: bool = Field(False, description="strided layers of 3 channels turn the stride into channels")
    word_bits: int = Field(1, ge=1, le=32, description="narrowest word that memories store")
    input_kib: int = Field(ge=1, le=1 << 22, description="activation memory, both halves")
    weight_kib: int = Field(ge=1, le=1 << 22, description="weight memory, both halves")
    output_kib: int = Field(ge=1, le=1 << 22, description="output memory, both halves")

    @model_validator(mode="after")
    def _coherent(self) -> Params:
        needs = (
            (self.trim != "layer", "trim", TRIMS),
            (self.trim == "both", "trim: both", ("loom",)),
            (self.activation_bits_per_cycle > 1, "activation_bits_per_cycle", TRIMS),
            (self.column_registers > 0, "column_registers", ("pragmatic",)),
            (self.recoding != "none", "recoding", CHASES),
            (self.fc_columns == "filters", "fc_columns: filters", ("loom",)),
        )
        for used, what, machines in needs:
            if used and self.machine not in machines:
                raise ValueError(f"{what} means nothing to {self.machine}; it is for {' and '.join(machines)}")
        return self

    @property
    def units(self) -> int:
        """All lanes."""
        return self.lanes * self.columns * self.rows * self.tiles


class GridTiling(Tiling):
    """A tiling that keeps all input channels together, and what the columns of the grid take."""

    columns: Literal["windows", "steps", "filters"] = Field(
        "windows", description="what the columns work on: windows, steps of one window in turn, or more filters"
    )


def widest(params: Params) -> dict[str, Word]:
    """Return the widest activation and weight: of a lane, or of all columns or rows joined."""
    if params.machine not in TRIMS or params.trim != "layer":
        return dict.fromkeys(("input", "weight"), Word(params.pe_bits, "lanes"))
    joined = {"input": ("columns", params.columns), "weight": ("rows", params.rows)}
    return {role: Word(params.pe_bits * most, f"joined {what}") for role, (what, most) in joined.items()}


def unfit(view: LayerView, params: Params) -> str | None:
    """Return why the widths of a layer do not fit the grid, or None."""
    a, w = view.input.width, view.weight.width
    if a + w > 40:
        return (
            f"'{view.input.name}' of {a} and '{view.weight.name}' of {w} bits leave too little of a 64-bit sum; "
            "use at most 40 bits together"
        )
    return None


def grid_of(view: LayerView, params: Params, columns: str) -> Grid:
    """Return the grid as a layer's widths arrange it."""
    p, conv = params, view.conv
    a, w = view.input.width, view.weight.width
    join_a, join_w = g.blocks_of(a, p.pe_bits), g.blocks_of(w, p.pe_bits)
    joined, rows = p.columns // join_a, p.rows // join_w
    per_column = p.lanes * p.rows * p.tiles
    serial_a, serial_w = p.machine in ("stripes", "loom"), p.machine == "loom"
    mode = {"pragmatic": g.SHIFT, "laconic": g.PAIRS}.get(p.machine, g.FIXED if p.trim == "layer" else g.WIDTH)
    return Grid(
        lanes=p.lanes,
        columns=joined,
        filters=rows * p.tiles,
        column_units=per_column * join_a,
        spare_units=per_column * (p.columns - joined * join_a),
        blocks=join_a * join_w,
        depthwise=min(p.lanes, rows) * p.tiles if g.is_depthwise(conv) else 0,
        mode=mode,
        spread=g.SPREAD[columns],
        steps=g.steps_of(conv, p.lanes, p.space_to_depth),
        ta=ceil_div(min(a, p.pe_bits), p.activation_bits_per_cycle) if serial_a else 1,
        tw=min(w, p.pe_bits) if serial_w else 1,
        bits_per_cycle=p.activation_bits_per_cycle,
        trim_weights=int(p.trim == "both"),
        shift=1 << p.shift_bits,
        registers=p.column_registers,
    )
