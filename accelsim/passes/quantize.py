"""Quantisation: the integer operands of every layer that multiplies, and the noise that their widths cost.

Nothing is trained or calibrated: ranges come from the tensors at hand. Noise is the energy of the error over that of
the numbers. A layer's output noise is measured, or estimated as if the errors of its two operands were independent:
(1 + input noise)(1 + weight noise) - 1.

With an asymmetric scheme the machine multiplies codes; what their zero points add to a sum is known before the run but
for padding, where a machine feeds the zero point and this simulator the code 0. No cycle depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.operands import handle
from accelsim.operands.golden import convolve_reals
from accelsim.operands.handle import Operand, to_conv_input, to_conv_weight
from accelsim.operands.quantizers import Quantized, Range, Scheme, decibels, noise_ratio, quantize
from accelsim.passes.precision import Type
from accelsim.passes.profile import Role
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.lowering import lowered
from accelsim.workload.network import Network
from accelsim.workload.shapes import PRODUCTS

FIXED_BITS: dict[str, int] = {"ternary": 2, "binary": 1}
"""Widths that a scheme brings along."""

DEFAULT_BITS = 8
"""Where neither the settings nor the network give a width."""


@dataclass(frozen=True)
class Settings:
    """How to quantise.

    Attributes
    ----------
    weights, inputs : "symmetric", "asymmetric", "ternary" or "binary"
        See `accelsim.operands.quantizers.quantize`. Symmetric codes of numbers that are all positive are unsigned.
    channels : bool
        Whether each output channel of the filters has a scale of its own.
    limits : "max" or "mse"
        Cover the whole range, or the part of it that leaves the least squared error.
    weight_bits, input_bits : int, optional
        Widths for every layer, in place of those of the network; ternary is 2 and binary 1.
    seed : int
        Of the tensors whose numbers are neither given nor in the network.
    measure : bool
        Whether to compute every layer's output with and without quantisation.
    """

    weights: Scheme = "symmetric"
    inputs: Scheme = "symmetric"
    channels: bool = False
    limits: Range = "max"
    weight_bits: int | None = None
    input_bits: int | None = None
    seed: int = 0
    measure: bool = False


@dataclass(frozen=True)
class QuantizedTensor:
    """What quantisation does to a tensor; ``origin`` of its numbers is ``file``, ``network`` or ``seeded``."""

    layer: str
    role: Role
    tensor: str
    origin: str
    scheme: Scheme
    elements: int
    bits: int
    signed: bool
    scales: int
    largest_scale: float
    noise: float
    constant: bool

    @property
    def key(self) -> str:
        """The name of its array in an archive of operands."""
        return f"{self.layer}.{'input' if self.role == 'input' else 'weight' if self.constant else 'input2'}"

    @property
    def sqnr_db(self) -> float | None:
        """Signal-to-quantisation-noise ratio; None if nothing is lost."""
        return decibels(self.noise)


@dataclass(frozen=True)
class QuantizedLayer:
    """The noise of a layer's output, in shares of its signal: estimated, and measured if asked for."""

    name: str
    kind: str
    input_noise: float
    weight_noise: float
    measured_noise: float | None

    @property
    def noise(self) -> float:
        """The estimate, for independent errors."""
        return (1 + self.input_noise) * (1 + self.weight_noise) - 1


@dataclass(frozen=True)
class Quantization:
    """A quantised network: noise by tensor and layer, codes by tensor, and the types that hold them."""

    network: str
    tensors: tuple[QuantizedTensor, ...]
    layers: tuple[QuantizedLayer, ...]
    codes: Mapping[str, NDArray[np.signedinteger]] = field(repr=False)
    types: Mapping[str, Type]

    def arrays(self) -> dict[str, NDArray[np.signedinteger]]:
        """Return ``<layer>.weight``, ``<layer>.input``, ... -> codes: what `accelsim.operands.files` reads."""
        return {t.key: self.codes[t.tensor] for t in self.tensors}


