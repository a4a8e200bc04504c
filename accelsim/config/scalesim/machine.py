"""The machine of a SCALE-Sim configuration, as the text of an accelsim machine file.

What carries over is the array, the dataflow, the sizes of the scratchpads and the bandwidth; the packaged systolic
machine of the same dataflow is the base for all the rest. Keys without a counterpart are named with the reason.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from accelsim.config.scalesim.config import Config

UNLIMITED_GB_PER_S = 1_000_000
"""CALC mode never waits for DRAM: a bandwidth that no array here comes near."""

CORE_MHZ = 1000
"""SCALE-Sim has no clock. At this one, a word of one byte per cycle is 1 GB/s."""

_ADDRESSES = "DRAM traffic is counted per tensor, without addresses"
_REQUESTS = "requests under way are not limited; memory.dram.latency_ns is what they wait for"
_BANKS = "ports and banks of the scratchpads have no conflicts here"
_SPARSITY = (
    "zeros belong to the network here: the N:M column becomes a density of the weights, and a systolic array "
    "multiplies zeros like any other number"
)
_CALC = "CALC mode has no limit: nothing waits for DRAM, and needed_bits_per_cycle says what bandwidth would do"
_REASONS = {
    "ifmapoffset": _ADDRESSES,
    "filteroffset": _ADDRESSES,
    "ofmapoffset": _ADDRESSES,
    "readrequestbuffer": _REQUESTS,
    "writerequestbuffer": _REQUESTS,
    "ifmapcustomlayout": _BANKS,
    "ifmapsrambanknum": _BANKS,
    "ifmapsrambankport": _BANKS,
    "filtercustomlayout": _BANKS,
    "filtersrambanknum": _BANKS,
    "filtersrambankport": _BANKS,
    "memorybanks": _BANKS,
    "onchipmemorybanks": _BANKS,
    "onchipmemorybankports": _BANKS,
    "sparsitysupport": _SPARSITY,
    "sparserep": _SPARSITY,
    "optimizedmapping": _SPARSITY,
    "blocksize": _SPARSITY,
    "randomnumbergeneratorseed": _SPARSITY,
    "useramulatortrace": "DRAM is a bandwidth, a latency and a burst; give your own under memory.dram",
    "topologycsvloc": "the network stands on the command line",
}
_CARRIED = {
    *("run_name", "arrayheight", "arraywidth", "dataflow", "interfacebandwidth"),
    *("ifmapsramszkb", "filtersramszkb", "ofmapsramszkb"),
}
_RATES = ("bandwidth", "ifmapsrambankbandwidth", "filtersrambankbandwidth")


class ScaleSimMachine(NamedTuple):
    """A machine file's text, and what its reader must know (also the file's first comment)."""

    text: str
    notes: tuple[str, ...]


def machine(config: Config) -> ScaleSimMachine:
    """Return the machine that a configuration describes."""
    words, told = _bandwidth(config)
    notes = [*(str(note) for note in config.notes if note.kind in ("dataflow", "float")), *told]
    notes.append(
        "OFMAP words are one byte in SCALE-Sim; output_kib holds partial sums of 32 bits here, a quarter as many"
    )
    notes += _dropped(config)
    comment = "".join(textwrap.fill(note, 116, initial_indent="# ", subsequent_indent="#   ") + "\n" for note in notes)
    file = Path(config.file).name
    text = f"""{comment}name: {_name(config)}
description: {_quoted(f"SCALE-Sim configuration {config.run_name}")}
base: systolic_{config.dataflow}
clocks_mhz: {{core: {CORE_MHZ}}}
params:
  rows: {config.rows}
  cols: {config.cols}
  overlap_folds: false
  operand_bits: 8
  input_kib: {config.ifmap_kib}
  weight_kib: {config.filter_kib}
  output_kib: {config.ofmap_kib}
memory:
  dram: {{gb_per_s: {words}, latency_ns: 0, burst_bits: 8}}
sources:
  clocks_mhz.core: assumed, so that a word of one byte per cycle is 1 GB/s; SCALE-Sim has no clock
  params: {_quoted(f"{file}, [architecture_presets]")}
  params.overlap_folds: SCALE-Sim hides no load and overlaps no folds
  params.operand_bits: SCALE-Sim's words are one byte
  memory.dram: {_quoted(f"{file}, {'USER' if config.user_bandwidth else 'CALC'} mode; no latency and no bursts")}
"""
    return ScaleSimMachine(text, tuple(notes))


def _bandwidth(config: Config) -> tuple[int, list[str]]:
    """Return words per cycle between chip and DRAM, and what to say about them."""
    if not config.user_bandwidth:
        return UNLIMITED_GB_PER_S, [f"DRAM of {UNLIMITED_GB_PER_S:,} GB/s: {_CALC}"]
    if not any(s.section == "layout" for s in config.settings):
        words = 3 * config.ofmap_words_per_cycle
        note = (
            f"DRAM of {words} GB/s: without a [layout] section this is a file of SCALE-Sim v2, whose Bandwidth feeds "
            "each of the three ports; they share one DRAM here"
        )
        return words, [note]
    ports = (config.ifmap_words_per_cycle, config.filter_words_per_cycle, config.ofmap_words_per_cycle)
    parts = " + ".join(map(str, ports))
    note = (
        f"DRAM of {sum(ports)} GB/s: {parts} words per cycle of IfmapSRAMBankBandwidth, FilterSRAMBankBandwidth and "
        "Bandwidth; the three ports share one DRAM here"
    )
    return sum(ports), [note]


def _dropped(config: Config) -> list[str]:
    """Name the keys of the file that carry over to nothing, by reason."""
    reasons: dict[str, list[str]] = {}
    for setting in config.settings:
        key = setting.key.lower()
        if key in _CARRIED or (config.user_bandwidth and key in _RATES):
            continue
        unknown = "unknown to SCALE-Sim 3.0.0 as well"
        reason = _CALC if key in _RATES else _REASONS.get(key, unknown)
        reasons.setdefault(reason, []).append(f"{setting.key} {setting.value}".strip())
    return [f"not imported: {', '.join(keys)}: {reason}" for reason, keys in reasons.items()]


def _name(config: Config) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", config.run_name) or "scalesim"
    return name if re.search(r"[A-Za-z_]", name[0]) else f"scalesim_{name}"


def _quoted(text: str) -> str:
    """Return ``text`` as a YAML string: JSON's are, as long as all characters can be printed."""
    return json.dumps(_printable(text), ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
