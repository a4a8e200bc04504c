"""The schema of a machine file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[float, Field(ge=1e-12, le=1e12, allow_inf_nan=False)]
"""A physical figure: in the units in use here none lies outside, and products of such figures stay finite."""
NotNegative = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Clock = Annotated[float, Field(ge=1e-3, le=1e5, allow_inf_nan=False)]
"""MHz: from 1 kHz to 100 GHz."""
Bits = Annotated[int, Field(ge=1, le=64)]
MOST_PREFETCH = 1 << 30
"""KiB."""
Flavour: TypeAlias = Literal["general_purpose", "low_power"]
"""Of a process: how much its gates leak."""
Gating: TypeAlias = Literal["none", "unit", "word"]
"""What a unit's clock does while the unit neither works nor fills nor drains."""


class Strict(BaseModel):
    """Base of all schemas: frozen, no unknown keys, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class SimpleDramSpec(Strict):
    """Off-chip memory by standard, bandwidth, latency and burst."""

    standard: str = Field(description="name of the DRAM price in the energy table: lpddr4, ddr3, hbm2, ...")
    gb_per_s: float = Field(
        ge=1e-6, le=1e9, allow_inf_nan=False, description="peak bandwidth, 10^9 bytes per second, all channels"
    )
    latency_ns: float = Field(
        0.0, ge=0, le=1e6, allow_inf_nan=False, description="from request to first data; prefetching hides it"
    )
    burst_bits: int = Field(512, ge=1, le=1 << 20, description="smallest transfer; each run is rounded up to it")
    capacity_gib: Positive | None = Field(
        None, description="2^30 bytes that a network's tensors may take; a device's own, else not checked by default"
    )


def _either(schema: dict[str, Any]) -> None:
    """Ask for the values of the simple model, or for a device."""
    schema["anyOf"] = [{"required": schema.pop("required")}, {"required": ["device"]}]


class DramSpec(SimpleDramSpec):
    """Off-chip memory: simple (bandwidth, latency, burst), or with ``device`` banks, rows and a controller."""

    model_config = ConfigDict(json_schema_extra=_either)

    device: str | None = Field(
        None,
        description="a DRAM standard ('accelsim list dram') or a path, whose bandwidth, latency and burst are its own; "
        "'none' returns to the simple model",
    )
    channels: int = Field(1, ge=1, le=4096, description="of the device, a power of two")
    mapping: str = Field("RoBaRaCoCh", description="address mapping of the device, from the high end")
    page: Literal["open", "closed"] = Field("open", description="whether rows of the device stay open")
    cap: int = Field(4, ge=1, le=1 << 20, description="accesses after which page: closed closes a row")
    queue: int = Field(32, ge=1, le=256, description="reads, and writes, that wait at most in a channel")
    turn_bytes: int | None = Field(
        None, ge=1, le=1 << 30, description="what a tensor moves before it is the next one's turn; null: a run"
    )
    simple: SimpleDramSpec | None = Field(None, description="what stands in place of the device with device: none")


class BufferSpec(Strict):
    """A memory on the chip that units share, where activations may live between layers."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="reports call the memory glb.<name>")
    kib: int = Field(ge=1, le=1 << 22, description="capacity")
    word_bits: int = Field(
        128, ge=8, le=1 << 16, multiple_of=8, description="of the memory; what lives here begins and ends at words"
    )
    read_bits_per_cycle: int | None = Field(
        None, ge=1, le=1 << 20, description="port towards the units; null: none of them ever waits for it"
    )
    write_bits_per_cycle: int | None = Field(None, ge=1, le=1 << 20, description="port from the units; null: as above")


class MemorySpec(Strict):
    """Memory shared by the units."""

    dram: DramSpec
    buffers: tuple[BufferSpec, ...] = Field(
        (), strict=False, description="where activations may live between layers; units bind their rooms to them"
    )


