"""The schema of a sweep file: machines, networks, axes, constraints, sampling, objectives, options."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import log
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from accelsim.config.schema import Strict
from accelsim.config.yamlfile import Document, read, validate
from accelsim.errors import ConfigError
from accelsim.units import exact
from accelsim.workload.pattern import PatternText
from accelsim.workload.shapes import MAX_DIM
from accelsim.workload.sizes import check_sizes

MAX_AXIS = 100_000
"""An axis with more values than this is refused."""

Objective = Literal[
    "cycles", "time_s", "total_energy_pj", "edp_pj_s", "dram_bits", "area_mm2"
]  # fmt: skip
Number = Annotated[int | float, Field(ge=-1e18, le=1e18, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class RangeSpec(Strict):
    """Numbers from ``from`` to ``to``, both included where the steps meet ``to``: exactly one kind of step."""

    first: Number = Field(alias="from", description="first value")
    last: Number = Field(alias="to", description="largest value")
    step: Number | None = Field(None, gt=0, description="difference of neighbours")
    factor: Number | None = Field(None, gt=1, description="ratio of neighbours")
    count: int | None = Field(None, ge=2, le=MAX_AXIS, description="how many values, evenly spaced")
    log: bool = Field(False, description="with 'count': evenly spaced in the logarithm")

    @model_validator(mode="after")
    def _coherent(self) -> RangeSpec:
        if sum(part is not None for part in (self.step, self.factor, self.count)) != 1:
            raise ValueError("a range has one of 'step', 'factor' and 'count'; give exactly one of them")
        if self.last < self.first:
            raise ValueError(f"'to' {self.last} lies below 'from' {self.first}; exchange them")
        if (self.factor or self.log) and self.first <= 0:
            raise ValueError(f"'from' {self.first} has no logarithm; start above 0")
        if self.log and self.count is None:
            raise ValueError("'log' needs 'count'; write for example 'count: 5'")
        steps = 0.0
        if self.step:
            steps = (self.last - self.first) / self.step
        elif self.factor:
            steps = (log(self.last) - log(self.first)) / log(self.factor)
        if steps > MAX_AXIS:
            raise ValueError(f"the range has {steps:,.0f} values; use at most {MAX_AXIS:,}")
        return self

    def values(self) -> list[int | float]:
        """Return the values; steps and factors are taken as the decimal numbers that were written."""
        first, last = exact(self.first), exact(self.last)
        if self.count is not None:
            return self._counted(first, last)
        found, now = [], first
        while now <= last:
            found.append(_plain(now))
            now = now + exact(self.step) if self.step else now * exact(self.factor or 2)
        return found

    def _counted(self, first: Fraction, last: Fraction) -> list[int | float]:
        assert self.count is not None
        ends = self.count - 1
        if not self.log:
            return [_plain(first + (last - first) * i / ends) for i in range(self.count)]
        ratio = float(last) / float(first)
        inner = [_plain(exact(f"{float(first) * ratio ** (i / ends):.6g}")) for i in range(1, ends)]
        return [_plain(first), *inner, _plain(last)]


class ZipSpec(Strict):
    """Keys that change together: the first values of all, then the second ones, ..."""

    zip: dict[str, list[Any]] = Field(min_length=1)

    @model_validator(mode="after")
    def _even(self) -> ZipSpec:
        lengths = {key: len(values) for key, values in self.zip.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{key} has {n}" for key, n in lengths.items())
            raise ValueError(f"zipped lists differ in length: {said}; make them equally long")
        return self


class SamplingSpec(Strict):
    """Which points of the grid are taken: by default all."""

    method: Literal["grid", "random", "lhs"] = Field(
        "grid", description="all; drawn without repetition; Latin hypercube: every value of every axis equally often"
    )
    points: int | None = Field(None, ge=1, le=10_000_000, description="combinations of axis values to draw")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _coherent(self) -> SamplingSpec:
        if (self.method == "grid") != (self.points is None):
            raise ValueError("'points' goes with random and lhs, and they need it; add or remove it")
        return self


def _sizes(value: Any) -> tuple[tuple[str, int], ...]:
    """Return sizes as pairs in order of name: a value that can be a key."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError("sizes have names; write {seq: 128}")
    try:
        check_sizes(value)
    except ConfigError as error:
        raise ValueError(f"{error.key}: {error.problem}; {error.remedy}") from None
    return tuple(sorted(value.items()))


SizesSpec = Annotated[
    tuple[tuple[str, int], ...],
    BeforeValidator(_sizes),
    PlainSerializer(dict),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MAX_DIM}}),
]


