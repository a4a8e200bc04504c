"""Tables of cycles that RTL took, against this build: a row per run, columns as in the packaged tables.

A table is known by its columns: convolutions of NVDLA, its post-processing, two of its layers one behind the other, or
products of an output-stationary systolic array.
"""

from __future__ import annotations

import csv
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from statistics import mean, median
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from accelsim.config.arch import Arch
from accelsim.engines import registry
from accelsim.errors import ConfigError, UserError
from accelsim.layer import machine_view
from accelsim.operands import handle
from accelsim.simulation import load_arch
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Elementwise, Matmul, Normalization, Pool, Shape

FOLDER = Path(__file__).parent / "tables"

SIZES = ("W", "H", "C", "S", "R", "sx", "sy", "pl", "pr", "pt", "pb")
BENCH = ("design", "memory", "latency", "rd_bytes_per_cycle", "model")
COLUMNS = {
    "conv": ("layer", "kind", *BENCH, *SIZES, "K", "dx", "dy", "data_banks", "weight_banks", "cycles"),
    "post": ("layer", "kind", *BENCH, *SIZES, "method", "flying", "split_w", "lrn_len", "cycles"),
    "pairs": ("case", "memory", "layer1", "banks1", "layer2", "banks2", "done1", "done2"),
    "axis": ("R", "C", "K", "products", "output_ready", "cycles"),
}
"""Columns of each kind of table."""
MARKS = {"axis": "products", "pairs": "layer1", "post": "lrn_len", "conv": "K"}
"""The column by which a kind is known."""
CAUSES = ("mac", "stripe_floor", "drain_credit", "weight_wait", "load_wait", "fill", "end")
"""Of our cycles, as the engine's details name them."""
STOCK = {"params.request_cycles": 28, "params.end_cycles": 22}
"""What the testbench of the repository adds and takes, beside its latency and rate."""
STOCK_MEMORY = {"latency": "31", "rd_bytes_per_cycle": "4", "model": "stock", "design": "nv_small"}


class Point(NamedTuple):
    """One row: cycles of the RTL and ours; ours None where the row is out of what is modelled, for ``reason``.

    ``compute`` says whether the cycles from the first product on are the same; None where the table has none. Of a
    convolution, ``causes`` are our cycles by cause, and ``workbook`` those of the performance workbook's rules.
    """

    row: dict[str, str]
    cycles: int
    ours: int | None
    reason: str = ""
    compute: bool | None = None
    causes: Mapping[str, int] = MappingProxyType({})
    workbook: float = 0.0

    @property
    def error(self) -> float:
        """Relative error."""
        assert self.ours is not None
        return (self.ours - self.cycles) / self.cycles

    @property
    def group(self) -> str:
        """Design, memory and kind of the row."""
        named = [self.row.get(key, "") for key in ("design", "memory", "kind")]
        return " ".join(filter(None, named)) or "axis-systolic-array"

    @property
    def name(self) -> str:
        """How the row is called."""
        named = self.row.get("layer") or self.row.get("case")
        return named or "R{R} C{C} K{K} x {products}".format(**self.row)


class Summary(NamedTuple):
    """Errors over points, as fractions."""

    points: int
    mean_abs_error: float
    median_abs_error: float
    worst_abs_error: float
    compute_exact: int

    @classmethod
    def of(cls, points: Iterable[Point]) -> Summary:
        """Return the errors of the points that are modelled."""
        counted = [point for point in points if point.ours is not None]
        errors = [abs(point.error) for point in counted] or [0.0]
        exact = sum(point.compute is True for point in counted)
        return cls(len(counted), mean(errors), median(errors), max(errors), exact)


def measured(path: Path, shown: str | None = None) -> list[Point]:
    """Return the points of a table.

    Raises
    ------
    ConfigError
        A file that cannot be read, a table that lacks columns, a cell that is no number.
    """
    name = shown or str(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, {k: v or "" for k, v in row.items() if k}) for row in reader]
            header = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ConfigError(f"no table can be read here ({type(error).__name__})", "check the path", file=name) from None
    kind = next((kind for kind, mark in MARKS.items() if mark in header), "conv")
    if missing := [column for column in COLUMNS[kind] if column not in header]:
        columns = ", ".join(f"'{column}'" for column in missing)
        raise ConfigError(
            f"the table lacks {columns}", f"columns of its kind ({kind}): {' '.join(COLUMNS[kind])}", file=name, line=1
        )
    points = []
    for line, row in rows:
        try:
            points.append(_POINTS[kind](row))
        except _CellError as cell:
            raise ConfigError(str(cell), "give a whole number", file=name, line=line, key=cell.column) from None
        except UserError as error:
            raise ConfigError(error.problem, error.remedy, file=name, line=line) from None
    return points