class TechnologySpec(Strict):
    """Process of the chip."""

    node_nm: Positive = Field(description="feature size")
    voltage_v: Positive | None = Field(
        None, description="core supply; prices are at it where the energy table is of this node, else at the table's"
    )
    flavour: Flavour | None = Field(None, description="of the process, for the leakage of gates; null: the table's")


class StorageSpec(Strict):
    """What a machine says of one of its memories."""

    name: str = Field(
        min_length=1, description="as reports name it: glb.weights, or array.glb.weights of several units"
    )
    banks: int = Field(ge=1, le=1 << 20, description="macros side by side that one access opens")


class EnergySpec(Strict):
    """Which table prices events and areas."""

    table: str = Field("45nm", description="packaged table or path to one")
    node: Positive | None = Field(
        None,
        description="price at this feature size, nm: by its packaged table, or by 'table' scaled; null: as written",
    )


class PrecisionSpec(Strict):
    """Widths of tensors whose network does not say."""

    input_bits: Bits = 8
    weight_bits: Bits = 8
    output_bits: Bits = 8


class MappingSpec(Strict):
    """How a mapping is chosen."""

    objective: Literal["cycles", "energy", "edp", "dram", "engine"] = Field(
        "cycles",
        description="what the mapper minimises; ties by cycles, DRAM bits, then order; 'engine' is the engine's own "
        "objective, with ties by order; of several units, those that have none take 'cycles'",
    )
    prices: str | None = Field(
        None, description="energy table by which the objectives energy and edp choose; null: the one that prices"
    )
    fixed: dict[str, Any] = Field(default_factory=dict, description="mapping keys that every layer must use")


OWN = "own"
"""In place of a buffer's name: the unit's own storage, which its tiles share."""


class RoomsSpec(Strict):
    """Buffers of the machine from which a unit can read its inputs, and into which it can write its outputs."""

    inputs: str | None = Field(
        None, description="name of a buffer, or own: the unit's own storage, where its tiles are too; null: DRAM"
    )
    outputs: str | None = Field(None, description="name of a buffer, or own with inputs: own; null: outputs go to DRAM")
    outside: Literal["own"] | None = Field(
        None,
        description="with own inputs and outputs: what the network reads and makes lives there too, and what layers "
        "that no unit runs read and make; null: in DRAM",
    )


PostOp: TypeAlias = Literal[
    "add", "affine", "clip", "clip6", "elu", "gelu", "gelu_tanh", "hardsigmoid", "hardswish", "leakyrelu", "mul",
    "prelu", "relu", "residual", "sigmoid", "swish", "tanh",
]  # fmt: skip
"""What may be done to results on their way out: elementwise operations with at most constants beside the result, a
bias as ``add``, and scaling per channel; ``residual`` adds another activation."""


class PostSpec(Strict):
    """Work on results on their way out of a unit, in place of a layer of its own."""

    ops: tuple[PostOp, ...] = Field(
        strict=False,
        min_length=1,
        description="operations that it does: add is a bias, residual the sum with another activation",
    )
    lanes: int = Field(ge=1, le=65536, description="results that it takes per cycle, whatever is done to them")


class PlaceSpec(Strict):
    """Where tensors that share storage live between layers."""

    storage: str = Field(description="name of one of them, as reports and plans have it")
    buffer: str = Field(description="name of a buffer of the machine")
    address_bits: int = Field(ge=0, description="where it begins there")


