"""The released BERT simulator: a layer's DRAM, fill and drain, added and not overlapped.

Source: mit-han-lab/spatten, spatten_hardware/simulator/src/bert.cpp. Its top-k draws pivots past the end of the list,
so that runs with it do not repeat themselves: it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accelsim.errors import ConfigError

TRANSACTION_BYTES = 32
DOT_PRODUCT_CYCLES = 1 + 1 + 9
"""SRAM, multiplier, reduction tree."""
SOFTMAX_CYCLES = 7 + 21 + 23 + 29 + 7
"""Dequantise, exponential, accumulate, divide, quantise; the FIFO's come on top."""
DECISION_CYCLES, TOP_K_CYCLES = 1, 1
"""Neither asks for more bits nor selects."""
VALUE_CYCLES = 1 + 1 + 1
"""SRAM, multiplier, accumulator."""


@dataclass(frozen=True)
class Layer:
    """An attention layer: ``keys`` of ``length`` tokens are fetched for each head, ``dim`` wide."""

    heads: int
    dim: int
    length: int
    keys: int
    key_bits: int
    value_bits: int

    @property
    def operations(self) -> int:
        """Multiplications and additions of both products."""
        return 4 * self.heads * self.length * self.keys * self.dim


@dataclass(frozen=True)
class Machine:
    """Channels of DRAM, and multipliers of each of the two arrays."""

    channels: int = 16
    multipliers: int = 512


def layer_cycles(layer: Layer, machine: Machine = Machine()) -> int:
    """Return the cycles of a layer.

    Raises
    ------
    ConfigError
        Vectors wider than the multipliers: the released model divides by zero there.
    """
    parallel = machine.multipliers // layer.dim
    if not parallel:
        raise ConfigError(
            f"{machine.multipliers} multipliers do not take a vector of {layer.dim}", f"use {layer.dim} at least",
            key="--multipliers",
        )  # fmt: skip
    lines = _ceil_div(layer.keys, parallel)
    dram = sum(
        _ceil_div(lines * parallel * layer.dim * _stored(bits) // 8 // TRANSACTION_BYTES, machine.channels)
        for bits in (layer.key_bits, layer.value_bits)
    )
    fill = layer.length * lines
    drain = DOT_PRODUCT_CYCLES + SOFTMAX_CYCLES + lines + DECISION_CYCLES + TOP_K_CYCLES + VALUE_CYCLES
    return layer.heads * (dram + fill) + drain


def pruned(layer: Layer, kept: Sequence[int]) -> tuple[Layer, ...]:
    """Return layers alike but for the tokens that they keep, the keys and values that they fetch.

    Queries stay as many as the sentence is long, as the released model has them.

    Raises
    ------
    ConfigError
        More tokens kept than there are, or than the layer before kept.
    """
    most = layer.length
    for number, keys in enumerate(kept, 1):
        if not 1 <= keys <= most:
            raise ConfigError(
                f"layer {number} keeps {keys} tokens", f"keep from 1 to {most}: a pruned token does not return",
                key="--keep",
            )  # fmt: skip
        most = keys
    return tuple(replace(layer, keys=keys) for keys in kept)


def figures(layers: int, channels: int, multipliers: int, **layer: int) -> dict[str, float]:
    """Return the figures that `accelsim validate` judges, of dense layers, ``tops`` at 1 GHz.

    ``layer`` has the fields of `Layer` but for the keys, which are all tokens.
    """
    shape = Layer(keys=layer["length"], **layer)
    cycles = layer_cycles(shape, Machine(channels, multipliers))
    return {"cycles": layers * cycles, "layer_cycles": cycles, "tops": shape.operations / cycles / 1000}


def _stored(bits: int) -> int:
    """Return the width that the released model takes: 6, and more than 8, run as 8."""
    return 8 if bits == 6 or bits > 8 else bits


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
