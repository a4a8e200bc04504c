"""The closed formulas of the six dataflows: words moved at each level by a mapping, and what must fit.

Source: Chen, Emer, Sze, "Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for Convolutional
Neural Networks", ISCA 2016, section VI; the formulas are those of the authors' released model. Its
report of OSA divides the batch by ``n`` where its objective rounds up; both round up here.

Glossary. ``N`` batch; ``H E`` sides of padded ifmap and ofmap; ``R`` side of the filter; ``U`` stride;
``C M`` channels and filters per group. A mapping ``x`` processes tiles of ``n`` images, ``m`` filters and an
``e`` x ``f`` piece of the ofmap; ``p`` filters and ``q`` channels share a PE (RS) or the array (the others);
``r`` and ``t`` count groups of PEs on different channels and filters. All layers are square, so the paper's
``S``, ``F`` and ``W`` (width) are ``R``, ``E`` and ``H``; its ``I alpha_h / beta_h`` is the ifmap read in
strips with their halo.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from accelsim.replicas.isca16.layers import Layer
from accelsim.units import ceil_div

Mapping = dict[str, int]
"""Symbol -> value, for instance ``{"m": 96, "n": 1, ...}``."""


class Traffic(NamedTuple):
    """Words moved at each level, exact: a partial last tile makes them fractions in these formulas."""

    dram_read: Fraction
    dram_write: Fraction
    buffer: Fraction
    array: Fraction
    rf: Fraction

    @property
    def dram(self) -> Fraction:
        """Words to and from DRAM."""
        return self.dram_read + self.dram_write


class Limit(NamedTuple):
    """One constraint of a mapping: it holds when ``used <= available``."""

    name: str
    used: int
    available: int


class Hardware(NamedTuple):
    """What a flow gets: ``pes`` PEs, ``buffer_words`` and, in each PE, ``rf_words``, all of 16 bits."""

    pes: int
    buffer_words: int
    rf_words: int


def range_limits(layer: Layer, batch: int, x: Mapping) -> tuple[Limit, ...]:
    """Return the upper bounds of the symbols of any flow: no tile is larger than the layer."""
    most = {"m": layer.M, "p": layer.M, "t": layer.M, "q": layer.C, "r": layer.C, "n": batch}
    return tuple(Limit(symbol, value, most.get(symbol, layer.E)) for symbol, value in x.items())


def rs_traffic(layer: Layer, batch: int, x: Mapping) -> Traffic:
    """Row stationary: a PE keeps a filter row, an ifmap row and a row of partial sums."""
    E, R, C, M, outs, macs = layer.E, layer.R, layer.C, layer.M, layer.ofmap_words(batch), layer.macs(batch)
    loads = layer.weight_words() * ceil_div(batch, x["n"])
    lines = _planes(layer, batch) * layer.H * E
    strips = Fraction(lines * _side(layer, x["f"]), x["f"])
    in_pe, passes = ceil_div(C, x["q"]), ceil_div(C, x["q"] * x["r"])
    return _traffic(
        loads * ceil_div(E, x["f"]) + strips * ceil_div(M, x["m"]),
        outs,
        strips * ceil_div(M, x["p"] * x["t"]) + 2 * outs * (passes - 1),
        loads * E + lines * R * ceil_div(M, x["p"]) + 2 * outs * (in_pe * R - passes),
        2 * macs + 2 * outs * (C * R * R - in_pe * R),
    )


def rs_limits(layer: Layer, batch: int, hw: Hardware, x: Mapping) -> tuple[Limit, ...]:
    """Row stationary: ifmap strips and partial sums in the buffer, filters in the PEs."""
    n, m, f, p, q, r, t = (x[symbol] for symbol in "nmfpqrt")
    ifmap = n * q * r * layer.H * _side(layer, f)
    return (
        Limit("buffer words", n * m * layer.E * f + ifmap, hw.buffer_words),
        Limit("PEs", layer.R * f * r * t, hw.pes),
        Limit("RF words", p * q * layer.R + q * layer.R + p, hw.rf_words),
        Limit("channels of a pass", q * r, layer.C),
        Limit("filters of a pass", p * t, m),
    )


def ws_traffic(layer: Layer, batch: int, x: Mapping) -> Traffic:
    """Weight stationary: each PE keeps one weight for the whole batch."""
    C, R, outs, macs = layer.C, layer.R, layer.ofmap_words(batch), layer.macs(batch)
    strips = Fraction(_planes(layer, batch) * layer.H * layer.E * _side(layer, x["f"]), x["f"])
    rows = ceil_div(C, x["r"]) * R
    return _traffic(
        layer.weight_words() + strips * ceil_div(layer.M, x["t"]),
        outs,
        2 * outs * (rows - 1),
        macs + 2 * outs * (C * R * R - rows),
        macs,
    )


def ws_limits(layer: Layer, batch: int, hw: Hardware, x: Mapping) -> tuple[Limit, ...]:
    """Weight stationary: the partial sums of the whole batch and the line buffers in the buffer."""
    lines = x["r"] * x["t"] * (_side(layer, x["f"]) - layer.R) * (layer.R - 1)
    return (
        Limit("buffer words", batch * x["t"] * layer.E**2 + lines, hw.buffer_words),
        Limit("PEs", x["r"] * x["t"] * layer.R**2, hw.pes),
        Limit("RF words", 1, hw.rf_words),
    )


def osa_traffic(layer: Layer, batch: int, x: Mapping) -> Traffic:
    """Output stationary, one filter and many outputs of its plane at a time."""
    tiles = ceil_div(batch, x["n"]) * ceil_div(layer.E, x["e"]) * ceil_div(layer.E, x["f"])
    return _os_traffic(layer, batch, tiles, _halo(layer, x["e"]) * _halo(layer, x["f"]), x["m"], 1)


def osa_limits(layer: Layer, batch: int, hw: Hardware, x: Mapping) -> tuple[Limit, ...]:
    """OSA: whole filters and all channels of the windows in the buffer; ifmap shift registers in the PEs."""
    ifmap = x["n"] * layer.C * _side(layer, x["e"]) * _side(layer, x["f"])
    return (
        Limit("buffer words", x["m"] * layer.C * layer.R**2 + ifmap, hw.buffer_words),
        Limit("PEs", x["n"] * x["e"] * x["f"], hw.pes),
        Limit("RF words", layer.U + layer.U * layer.R + 1, hw.rf_words),
    )


def osb_traffic(layer: Layer, batch: int, x: Mapping) -> Traffic:
    """Output stationary, many filters and many outputs of one ofmap row at a time."""
    tiles = ceil_div(batch, x["n"]) * layer.E * ceil_div(layer.E, x["f"])
    return _os_traffic(layer, batch, tiles, _halo(layer, 1) * _halo(layer, x["f"]), x["m"], x["p"])


def osb_limits(layer: Layer, batch: int, hw: Hardware, x: Mapping) -> tuple[Limit, ...]:
    """OSB: as OSA with windows of one ofmap row."""
    ifmap = x["n"] * layer.C * layer.R * _side(layer, x["f"])
    return (
        Limit("buffer words", x["m"] * layer.C * layer.R**2 + ifmap, hw.buffer_words),
        Limit("PEs", x["n"] * x["p"] * x["f"], hw.pes),
        Limit("RF words", layer.U + 1, hw.rf_words),
        Limit("filters of a pass", x["p"], x["m"]),
    )


def osc_traffic(layer: Layer, batch: int, x: Mapping) -> Traffic:
    """Output stationary, many filters and one output of each at a time."""
    return osb_traffic(layer, batch, {**x, "f": 1})


def osc_limits(layer: Layer, batch: int, hw: Hardware, x: Mapping) -> tuple[Limit, ...]:
    """OSC: whole filters and one window per image in the buffer."""
    return (
        Limit("buffer words", (x["m"] + x["n"]) * layer.C * layer.R**2, hw.buffer_words),
        Limit("PEs", x["n"] * x["p"], hw.pes),
        Limit("RF words", 1, hw.rf_words),
        Limit("filters of a pass", x["p"], x["m"]),
    )


def nlr_traffic(layer: Layer, batch: int, x: Mapping) -> Traffic:
    """No local reuse: nothing is kept in a PE, ``p`` filters by ``q`` channels share the array."""
    E, R, C, M, outs, macs = layer.E, layer.R, layer.C, layer.M, layer.ofmap_words(batch), layer.macs(batch)
    tiles = ceil_div(batch, x["n"]) * ceil_div(E, x["e"]) * ceil_div(E, x["f"])
    pieces = _planes(layer, batch) * _halo(layer, x["e"]) * _halo(layer, x["f"])
    windows = _planes(layer, batch) * (R * E) ** 2
    sums = ceil_div(C, x["q"]) * R * R
    return _traffic(
        layer.weight_words() * tiles + pieces * ceil_div(M, x["m"]),
        outs,
        macs + windows * ceil_div(M, x["p"]) + 2 * outs * (sums - 1),
        macs + 2 * outs * (C * R * R - sums),
        0,
    )


def nlr_limits(layer: Layer, batch: int, hw: Hardware, x: Mapping) -> tuple[Limit, ...]:
    """No local reuse: ifmap piece, filters and partial sums in the buffer."""
    n, m, p, q, e, f = (x[symbol] for symbol in "nmpqef")
    ifmap = n * q * _side(layer, e) * _side(layer, f)
    return (
        Limit("buffer words", ifmap + m * q * layer.R**2 + n * m * e * f, hw.buffer_words),
        Limit("PEs", p * q, hw.pes),
        Limit("filters of a pass", p, m),
    )


def _os_traffic(layer: Layer, batch: int, tiles: int, halo: Fraction, m: int, p: int) -> Traffic:
    """Return the traffic of the three output-stationary flows.

    ``tiles`` pieces of output per batch, ``halo`` words of one ifmap plane over all pieces; ``p`` filters
    share a word read from the buffer.
    """
    weights, macs = layer.weight_words(), layer.macs(batch)
    pieces = _planes(layer, batch) * halo
    outs = layer.ofmap_words(batch)
    return _traffic(
        weights + pieces * ceil_div(layer.M, m),
        outs,
        weights * tiles + pieces * ceil_div(layer.M, p),
        2 * macs,
        2 * outs * (layer.C * layer.R**2 - 1),
    )


def _planes(layer: Layer, batch: int) -> int:
    return layer.G * batch * layer.C


def _side(layer: Layer, outputs: int) -> int:
    """Return the side of the ifmap piece under ``outputs`` outputs."""
    return layer.U * outputs + layer.R - layer.U


def _halo(layer: Layer, outputs: int) -> Fraction:
    """Return the ifmap words along one side when it is read in pieces of ``outputs`` outputs."""
    return Fraction(layer.E * _side(layer, outputs), outputs)


def _traffic(*words: Fraction | int) -> Traffic:
    return Traffic(*(Fraction(word) for word in words))