@cache
def packaged(name: str) -> tuple[Point, ...]:
    """Return the points of a packaged table."""
    return tuple(measured(FOLDER / name, f"validate/tables/{name}"))


def chosen(points: Iterable[Point], where: Mapping[str, str], unless: Mapping[str, str]) -> list[Point]:
    """Return the points whose cells match all patterns of ``where`` and none of ``unless``."""

    def fits(point: Point, patterns: Mapping[str, str]) -> list[bool]:
        return [fnmatch.fnmatch(point.row.get(key, ""), text) for key, text in patterns.items()]

    return [point for point in points if all(fits(point, where)) and not any(fits(point, unless))]


class _CellError(Exception):
    def __init__(self, column: str, text: str) -> None:
        super().__init__(f"'{text}' is no whole number")
        self.column = column


def _int(row: Mapping[str, str], column: str, default: int | None = None) -> int:
    text = row[column].strip()
    if not text and default is not None:
        return default
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise _CellError(column, text)
    return int(text)


@cache
def _machine(design: str, model: str, latency: int, bytes_per_cycle: int) -> Arch:
    """Return the machine of a design on a bench; at 1 GHz a byte per cycle is 1 GB/s and a cycle 1 ns."""
    names = {"nv_small_256": "nvdla_small_256", "nv_small": "nvdla_small", "nv_full": "nvdla_full"}
    name = next((name for key, name in names.items() if design.split(" ")[0] == key), None)
    if name is None:
        raise ConfigError(f"no machine stands for design '{design}'", f"designs: {', '.join(names)}")
    arch = load_arch(name)
    sets: dict[str, Any] = {"memory.dram.gb_per_s": bytes_per_cycle, "memory.dram.latency_ns": latency}
    if model == "stock" and name != "nvdla_full":  # whose numbers were taken under that memory
        sets |= STOCK
    for key, value in sets.items():
        arch = arch.replace(key, value)
    return arch


def _bench(row: Mapping[str, str]) -> Arch:
    return _machine(row["design"], row["model"], _int(row, "latency"), _int(row, "rd_bytes_per_cycle"))


def _view(shape: Shape, bits: int = 8) -> LayerView:
    inputs = tuple(Tensor(f"input{i}", dims, bits) for i, dims in enumerate(shape.input_shapes))
    filters = getattr(shape, "weight_shape", None)
    weights = (Tensor("weight", filters, bits, weight=True),) if filters else ()
    return LayerView("row", shape, inputs, weights, (Tensor("output", shape.output_shape, bits),))


def _run(arch: Arch, view: LayerView, mapping: Mapping[str, Any]) -> Any:
    unit = arch.units[0]
    engine = registry.get(unit.engine)
    chosen = engine.mapping_schema.model_validate(dict(mapping))
    activity = engine.run(engine.plan(view, handle.of(view), unit.params, chosen, machine_view(arch)))
    activity.check(engine.units(unit.params))
    return activity


def _conv(row: dict[str, str]) -> Point:
    sizes = {key: _int(row, key) for key in (*SIZES, "K", "dx", "dy")}
    conv = Conv2d(
        1, sizes["C"], sizes["K"], sizes["H"], sizes["W"], sizes["R"], sizes["S"], 1, (sizes["sy"], sizes["sx"]),
        (sizes["pt"], sizes["pl"], sizes["pb"], sizes["pr"]), (sizes["dy"], sizes["dx"]),
    )  # fmt: skip
    mapping = {"data_banks": _int(row, "data_banks"), "weight_banks": _int(row, "weight_banks"), "bands": 1}
    bits = 16 if "int16" in row["kind"] else 8
    mapping["image"] = "image" in row["kind"]
    activity = _run(_bench(row), _view(conv, bits), mapping)
    cycles, first, compute = _int(row, "cycles"), row.get("first_mac", ""), None
    if first:
        compute = cycles - _int(row, "first_mac") == activity.compute_cycles - activity.details["first_mac"]
    causes = {name: activity.details[f"{name}_cycles"] for name in CAUSES}
    return Point(row, cycles, activity.compute_cycles, "", compute, causes, _by_workbook(row, conv))


