"""Published and derived figures, one entry each, packaged with the engine that they judge."""

from __future__ import annotations

import importlib.util
import json
import shlex
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from accelsim import passes, replicas
from accelsim.config import packaged
from accelsim.config.schema import Positive, Strict
from accelsim.config.yamlfile import read, validate
from accelsim.engines import registry
from accelsim.errors import ConfigError
from accelsim.memory import device
from accelsim.validate import commands

Kind = Literal["exact", "within", "range", "known_gap", "reported"]
Origin = Literal["hand-derived", "published", "peer", "published (recalled)", "fitted", "RTL"]
"""``fitted``: published, but a rule of ours was selected because it gives this figure; ``RTL``: a hardware description,
simulated cycle by cycle."""
Class = Literal[
    "identity", "peer formula", "fitted input", "average of other networks", "comparable", "not comparable", "RTL"
]
"""What an agreement proves. ``identity``: arithmetic that any machine of these sizes fulfils (peaks, bounds, small
cases by hand); ``peer formula``: another simulator's or a paper's own formula at the same inputs; ``fitted input``:
what is compared, or an input that gives it, was chosen because of this figure; ``average of other networks``: a mean
over work of which ours is a part at most; ``not comparable``: of another input, a bound, or of a definition nobody
states; ``comparable``: the same work on the published machine."""
CLASSES: tuple[Class, ...] = get_args(Class)
_IMPLIED: dict[Origin, Class] = {
    "hand-derived": "identity", "peer": "peer formula", "fitted": "fitted input", "RTL": "RTL",
}  # fmt: skip
Metric = Literal["cycles", "traffic", "power", "area", "energy ratio", "other"]
METRICS: tuple[Metric, ...] = get_args(Metric)
_NO_OPTIONS = {"interval"}
"""Arguments of replicas' figures that no command takes."""
_WORDS: tuple[tuple[Metric, str], ...] = (
    ("power", "_mw"), ("power", ".mw."), ("area", "mm2"), ("energy ratio", "_pj"), ("traffic", "bits"),
    ("traffic", "bytes"), ("traffic", "traffic."), ("other", "mapping"), ("cycles", "cycles"), ("cycles", "time_s"),
    ("cycles", "tops"), ("cycles", "occupancy"), ("cycles", "utilization"), ("cycles", "active_pes"),
)  # fmt: skip
"""The first of these whose word is in a quantity says what kind it is."""


class Number(NamedTuple):
    """What tells one published number from another, in whatever rows it stands."""

    engine: str
    source: str
    expected: float
    metric: Metric
    part: str


class Figure(Strict):
    """One figure and what is said of it."""

    case: str = Field(min_length=1, description="what is compared, in a few words")
    quantity: str = Field(description="key of the layer in the report, or totals.<key>; see `ours`")
    expected: float
    unit: str = ""
    kind: Kind
    tolerance: float = Field(0.0, ge=0, description="largest relative error; of a known gap, how far it may grow")
    gap: float | None = Field(None, description="of a known gap: the relative error as it stood when it was stated")
    range: tuple[float, float] | None = Field(
        None, strict=False, description="of kind range: least and largest published figure, of which ours is one more"
    )
    origin: Origin
    class_: Class | None = Field(
        None, alias="class", description="what an agreement proves; needed if published, else it follows from 'origin'"
    )
    source: str = Field(min_length=1, description="author, venue, year, table; or the derivation")
    why: str = Field("", description="reason of the band, or of the gap")

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.kind == "exact" and self.tolerance:
            raise ValueError("an exact case has no tolerance; remove it")
        if self.kind in ("within", "known_gap") and not (self.tolerance and self.why):
            raise ValueError(f"a case of kind {self.kind} needs a tolerance and a reason; add 'tolerance' and 'why'")
        if (self.kind == "known_gap") != (self.gap is not None):
            raise ValueError("a known gap, and nothing else, states its 'gap'; add or remove it")
        if (self.kind == "range") != (self.range is not None) or (self.kind == "range" and not self.why):
            raise ValueError("a case of kind range, and no other, has a 'range' and a reason; add or remove them")
        if self.range is not None and not self.range[0] <= self.range[1]:
            raise ValueError("a range goes from the least figure to the largest; turn it round")
        if self.origin == "published (recalled)" and self.kind != "reported":
            raise ValueError("a recalled figure is no bar; use kind: reported")
        if self.class_ is None and self.origin not in _IMPLIED:
            raise ValueError(f"a published figure says what an agreement proves; add 'class': {', '.join(CLASSES)}")
        if self.class_ == "comparable" and self.origin not in ("published", "published (recalled)"):
            raise ValueError(f"a figure of origin '{self.origin}' is not of the published machine; change its 'class'")
        return self

    @property
    def command(self) -> str:
        """What gives the figure on a command line; empty where nothing does."""
        return ""

    @property
    def proves(self) -> Class:
        """What an agreement proves: as the case says, or as follows from its origin."""
        return self.class_ or _IMPLIED[self.origin]

    @property
    def metric(self) -> Metric:
        """Of what kind the quantity is."""
        return next((metric for metric, word in _WORDS if word in self.quantity), "other")

    def number(self, engine: str) -> Number:
        """Return which published number this is: rows on variants of a machine or network may share one."""
        part, _, _ = self.quantity.rpartition(".") if self.quantity.startswith("layer.") else ("", "", "")
        return Number(engine, self.source, self.expected, self.metric, part.removesuffix(".details"))