class ScheduleSpec(Strict):
    """How the layers of a connected network share the machine's time."""

    mode: Literal["isolated", "network"] | None = Field(
        None,
        description="layers one after another, each from an idle machine; or all of them on one clock; null: on one "
        "clock what is connected",
    )
    residency: Literal["none", "greedy", "exact"] = Field(
        "exact", description="on one clock: how it is decided what lives between layers in the machine's buffers"
    )
    fold: Literal["none", "weights", "hardware"] = Field(
        "hardware",
        description="on one clock: which layers join the products ahead of them: none; those that scale channels, into "
        "weights; and what post_ops of the product's unit do",
    )
    prefetch: Literal["none", "tile"] | Annotated[int, Field(ge=1, le=MOST_PREFETCH)] = Field(
        "tile",
        description="what constants a unit fetches ahead on one clock: nothing before its layer's turn, one tile, or "
        "so many KiB of room",
    )
    overlap: bool = Field(True, description="whether units compute side by side on one clock")
    places: tuple[PlaceSpec, ...] | None = Field(
        None, strict=False, description="on one clock: what lives where, in place of a plan, as in report.json"
    )

    @field_validator("prefetch", mode="before")
    @classmethod
    def _prefetch(cls, value: Any) -> Any:
        if value in ("none", "tile") or (type(value) is int and 1 <= value <= MOST_PREFETCH):
            return value
        raise ValueError(f"{value!r} is no prefetch; write none, tile or KiB from 1 to {MOST_PREFETCH}")


class UnitSpec(Strict):
    """One compute unit."""

    name: str = Field(min_length=1)
    engine: str
    params: dict[str, Any] = Field(default_factory=dict)
    layers: tuple[str, ...] = Field(
        ("*",), strict=False, description="patterns over layer names or kinds that this unit takes"
    )
    rooms: RoomsSpec = RoomsSpec()
    post_ops: PostSpec | None = Field(
        None, description="what it does to results on their way out, of layers on one clock; null: nothing"
    )


class ArchSpec(Strict):
    """A machine: units, clocks, memory, technology, and where every figure comes from."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    source: str = Field("", description="author, venue and year of the machine")
    unvalidated: str | None = Field(
        None,
        min_length=1,
        description="why its figures could not be compared with anything; null: nothing is said",
    )
    base: str | None = Field(None, description="packaged machine or path whose keys this file overrides")
    clocks_mhz: dict[str, Clock] = Field(description="clock domains; 'core' is required")
    engine: str | None = Field(None, description="the only unit's engine, in place of 'units'")
    params: dict[str, Any] = Field(default_factory=dict, description="the only unit's parameters")
    rooms: RoomsSpec = Field(RoomsSpec(), description="of the only unit: where tensors live between layers")
    units: tuple[UnitSpec, ...] = Field((), strict=False, description="several units that share the memory")
    memory: MemorySpec
    technology: TechnologySpec
    energy: EnergySpec = EnergySpec()
    clock_gating: Gating = Field(
        "none", description="clocks of idle and stalled units: all run, off by unit, or off by word"
    )
    storage: tuple[StorageSpec, ...] = Field(
        (), strict=False, description="how memories are built; the others have the cheapest banking"
    )
    precision: PrecisionSpec = PrecisionSpec()
    mapping: MappingSpec = MappingSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    sources: dict[str, str] = Field(default_factory=dict, description="key path -> where its value comes from")

    @model_validator(mode="after")
    def _coherent(self) -> ArchSpec:
        if "core" not in self.clocks_mhz:
            raise ValueError("clocks_mhz has no 'core'; add 'core: <MHz>'")
        if (self.engine is None) == (not self.units):
            raise ValueError("a machine has either 'engine' or 'units'; give exactly one of them")
        if self.units and self.params:
            raise ValueError("this machine has units, so 'params' belongs to one of them; write units.<name>.params")
        if self.units and self.rooms != RoomsSpec():
            raise ValueError("this machine has units, so 'rooms' belongs to one of them; write units.<name>.rooms")
        names = [unit.name for unit in self.units]
        if len(set(names)) != len(names):
            raise ValueError("two units share a name; rename one")
        if len({memory.name for memory in self.storage}) != len(self.storage):
            raise ValueError("'storage' names a memory twice; keep one of them")
        if len({buffer.name for buffer in self.memory.buffers}) != len(self.memory.buffers):
            raise ValueError("two of memory.buffers share a name; rename one")
        return self