def _by_workbook(row: Mapping[str, str], conv: Conv2d) -> float:
    """Return the larger of MAC cycles and traffic by the workbook's rules, with the design's sizes and no Winograd."""
    from accelsim.replicas.nvdla.workbook import MULTIPLIERS, Layer

    params: Any = _bench(row).units[0].params
    layer = Layer("", "conv", conv.c, conv.h, conv.w, conv.k, conv.r, conv.s, any(conv.pad), *conv.stride, (0,) * 4)
    macs = layer.mac_cycles(params.kernels) * MULTIPLIERS / params.multipliers
    macs *= Fraction(9, 4) if conv.r == conv.s == 3 else 1
    kib = layer.input_kb() + layer.weight_kb(conv.k) + layer.output_kb
    return float(max(macs, kib * 1024 / _int(row, "rd_bytes_per_cycle")))


def _post(row: dict[str, str]) -> Point:
    w, h, c = (_int(row, key) for key in "WHC")
    dims, mapping = (1, c, h, w), {}
    shape: Shape = Elementwise("copy", dims)
    if "PDP" in row["kind"]:
        pads = tuple(_int(row, key) for key in ("pt", "pl", "pb", "pr"))
        stride, op = (_int(row, "sy"), _int(row, "sx")), row["method"]
        shape = Pool(op, 1, c, h, w, _int(row, "R"), _int(row, "S"), stride, pads)  # type: ignore[arg-type]
        mapping = {"strips": _int(row, "split_w", 1), "flying": row["flying"] == "1"}
    elif row["kind"] == "CDP":
        shape = Normalization("lrn", dims, _int(row, "lrn_len"))
    return Point(row, _int(row, "cycles"), _run(_bench(row), _view(shape), mapping).compute_cycles)


def _pair(row: dict[str, str]) -> Point:
    """Run one layer, or two of which the second is enabled while the first runs."""
    from accelsim.engines.nvdla import kernel
    from accelsim.engines.nvdla.params import Mapping as Banks
    from accelsim.engines.nvdla.plan import walked, work_of

    if row["memory"] != "stock":
        return Point(row, _int(row, "done1"), None, "a bench that the table does not describe")
    arch = _bench(STOCK_MEMORY)
    params: Any = arch.units[0].params
    dram = machine_view(arch).dram
    works = []
    for number in ("1", "2"):
        if not row[f"layer{number}"]:
            continue
        found = re.fullmatch(r"(\d+)x(\d+)x(\d+)_(\d+)x(\d+)x(\d+)_pad(\d+)", row[f"layer{number}"])
        banks = re.fullmatch(r"(\d+)\+(\d+)", row[f"banks{number}"])
        if found is None or banks is None:
            raise ConfigError(
                f"'{row[f'layer{number}']}' on '{row[f'banks{number}']}' is no layer", "write WxHxC_SxRxK_padP and D+W"
            )
        w, h, c, s, r, k, pad = map(int, found.groups())
        conv = Conv2d(1, c, k, h, w, r, s, pad=(pad,) * 4)
        split = Banks(data_banks=int(banks[1]), weight_banks=int(banks[2]), bands=1)
        works.append(work_of(_view(conv), params, split, dram))
    layers = np.concatenate([work.layers for work in works])
    layers[1:, kernel.SAME_SPLIT] = [int(work.split == works[0].split) for work in works[1:]]
    _, ends = walked(works[0]._replace(layers=layers))
    return Point(row, _int(row, "done2" if len(works) > 1 else "done1"), int(ends[-1, 2]))


def _axis(row: dict[str, str]) -> Point:
    r, c, k, products = (_int(row, key) for key in ("R", "C", "K", "products"))
    cycles = _int(row, "cycles")
    if row["output_ready"] != "always":
        return Point(row, cycles, None, "outputs that must wait are not modelled")
    arch = load_arch("axis_systolic").replace("params.rows", r).replace("params.cols", c)
    view = _view(Matmul(products, r, c, k))
    tiling = {"groups": products, "n": r, "e": 1, "f": 1, "k": c, "c": k, "order": "mkc"}
    return Point(row, cycles, _run(arch, view, tiling).compute_cycles)


_POINTS: dict[str, Callable[[dict[str, str]], Point]] = {"conv": _conv, "post": _post, "pairs": _pair, "axis": _axis}