class StreamCase(Figure):
    """A stream of requests on a DRAM standard; ``quantity`` is a key of what ``accelsim dram`` prints."""

    standard: str
    pattern: str
    requests: int = Field(ge=1)

    @property
    def command(self) -> str:
        """What serves the stream on a command line."""
        options = {"pattern": (self.pattern, ""), "requests": (self.requests, 0), "format": ("json", "")}
        return shlex.join(["accelsim", "dram", self.standard, *commands.words(options)])


class ReplicaCase(Figure):
    """Another tool's arithmetic; ``quantity`` is a key of what ``figures`` of the replica's module returns."""

    replica: str = Field(description="module below accelsim.replicas")
    given: dict[str, Any] = Field(default_factory=dict, description="arguments of its figures")
    data: str | None = Field(None, description="file in ACCELSIM_DATA, the argument 'path'; skipped without it")

    @property
    def command(self) -> str:
        """What runs the replica on a command line; empty of arguments that it does not take."""
        if set(self.given) & _NO_OPTIONS:
            return ""
        found = ["accelsim", "replica", self.replica.replace(".", "_"), *self.given.get("path", "").split()]
        options = {key.replace("_", "-"): (value, "") for key, value in self.given.items() if key != "path"}
        found += commands.words({**options, "format": ("json", "")})
        return shlex.join(found) + (f" {commands.at_hand(self.data)}" if self.data is not None else "")


class PlanCase(Figure):
    """A plan of what stays on a chip; ``quantity`` is a key of what ``accelsim plan`` prints, or live.<layer>."""

    network: str
    capacity_kib: Positive = 1.0
    fold: str = "none"
    planner: str = "exact"
    inplace: str = "none"
    scale: Positive = Field(1.0, description="factor from bytes to the unit of the source")

    @property
    def command(self) -> str:
        """What plans the network on a command line; empty of what lives at a layer, which no command prints."""
        if self.quantity.startswith("live."):
            return ""
        options = {"fold": (self.fold, "none"), "planner": (self.planner, "exact"), "inplace": (self.inplace, "none")}
        found = ["accelsim", "plan", self.network, "--capacity-kib", f"{self.capacity_kib:g}"]
        return shlex.join([*found, *commands.words(options), "--format", "json"])


