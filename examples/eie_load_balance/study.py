"""What decides EIE's time beyond the number of entries: load balance against queue depth and PEs, and row imbalance."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from accelsim import load_arch, load_network
from accelsim.engine import Machine, NoMapping
from accelsim.engines import registry
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import of
from accelsim.units import ceil_div

ENGINE = registry.get("eie")
MACHINE = Machine({"core": Fraction(800)}, DramModel(Fraction(256), 80, 512))
DEPTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PUBLISHED_US = {
    "Alex-6": (28.1, 30.3), "Alex-7": (11.7, 12.2), "Alex-8": (8.9, 9.9), "VGG-6": (28.1, 34.4), "VGG-7": (7.9, 8.7),
    "VGG-8": (7.3, 8.4), "NT-We": (5.2, 8.0), "NT-Wd": (13.0, 13.9), "NT-LSTM": (6.5, 7.5),
}  # fmt: skip
"""Theoretical and actual time of the paper's Table IV, in a transcription."""


def views():
    """Layer name -> view of the nine benchmark layers."""
    network = load_network("eie_benchmarks")
    return {layer.name: network.view(layer) for layer in network.layers}


def params(**changes):
    """EIE's parameters with some changed, and memories that hold every layer whole."""
    room = {"matrix_bytes": 1 << 26, "pointer_bytes": 1 << 26, "activation_bytes": 1 << 26, "pointer_bits": 32}
    return load_arch("eie").units[0].params.model_copy(update=room | changes)


def plan(view, **changes):
    return ENGINE.plan(view, of(view), params(**changes), NoMapping(), MACHINE)


def balance(activity):
    """Return the paper's load balance: one minus bubbles (waiting for a broadcast or a peer) per cycle."""
    causes = activity.accounts["pes"]
    whole = sum(causes.values()) - causes.get("unmapped", 0)
    return 1 - (causes["imbalance"] + causes["starved"]) / whole


def by_depth(view, depths=DEPTHS):
    """Return depth -> activity; the layer is compressed once."""
    ready = plan(view)
    return {d: ENGINE.run(ready._replace(params=ready.params.model_copy(update={"queue_depth": d}))) for d in depths}


def by_pes(view, counts=PES):
    """Return PEs -> activity, with registers for the whole vector in one batch, however few the PEs are."""
    longest = max(view.shape.c, view.shape.k)
    return {n: ENGINE.run(plan(view, pes=n, registers=max(64, ceil_div(longest, n)))) for n in counts}


def uneven(view, spread, density=None):
    """Return the layer with rows whose densities are log-normal with this ``spread``, same mean."""
    weight = replace(view.weight, density=density or view.weight.density, pattern=f"rows:{spread:g}")
    return replace(view, weights=(weight, *view.weights[1:]))


def following(view, ratio):
    """Return the layer with weights that are ``ratio`` times as dense where the input is not zero, same mean."""
    weight = replace(view.weight, pattern=f"follows:{ratio:g}")
    return replace(view, weights=(weight, *view.weights[1:]))


def times_us(view, density=None):
    """Return (theoretical, actual) time on the published machine at 800 MHz."""
    if density is not None:
        view = replace(view, weights=(replace(view.weight, density=density), *view.weights[1:]))
    activity = ENGINE.run(plan(view))
    return activity.details["ideal_cycles"] / 800, activity.compute_cycles / 800
