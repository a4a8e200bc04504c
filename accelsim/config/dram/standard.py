"""DRAM standards: organisation, timing and currents from a data file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from accelsim.config import yamlfile
from accelsim.config.packaged import is_file, is_path
from accelsim.config.schema import Positive, Strict
from accelsim.errors import ConfigError
from accelsim.text import nearest

FOLDER = Path(__file__).parent / "standards"
Clocks = Annotated[int, Field(ge=0, le=1 << 20)]
Some = Annotated[int, Field(ge=1, le=1 << 20)]
MOST_BANKS = 1024


def _power(value: int, what: str) -> None:
    if value & (value - 1):
        raise ValueError(f"{what} is {value}; an address has whole bits, so write a power of two")


class Organisation(Strict):
    """What a channel is made of; counts are powers of two."""

    channel_bits: int = Field(ge=8, le=4096, description="data bus of the channel, or of a pseudo channel")
    device_bits: int = Field(ge=4, le=4096, description="data bus of a device; several side by side make a rank")
    density_mbit: int = Field(ge=1, le=1 << 24, description="of a device, 2^20 bits")
    pseudo_channels: int = Field(1, ge=1, le=16, description="parts with a data bus each that share the commands")
    stack_ids: int = Field(1, ge=1, le=16, description="dies on one data bus, apart by nCCDR")
    ranks: int = Field(1, ge=1, le=16, description="sets of devices on one data bus, apart by nCS")
    bank_groups: int = Field(1, ge=1, le=64)
    banks_per_group: int = Field(ge=1, le=256)
    rows: int = Field(ge=1, le=1 << 24, description="of a bank")
    columns: int = Field(ge=1, le=1 << 16, description="of a row, each as wide as the data bus")
    prefetch: int = Field(ge=1, le=256, description="columns of a transaction")

    @property
    def tx_bytes(self) -> int:
        """Bytes of a transaction."""
        return self.prefetch * self.channel_bits // 8

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, over all devices."""
        return self.columns * self.channel_bits // 8

    @property
    def banks(self) -> int:
        """Banks of the channel, over all pseudo channels and ranks."""
        return self.pseudo_channels * self.stack_ids * self.ranks * self.bank_groups * self.banks_per_group

    @property
    def capacity_bytes(self) -> int:
        """Bytes of the channel."""
        return self.banks * self.rows * self.row_bytes

    @property
    def devices(self) -> int:
        """Devices of a rank."""
        return self.channel_bits // self.device_bits

    @model_validator(mode="after")
    def _whole_bits(self) -> Organisation:
        for name in type(self).model_fields:
            if name != "density_mbit":
                _power(getattr(self, name), name)
        if self.prefetch > self.columns:
            raise ValueError("prefetch is more than a row's columns; make it smaller")
        if self.device_bits > self.channel_bits:
            raise ValueError("device_bits is more than channel_bits; a rank has at least one device")
        if self.banks > MOST_BANKS:
            raise ValueError(f"{self.banks:,} banks; at most {MOST_BANKS:,} of a channel are modelled")
        return self


class Commands(Strict):
    """How commands travel."""

    buses: int = Field(1, ge=1, le=2, description="2: rows and columns have a command bus each")
    activate_clocks: int = Field(1, ge=1, le=2, description="clocks of an activate; times count from the last")

    @model_validator(mode="after")
    def _apart(self) -> Commands:
        if self.activate_clocks > self.buses:
            raise ValueError("an activate of two clocks is modelled on a bus for rows alone; write buses: 2")
        return self