def brought(network: dict[str, Any] | None, layer: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the network that a case brings, as a file has it; a layer alone is isolated."""
    head = {"name": "case", "source": "validation case"}
    if network is not None:
        return head | network
    return None if layer is None else head | {"isolated": True, "layers": [{"name": "layer", **layer}]}


class CaseSpec(Figure):
    """One figure and how to obtain ours."""

    arch: str = Field(description="packaged machine or path")
    set: dict[str, Any] = Field(default_factory=dict, description="keys of the machine to override")
    workload: str | None = Field(None, description="packaged network or path")
    layer: dict[str, Any] | None = Field(None, description="one layer, as in a network file, in place of a workload")
    network: dict[str, Any] | None = Field(None, description="what a network file holds, in place of a workload")
    rtl: str | None = Field(None, description="packaged table of RTL points in place of a workload; see `validate.rtl`")
    trace: str | None = Field(
        None, description="trace of SpAtten in ACCELSIM_DATA in place of a workload; skipped without"
    )
    where: dict[str, str] = Field(default_factory=dict, description="column -> pattern: rows of the table to take")
    unless: dict[str, str] = Field(default_factory=dict, description="column -> pattern: rows to leave out")
    layers: str = Field("*", description="pattern over layer names")
    batch: int = Field(1, ge=1)
    seed: int = 0
    needs: Literal["data"] | None = Field(None, description="data: skipped where ACCELSIM_DATA lacks its matrix")
    masks: dict[Literal["input", "weight"], str] = Field(
        default_factory=dict,
        description="operand of the layer -> file.npz:array in ACCELSIM_DATA, inputs as (pixels, channels), weights as "
        "(outputs, inputs); skipped without it",
    )
    mapping: dict[str, Any] | str | None = Field(
        None, description="mapping pinned for every layer, or a file of mappings, relative to the packaged machines"
    )
    density: dict[str, dict[str, float | str]] | str | None = Field(
        None,
        description="layer -> operand -> density and pattern, or a file of them, relative to the packaged networks",
    )
    baseline: str | None = Field(None, description="machine that runs the same; the figure is its quantity over ours")
    baseline_set: dict[str, Any] = Field(default_factory=dict, description="keys of the baseline to override")
    scale: Positive = Field(1.0, description="factor from the report's unit to that of the source")

    @property
    def command(self) -> str:
        """What runs the case on a command line; empty of RTL points, of traces, and of operands from files."""
        if self.rtl is not None or self.trace is not None or self.masks:
            return ""
        before, network = "", self.workload or "case.yaml"
        if (document := brought(self.network, self.layer)) is not None:
            before = commands.written(network, document)
        found = ["accelsim", "run", self.arch, network, "--format", "json"]
        if self.network is not None and "schedule.mode" not in self.set:
            found.append("--isolated")
        found += commands.words({"layers": (self.layers, "*"), "batch": (self.batch, 1), "seed": (self.seed, 0)})
        for option, content, key in (("mapping", self.mapping, "*"), ("density", self.density, "layers")):
            text, option_words = commands.named_or_written(option, content, key)
            before, found = before + text, found + option_words
        for key, value in self.set.items():
            found += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        return before + shlex.join(found)

    def number(self, engine: str) -> Number:
        """Return which published number this is: of the one layer that runs, not of whichever a pattern takes."""
        found = super().number(engine)
        one = not set(self.layers) & set("*?[")
        return found._replace(part=self.layers) if one else found

    @model_validator(mode="after")
    def _coherent(self) -> CaseSpec:
        work = (self.workload, self.layer, self.network, self.rtl, self.trace)
        if sum(given is not None for given in work) != 1:
            raise ValueError(
                "a case runs a workload, a layer, a network, a trace or RTL points; give exactly one of them"
            )
        if (self.where or self.unless) and self.rtl is None:
            raise ValueError("'where' and 'unless' choose rows of an RTL table; give 'rtl' or remove them")
        if self.masks and self.layer is None:
            raise ValueError("masks are operands of one layer; give 'layer' or remove them")
        if self.baseline_set and self.baseline is None:
            raise ValueError("baseline_set overrides a baseline; give one")
        return self


class StreamsFile(Strict):
    """The cases of DRAM."""

    cases: tuple[StreamCase, ...] = Field(strict=False)


class ReplicasFile(Strict):
    """The cases of replicas."""

    cases: tuple[ReplicaCase, ...] = Field(strict=False)


class PlansFile(Strict):
    """The cases of residency."""

    cases: tuple[PlanCase, ...] = Field(strict=False)


class CasesFile(Strict):
    """The cases of one engine."""

    cases: tuple[CaseSpec, ...] = Field(strict=False)


def _beside(case: CaseSpec, folder: Path) -> CaseSpec:
    """Return the case with a machine file looked up beside the cases, if it is there or one folder up."""
    for place in (folder / case.arch, folder.parent / case.arch):
        if packaged.is_path(case.arch) and place.is_file():
            return case.model_copy(update={"arch": str(place)})
    return case


def engine_cases() -> dict[str, tuple[CaseSpec, ...]]:
    """Return engine name -> its cases, for every engine; a folder without cases is a ConfigError."""
    found = {}
    for name, module in registry.modules().items():
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ConfigError(f"engine '{name}' has no file", "install its package again")
        path = Path(spec.origin).parent / "cases.yaml"
        shown = f"{module.rpartition('.')[0].replace('.', '/')}/cases.yaml"
        if not path.is_file():
            raise ConfigError("an engine without cases", "add at least one hand-derived figure", file=shown)
        found[name] = tuple(_beside(case, path.parent) for case in validate(CasesFile, read(path, shown)).cases)
    return found


def stream_cases() -> tuple[StreamCase, ...]:
    """Return the cases of DRAM devices."""
    path = Path(device.__file__).parent / "cases.yaml"
    return validate(StreamsFile, read(path, "memory/device/cases.yaml")).cases


def replica_cases() -> tuple[ReplicaCase, ...]:
    """Return the cases of replicas."""
    path = Path(replicas.__file__).parent / "cases.yaml"
    return validate(ReplicasFile, read(path, "replicas/cases.yaml")).cases


def plan_cases() -> tuple[PlanCase, ...]:
    """Return the cases of residency."""
    path = Path(passes.__file__).parent / "cases.yaml"
    return validate(PlansFile, read(path, "passes/cases.yaml")).cases