class OptionsSpec(Strict):
    """How every point is simulated; an axis ``options.<key>`` varies one of them."""

    batch: int | None = Field(None, ge=1, description="images in all")
    dim: SizesSpec = Field((), description="sizes of dimensions that networks leave open: name -> size")
    layers: str = Field("*", description="pattern over layer names")
    seed: int = Field(0, description="of the synthetic operands")
    fidelity: Literal["closed", "cycle"] = "closed"
    weight_density: Share | None = Field(None, description="of the filters of all layers with MACs")
    input_density: Share | None = Field(None, description="of the first input of all layers with MACs")
    weight_pattern: PatternText | None = Field(None, description="where zeros of those filters fall")
    density: str | None = Field(None, description="profile of densities, YAML or CSV, beside the sweep file")
    precision: str | None = Field(None, description="profile of widths, YAML or CSV, beside the sweep file")


class SweepSpec(Strict):
    """A sweep."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    question: str = Field("", description="what the sweep is to answer")
    machines: list[str] = Field(min_length=1, description="packaged names, or paths beside the sweep file")
    networks: list[str] = Field(min_length=1, description="packaged names, or paths beside the sweep file")
    set: dict[str, Any] = Field(default_factory=dict, description="key path -> value for all machines")
    axes: dict[str, Any] = Field(default_factory=dict, description="key path -> list or range; name -> zip")
    constraints: list[str] = Field(default_factory=list, description="conditions that a point must meet")
    sampling: SamplingSpec = SamplingSpec()
    objectives: list[Objective] = Field(
        default_factory=lambda: list[Objective](("time_s", "total_energy_pj")),
        min_length=1,
        description="minimised by the front; time stands in place of cycles where clocks differ",
    )
    options: OptionsSpec = OptionsSpec()


class Axis(NamedTuple):
    """Keys that change together and their values, one tuple per step."""

    name: str
    keys: tuple[str, ...]
    steps: tuple[tuple[Any, ...], ...]


class Sweep(NamedTuple):
    """A sweep file, read and validated."""

    spec: SweepSpec
    axes: tuple[Axis, ...]
    document: Document
    folder: Path


def read_sweep(path: str | Path, sets: Mapping[str, Any] | None = None) -> Sweep:
    """Read a sweep file; ``sets`` are keys of all machines, in place of what the file sets.

    Raises
    ------
    ConfigError
        Whatever is wrong with the file, with line and key; a key of ``sets`` that an axis varies.
    """
    sweep = parse_sweep(read(Path(path)), Path(path).parent)
    for axis in sweep.axes:
        for key in axis.keys:
            for given in sets or {}:
                if key == given or key.startswith(f"{given}.") or given.startswith(f"{key}."):
                    problem = f"'{given}' is varied by axis '{axis.name}'"
                    raise sweep.document.error(("axes", axis.name), problem, "drop the axis or the option")
    spec = sweep.spec.model_copy(update={"set": {**sweep.spec.set, **(sets or {})}})
    return sweep._replace(spec=spec)


def parse_sweep(document: Document, folder: Path) -> Sweep:
    """Return the sweep that a document describes; relative paths in it start at ``folder``."""
    spec = validate(SweepSpec, document)
    axes = tuple(_axis(document, name, given) for name, given in spec.axes.items())
    taken: dict[str, str] = dict.fromkeys(spec.set, "set")
    for axis in axes:
        for key in axis.keys:
            if key in taken:
                raise document.error(("axes", axis.name), f"'{key}' is already set by '{taken[key]}'", "keep one")
            taken[key] = axis.name
    return Sweep(spec, axes, document, folder)


def _axis(document: Document, name: str, given: Any) -> Axis:
    path = ("axes", name)
    if isinstance(given, list):
        axis = Axis(name, (name,), tuple((value,) for value in given))
    elif isinstance(given, dict) and "zip" in given:
        columns = validate(ZipSpec, document, path).zip
        axis = Axis(name, tuple(columns), tuple(zip(*columns.values(), strict=True)))
    elif isinstance(given, dict):
        axis = Axis(name, (name,), tuple((value,) for value in validate(RangeSpec, document, path).values()))
    else:
        raise document.error(path, "an axis is a list, a range or a zip", "write [1, 2] or {from: 1, to: 8, factor: 2}")
    if not axis.steps:
        raise document.error(path, "the axis has no values", "list at least one")
    seen: set[str] = set()
    for step in axis.steps:
        if repr(step) in seen:
            raise document.error(path, f"{step[0] if len(step) == 1 else step} comes twice", "keep one")
        seen.add(repr(step))
    return axis


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