class Timing(Strict):
    """Minima in clocks of the device (CK), under the names of the standards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=False)

    tck_ps: int = Field(alias="tCK_ps", ge=1, le=1 << 20, description="a clock")
    bl: Some = Field(alias="nBL", description="data of a transaction")
    bl_max: Some | None = Field(None, alias="nBL_max", description="the longest burst, for nWTRL; nBL by default")
    cl: Clocks = Field(alias="nCL", description="read to its data")
    cwl: Clocks = Field(alias="nCWL", description="write to its data")
    rcd: Clocks = Field(alias="nRCD", description="activate to read or write")
    rcd_write: Clocks | None = Field(None, alias="nRCDWR", description="activate to write; nRCD by default")
    ras: Some = Field(alias="nRAS", description="activate to precharge")
    rc: Some = Field(alias="nRC", description="activate to activate of a bank")
    rp: Some = Field(alias="nRP", description="precharge to activate")
    rp_all: Some | None = Field(None, alias="nRPab", description="the same of all banks; nRP by default")
    rtp: Clocks = Field(alias="nRTP", description="read to precharge")
    wr: Clocks = Field(alias="nWR", description="end of written data to precharge")
    ccd: Some = Field(alias="nCCDS", description="read to read, write to write")
    ccd_same: Some | None = Field(None, alias="nCCDL", description="in a bank group; nCCDS by default")
    ccd_write: Some | None = Field(None, alias="nCCDS_WR", description="write to write; nCCDS by default")
    ccd_write_same: Some | None = Field(None, alias="nCCDL_WR", description="in a bank group; nCCDL by default")
    ccd_stack: Some | None = Field(None, alias="nCCDR", description="to another stack id; nCCDS by default")
    wtr: Clocks = Field(alias="nWTRS", description="end of written data to read")
    wtr_same: Clocks | None = Field(None, alias="nWTRL", description="in a bank group; nWTRS by default")
    rtw: Some | None = Field(None, alias="nRTW", description="read to write; nCL + nBL + 2 - nCWL by default")
    rrd: Some = Field(alias="nRRDS", description="activate to activate of another bank")
    rrd_same: Some | None = Field(None, alias="nRRDL", description="in a bank group; nRRDS by default")
    faw: Clocks = Field(alias="nFAW", description="first to fifth of five activates")
    rfc: Some = Field(alias="nRFC", description="refresh to activate or refresh")
    refi: Some = Field(alias="nREFI", description="mean time between refreshes")
    ppd: Clocks = Field(0, alias="nPPD", description="precharge to precharge of another bank")
    cs: Clocks = Field(0, alias="nCS", description="between bursts of two ranks")

    @model_validator(mode="after")
    def _coherent(self) -> Timing:
        if self.rc < self.ras:
            raise ValueError(f"nRC {self.rc} is less than nRAS {self.ras}; a row is open within its cycle")
        return self


class Currents(Strict):
    """Supply in V and currents of a device in mA, under the names of data sheets."""

    vdd: Positive = Field(alias="VDD", description="V")
    idd0: Positive = Field(alias="IDD0", description="activate and precharge, one row cycle after the other")
    idd2n: Positive = Field(alias="IDD2N", description="standby, no row open")
    idd3n: Positive = Field(alias="IDD3N", description="standby, a row open")
    idd4r: Positive = Field(alias="IDD4R", description="reading without a gap")
    idd4w: Positive = Field(alias="IDD4W", description="writing without a gap")
    idd5: Positive = Field(alias="IDD5", description="refreshing without a gap")

    @model_validator(mode="after")
    def _ordered(self) -> Currents:
        for name in ("idd4r", "idd4w", "idd5"):
            if getattr(self, name) < self.idd3n:
                raise ValueError(f"{name.upper()} is less than IDD3N, which it includes; check the data sheet")
        return self


class Pins(Strict):
    """Drivers and terminations of the data pins, in ohm; what lies on the board between ranks and controller too."""

    vddq: Positive = Field(alias="VDDQ", description="V")
    to: Literal["half", "supply"] = Field(description="terminated to half of VDDQ by two resistors, or to VDDQ by one")
    driver: Positive = Field(alias="driver_ohm", description="of device and controller")
    series: Positive = Field(alias="series_ohm", description="between controller and a rank")
    controller: Positive = Field(alias="controller_ohm", description="termination in the controller, of reads")
    written: Positive = Field(alias="written_ohm", description="termination in the rank that is written")
    others: Positive = Field(alias="others_ohm", description="termination in all other ranks")
    read_strobes: Clocks = Field(description="pins beside eight of data that switch with them in a read")
    write_strobes: Clocks = Field(description="the same in a write")


class Sources(Strict):
    """Where the numbers come from."""

    organisation: str = Field(min_length=1)
    timing: str = Field(min_length=1)
    currents: str = ""
    io: str = ""


class Standard(Strict):
    """A grade of a DRAM standard, as its file gives it."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    validated: bool = Field(False, description="whether cycles were compared with another simulator's")
    sources: Sources
    organisation: Organisation
    commands: Commands = Commands()
    timing: Timing
    currents: Currents | None = None
    pins: Pins | None = None

    @model_validator(mode="after")
    def _time_to_work(self) -> Standard:
        """Refuse refreshes so frequent that the next may be due before the last, and all that it waits for, is over."""
        t, o = self.timing, self.organisation
        gap = max(t.cwl + (t.bl_max or t.bl) + max(t.wtr, t.wtr_same or 0), t.rtw or t.cl + t.bl + 2, t.rcd, t.ccd,
                  t.rcd_write or 0, t.ccd_same or 0, t.ccd_write or 0, t.ccd_write_same or 0, t.bl + t.cs)  # fmt: skip
        ranks = o.pseudo_channels * o.stack_ids * o.ranks
        needed = t.rfc + ranks * (t.rc + (t.rp_all or t.rp) + t.cwl + t.bl + t.wr + t.ppd) + o.banks * gap + t.rc
        if t.refi < needed:
            raise ValueError(f"nREFI {t.refi} may leave no time beside refresh; write at least {needed}")
        return self

    @property
    def peak_gb_per_s(self) -> float:
        """Peak of the channel, 10^9 bytes per second."""
        burst_bytes = self.organisation.tx_bytes * self.organisation.pseudo_channels
        return 1000 * burst_bytes / (self.timing.bl * self.timing.tck_ps)

    @property
    def clock_mhz(self) -> float:
        """Device clock."""
        return 1e6 / self.timing.tck_ps


def names() -> list[str]:
    """Return the names of the packaged standards, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Standard:
    """Return a standard by packaged name (``ddr4-2400``; case and underscores do not matter) or by path.

    Raises
    ------
    ConfigError
        An unknown name (the nearest is given), or a file that is not a standard.
    """
    if is_path(name):
        path = Path(name)
        if not is_file(path):
            raise ConfigError(f"no such file of a DRAM standard: '{name}'", "check the path")
        return yamlfile.validate(Standard, yamlfile.read(path))
    plain = name.lower().replace("_", "-")
    path = FOLDER / f"{plain}.yaml"
    if not is_file(path):
        hint = nearest(plain, names(), f"known: {', '.join(names())}")
        raise ConfigError(f"no DRAM standard is called '{name}'", hint)
    return _packaged(path)


@lru_cache
def _packaged(path: Path) -> Standard:
    return yamlfile.validate(Standard, yamlfile.read(path, f"standards/{path.name}"))


def bits(count: int) -> int:
    """Return the address bits of a count that is a power of two."""
    return count.bit_length() - 1
