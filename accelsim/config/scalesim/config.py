"""Reads a SCALE-Sim ``.cfg`` file (v3, and v2 with v3's defaults) into a frozen :class:`Config`.

Source: SCALE-Sim 3.0.0, ``scale_config.py``. A file that SCALE-Sim reads is read as SCALE-Sim reads it, with
a note where that is surprising; what makes it stop (a section of v3 absent from a v2 file) gets the default
it would have had, with a note.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from accelsim.errors import ConfigError

from .cells import MAX_NUMBER, Note, read_text, whole_or_float

DATAFLOWS = ("os", "ws", "is")
REPRESENTATIONS = ("csr", "csc", "ellpack_block")

MAX_ARRAY = 2**16
"""The most array rows or columns: beyond, buffers for one line of demand would be out of proportion."""

_READ = {
    "general": ("run_name",),
    "architecture_presets": (
        *("arrayheight", "arraywidth", "ifmapsramszkb", "filtersramszkb", "ofmapsramszkb"),
        *("ifmapoffset", "filteroffset", "ofmapoffset", "dataflow", "bandwidth"),
        *("readrequestbuffer", "writerequestbuffer"),
    ),
    "layout": (
        *("ifmapcustomlayout", "ifmapsrambankbandwidth", "ifmapsrambanknum", "ifmapsrambankport"),
        *("filtercustomlayout", "filtersrambankbandwidth", "filtersrambanknum", "filtersrambankport"),
    ),
    "sparsity": (
        *("sparsitysupport", "sparserep", "optimizedmapping", "blocksize"),
        "randomnumbergeneratorseed",
    ),
    "run_presets": ("interfacebandwidth", "useramulatortrace"),
}


@dataclass(frozen=True, slots=True)
class Sparsity:
    """The ``[sparsity]`` section when ``SparsitySupport`` is true.

    ``row_wise`` is ``OptimizedMapping``: a random N per filter and block of ``block`` weights (ws only);
    otherwise the N:M column of the topology holds for the whole layer.
    """

    representation: str
    row_wise: bool
    block: int
    seed: int


class Setting(NamedTuple):
    """One line of a file: section, key as it is written, value."""

    section: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Config:
    """A SCALE-Sim configuration. Buffer sizes are in KiB of one-byte words, bandwidths in words per cycle.

    ``user_bandwidth`` is the mode: USER (stalls) when true, CALC (bandwidth estimated) when false. ``settings`` are
    all keys of the file, whoever reads them.
    """

    run_name: str
    rows: int
    cols: int
    ifmap_kib: int
    filter_kib: int
    ofmap_kib: int
    ifmap_offset: int
    filter_offset: int
    ofmap_offset: int
    dataflow: str
    user_bandwidth: bool
    ofmap_words_per_cycle: int = 10
    ifmap_words_per_cycle: int = 10
    filter_words_per_cycle: int = 10
    ifmap_banks: int = 10
    filter_banks: int = 10
    custom_layout: bool = False
    ramulator: bool = False
    sparsity: Sparsity | None = None
    file: str = ""
    notes: tuple[Note, ...] = ()
    settings: tuple[Setting, ...] = ()


def read_config(path: str | Path, *, banks: bool = True) -> Config:
    """Read the SCALE-Sim configuration at ``path``.

    SCALE-Sim stops where the words per cycle of a scratchpad do not divide by its banks; with ``banks`` so does this.

    Raises
    ------
    ConfigError
        The file cannot be read, a key is missing or its value is not what SCALE-Sim needs.
    """
    reader = _Reader(str(path), read_text(path, ConfigError))
    config = reader.config()
    if banks:
        reader.check_banks(config)
    return config


class _Reader:
    """One pass over one file: the parsed sections, where each key stands, and the notes so far."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.notes = file, list[Note]()
        self.parser = configparser.ConfigParser()
        try:
            self.parser.read_string(text, source=file)
        except configparser.Error as failure:
            line = getattr(failure, "lineno", None)
            raise ConfigError("not an INI file as SCALE-Sim reads it", _first(failure), file=file, line=line) from None
        self.lines, self.spelled = _key_lines(text)

    def config(self) -> Config:
        user = self._mode()
        self._note_version(user)
        arch = "architecture_presets"
        sizes = {n: self._count(arch, f"{n}SramSzkB", high=2**21) for n in ("Ifmap", "Filter", "Ofmap")}
        offsets = {n: self._count(arch, f"{n}Offset", low=0) for n in ("Ifmap", "Filter", "Ofmap")}
        config = Config(
            run_name=self._text("general", "run_name"),
            rows=self._count(arch, "ArrayHeight", high=MAX_ARRAY),
            cols=self._count(arch, "ArrayWidth", high=MAX_ARRAY),
            ifmap_kib=sizes["Ifmap"],
            filter_kib=sizes["Filter"],
            ofmap_kib=sizes["Ofmap"],
            ifmap_offset=offsets["Ifmap"],
            filter_offset=offsets["Filter"],
            ofmap_offset=offsets["Ofmap"],
            dataflow=self._dataflow(),
            user_bandwidth=user,
            ofmap_words_per_cycle=self._bandwidth() if user else 10,
            ifmap_words_per_cycle=self._count("layout", "IfmapSRAMBankBandwidth", default=10),
            filter_words_per_cycle=self._count("layout", "FilterSRAMBankBandwidth", default=10),
            ifmap_banks=self._count("layout", "IfmapSRAMBankNum", default=10),
            filter_banks=self._count("layout", "FilterSRAMBankNum", default=10),
            custom_layout=self._flag("IfmapCustomLayout") or self._flag("FilterCustomLayout"),
            ramulator=self._text("run_presets", "UseRamulatorTrace", default="False") == "True",
            sparsity=self._sparsity(),
            file=self.file,
            settings=tuple(self._settings()),
        )
        self._note_unread()
        return replace(config, notes=tuple(self.notes))

    def _fail(self, section: str, key: str, problem: str, remedy: str) -> ConfigError:
        line = self.lines.get((section, key.lower()))
        return ConfigError(problem, remedy, file=self.file, line=line, key=f"{section}.{key}")

    def _note(self, kind: str, text: str, section: str = "", key: str = "", stops: bool = False) -> None:
        self.notes.append(Note(self.file, self.lines.get((section, key.lower()), 0), kind, text, stops))

    def _text(self, section: str, key: str, default: str | None = None) -> str:
        try:
            return self.parser.get(section, key)
        except (configparser.NoSectionError, configparser.NoOptionError):
            if default is not None:
                return default
            raise self._fail(section, key, "missing", f"add '{key}' to [{section}]") from None
        except configparser.Error as failure:
            raise self._fail(section, key, "cannot be interpolated", _first(failure)) from None

    def _count(
        self, section: str, key: str, *, low: int = 1, high: int = MAX_NUMBER, default: int | None = None
    ) -> int:
        text = self._text(section, key, None if default is None else str(default))
        try:
            value, as_float = whole_or_float(text)
        except (ValueError, OverflowError):
            problem = f"{_shown(text)} is not a whole number"
            raise self._fail(section, key, problem, "write digits only") from None
        if not low <= value <= high:
            problem = f"{_shown(text)} is out of range"
            raise self._fail(section, key, problem, f"use {low} to {high}")
        if as_float:
            self._note("float", f"{key} is a float, at which SCALE-Sim stops", section, key, stops=True)
        return value

    def _flag(self, key: str) -> bool:
        try:
            return self.parser.getboolean("layout", key)
        except (configparser.NoSectionError, configparser.NoOptionError):
            return False
        except (ValueError, configparser.Error):
            raise self._fail("layout", key, "is neither true nor false", "write True or False") from None

    def _settings(self) -> Iterator[Setting]:
        """Yield every key of the file as it is written: configparser knows them in small letters only."""
        for section in self.parser.sections():
            for key, value in self.parser.items(section, raw=True):
                yield Setting(section, self.spelled.get((section, key), key), " ".join(value.split()))

    def _mode(self) -> bool:
        mode = self._text("run_presets", "InterfaceBandwidth")
        if mode not in ("USER", "CALC"):
            problem = f"{_shown(mode)} is not a mode"
            raise self._fail("run_presets", "InterfaceBandwidth", problem, "write USER or CALC")
        return mode == "USER"

    def _dataflow(self) -> str:
        flow = self._text("architecture_presets", "Dataflow")
        if flow in DATAFLOWS:
            return flow
        text = f"Dataflow {_shown(flow)} is unknown to SCALE-Sim, which warns and runs os; so does the replica"
        self._note("dataflow", text, "architecture_presets", "Dataflow")
        return "os"

    def _bandwidth(self) -> int:
        section, key = "architecture_presets", "Bandwidth"
        text = self._text(section, key)
        try:
            values = [whole_or_float(part)[0] for part in text.split(",")]
        except (ValueError, OverflowError):
            problem = f"{_shown(text)} is not a list of whole numbers"
            raise self._fail(section, key, problem, "write words per cycle, such as 10") from None
        if not 1 <= values[0] <= MAX_NUMBER:
            raise self._fail(section, key, f"{values[0]} is out of range", "use at least 1 word per cycle")
        text = "Bandwidth feeds the OFMAP port only; reads run at {Ifmap,Filter}SRAMBankBandwidth"
        self._note("bandwidth", text, section, key)
        return values[0]

    def _sparsity(self) -> Sparsity | None:
        section = "sparsity"
        if self._text(section, "SparsitySupport", default="false").lower() != "true":
            return None
        representation = self._text(section, "SparseRep")
        if representation not in REPRESENTATIONS:
            remedy = f"write one of {', '.join(REPRESENTATIONS)}"
            raise self._fail(section, "SparseRep", f"{_shown(representation)} is unknown", remedy)
        row_wise = self._text(section, "OptimizedMapping").lower() == "true"
        block = self._count(section, "BlockSize", low=2) if row_wise else 4
        seed = self._count(section, "RandomNumberGeneratorSeed", low=0)
        rows = self._count("architecture_presets", "ArrayHeight")
        if row_wise and block > rows:
            problem = f"{block} is more than ArrayHeight ({rows})"
            raise self._fail(section, "BlockSize", problem, "SCALE-Sim stops there: use a smaller block")
        return Sparsity(representation, row_wise, block, seed)

    def check_banks(self, config: Config) -> None:
        if not config.user_bandwidth:
            return
        for name, words, banks in (
            ("Ifmap", config.ifmap_words_per_cycle, config.ifmap_banks),
            ("Filter", config.filter_words_per_cycle, config.filter_banks),
        ):
            if words % banks:
                key = f"{name}SRAMBankBandwidth"
                problem = f"{words} words per cycle over {banks} banks is not whole"
                raise self._fail("layout", key, problem, f"SCALE-Sim stops there: use a multiple of {banks}")

    def _note_version(self, user: bool) -> None:
        absent = [s for s in ("layout", "sparsity") if not self.parser.has_section(s)]
        if not absent:
            return
        text = f"no [{'], ['.join(absent)}] section (a v2 file?): SCALE-Sim 3.0.0 stops; its defaults are taken"
        if user and "layout" in absent:
            text += " (reads at 10 words per cycle; in v2 Bandwidth fed the reads as well)"
        self._note("v2", text, stops=True)

    def _note_unread(self) -> None:
        for section in self.parser.sections():
            if section == "network_presets":
                text = "[network_presets] is ignored; SCALE-Sim looks for its TopologyCsvLoc elsewhere and stops"
                self._note("network_presets", text, stops=True)
                continue
            known = _READ.get(section, ())
            for key in self.parser.options(section):
                if key not in known and key not in self.parser.defaults():
                    self._note("unread", f"[{section}] {key} is not read by SCALE-Sim", section, key)


def _first(failure: Exception) -> str:
    return " ".join(str(failure).split())[:200]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _key_lines(text: str) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], str]]:
    """Return line and spelling of each key, for messages; a rough reading of the format is enough."""
    lines: dict[tuple[str, str], int] = {}
    spelled: dict[tuple[str, str], str] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("[") and "]" in stripped:
            section = stripped[1 : stripped.index("]")]
            continue
        key = re.split("[:=]", stripped, maxsplit=1)[0].strip()
        lines.setdefault((section, key.lower()), number)
        spelled.setdefault((section, key.lower()), key)
    return lines, spelled