def quantize_network(
    network: Network,
    settings: Settings | None = None,
    given: Mapping[str, NDArray[np.generic]] | None = None,
) -> Quantization:
    """Quantise the input and the filters (of a matmul both activations) of every layer that multiplies.

    A tensor that several layers read is quantised once.

    Parameters
    ----------
    network : Network
        With widths where the settings give none; 8 bits where neither does.
    settings : Settings, optional
    given : mapping, optional
        Tensor name -> array of its shape, real or integer, in place of the network's own values;
        `accelsim.operands.files.read_npz` reads them. What neither gives is seeded: normal numbers, an assumption.

    Raises
    ------
    WorkloadError
        No layer that multiplies, and whatever is wrong with a tensor, by layer and name.
    """
    network = lowered(network)
    plan, table = settings or Settings(), given or {}
    rows: dict[str, QuantizedTensor] = {}
    codes: dict[str, NDArray[np.signedinteger]] = {}
    types: dict[str, Type] = {}
    layers = []
    for layer in network.layers:
        if layer.kind not in PRODUCTS:
            continue
        view = network.view(layer)
        made: list[tuple[NDArray[np.float64], Quantized]] = []
        for role, operand in operands_of(view, plan.seed):
            tensor = operand.tensor
            reals, origin = real_numbers(network, operand, table)
            done = _quantized(view.name, role, tensor, reals, plan)
            made.append((reals, done))
            if tensor.name in rows:
                continue
            rows[tensor.name] = QuantizedTensor(
                layer.name, role, tensor.name, origin, done.scheme, tensor.elements, done.bits, done.signed,
                done.scale.size, float(done.scale.max()), noise_ratio(reals, done.values), tensor.weight,
            )  # fmt: skip
            codes[tensor.name] = done.codes.astype(np.min_scalar_type(-(1 << (done.bits - done.signed))))
            types[tensor.name] = Type(done.bits, done.signed)
        measured = _measured(view, made) if plan.measure else None
        layers.append(
            QuantizedLayer(layer.name, layer.kind, rows[view.input.name].noise, rows[view.weight.name].noise, measured)
        )
    if not layers:
        raise WorkloadError(f"network '{network.name}' has no layer that multiplies", "give one that has")
    return Quantization(network.name, tuple(rows.values()), tuple(layers), codes, types)


def operands_of(view: LayerView, seed: int) -> tuple[tuple[Role, Operand], ...]:
    """Return the two operands of a layer that multiplies, by role."""
    both = handle.of(view, seed)
    return (("input", both.input), ("weight", both.weight))


def real_numbers(
    network: Network, operand: Operand, given: Mapping[str, NDArray[np.generic]]
) -> tuple[NDArray[np.float64], str]:
    """Return an operand's numbers as float64, and where they come from."""
    name = operand.tensor.name
    if name in given:
        return np.asarray(given[name], dtype=np.float64), "file"
    if name in network.values:
        return np.asarray(network.values[name], dtype=np.float64), "network"
    network.refuse_absent(name)
    return operand.reals, "seeded"


def quantize_tensor(tensor: Tensor, reals: NDArray[np.float64], bits: int, scheme: Scheme, plan: Settings) -> Quantized:
    """Quantise one tensor at one width; without negative numbers it gets unsigned symmetric codes."""
    signed = tensor.signed and bool(reals.min(initial=0) < 0)
    channels = plan.channels and tensor.weight
    return quantize(reals, bits, scheme, signed=signed, channels=channels, limits=plan.limits)


def _quantized(layer: str, role: Role, tensor: Tensor, reals: NDArray[np.float64], plan: Settings) -> Quantized:
    scheme = _scheme(role, plan)
    asked = plan.weight_bits if role == "weight" else plan.input_bits
    bits = FIXED_BITS.get(scheme) or asked or tensor.bits or DEFAULT_BITS
    try:
        return quantize_tensor(tensor, reals, bits, scheme, plan)
    except WorkloadError as error:
        raise WorkloadError(f"layer '{layer}': tensor '{tensor.name}': {error.problem}", error.remedy) from None


def _scheme(role: Role, plan: Settings) -> Scheme:
    return plan.weights if role == "weight" else plan.inputs


def _measured(view: LayerView, made: list[tuple[NDArray[np.float64], Quantized]]) -> float:
    """Return the noise of the layer's output: both convolutions in float64."""
    conv = view.conv
    outputs = [
        convolve_reals(conv, to_conv_input(view, x), to_conv_weight(view, w))
        for x, w in (tuple(reals for reals, _ in made), tuple(done.values for _, done in made))
    ]
    return noise_ratio(outputs[0], outputs[1])
