"""The engine `bitfusion` beside the released model, the difference cause by cause.

    python examples/bitfusion_release/difference.py [FILE.md]      writes reports/out/bitfusion_release.md by default

From the engine's figures to the release's, one difference at a time. The first steps are simulations of the engine
with one thing changed each; the next apply the release's arithmetic to the mappings of the last simulation; what then
is left comes from the tilings and loop orders that the release may choose from, and from choosing by its own rules.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import accelsim
from accelsim.engines.bitfusion.params import fuse
from accelsim.mapping import loopnest
from accelsim.mapping.loopnest import LoopNest, Tiling
from accelsim.replicas.bitfusion2018 import machine as release_machine
from accelsim.replicas.bitfusion2018 import model, networks
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear

NETWORKS = ("alexnet", "cifar10", "vgg7", "rnn", "svhn", "lenet5", "resnet18", "lstm")
BITS_PER_CYCLE = 192
PSUM_BITS = 32


class Figures(NamedTuple):
    """Of a layer or a network."""

    cycles: int = 0
    read_bits: int = 0
    write_bits: int = 0

    def __add__(self, other):  # type: ignore[override]
        return Figures(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other):
        return Figures(*(a - b for a, b in zip(self, other, strict=True)))


class Chain(NamedTuple):
    """Figures after each step, and compute cycles alone: the engine's without fill and drain, the release's."""

    figures: list[Figures]
    engine_words: int
    release_compute: int


STEPS = (
    ("engine", "`accelsim run bitfusion`, 192 bits per cycle"),
    ("bursts and latency", "DRAM moves single bits without latency (`burst_bits: 1`, `latency_ns: 0`)"),
    ("outputs at 32 bits", "outputs leave at the sums' width instead of the next layer's"),
    ("edges of the image", "padding is part of the image: fetched, and halos not clipped"),
    ("im2col in DRAM", "layers that read the image find it expanded, K x K times"),
    ("overlap by layer", "stall = max(0, traffic - compute) + first tile + last tile, by layer, not by tile"),
    ("fill and drain", "none: N + M - 1 cycles less per tile"),
    ("weights padded", "K x K x channels padded to the array's rows, the zeros fetched"),
    ("outputs padded", "output channels padded to the array's columns"),
    ("first-visit sums", "sums read on the first visit too"),
    ("tilings and orders", "tiles of powers of two, whole ones at edges too; 120 orders; the release's own choice"),
)  # fmt: skip


def variant(net: Network, step: int, release) -> Network:
    """Return the network as the first ``step`` steps have it."""
    marks = {layer.name.rsplit("_", 1)[0]: layer for layer in release.layers}
    layers, tensors = [], {}
    for layer in net.layers:
        view, shape = net.view(layer), layer.shape
        bits = [view.input.bits, view.weight.bits, PSUM_BITS if step >= 2 else view.output.bits]
        said = marks[layer.name]
        if isinstance(shape, Conv2d) and step >= 3:
            side = said.kernel + (said.output_side - 1) * said.stride
            shape = replace(shape, h=side, w=side, pad=(0, 0, 0, 0))
        if isinstance(shape, Conv2d) and step >= 4 and said.im2col:
            shape = Linear(shape.n * shape.e * shape.f, shape.c * shape.r * shape.s, shape.k)
        made, own = make_layer(layer.name, shape)
        names = (made.inputs[0], made.weights[0], made.outputs[0])
        tensors |= own | {n: replace(own[n], bits=b) for n, b in zip(names, bits, strict=True)}
        layers.append(made)
    return Network(net.name, tuple(layers), tensors, isolated=True, batch=net.batch)


def simulated(net: Network, step: int):
    arch = accelsim.load_arch("bitfusion")
    if step >= 1:
        arch = arch.replace("memory.dram.burst_bits", 1).replace("memory.dram.latency_ns", 0.0)
    return accelsim.simulate(arch, net)


def arithmetic(net: Network, result) -> list[list[Figures]]:
    """Return, for each step of arithmetic, the figures of every layer on the mappings of ``result``."""
    params = accelsim.load_arch("bitfusion").units[0].params
    steps: list[list[Figures]] = [[] for _ in range(5)]
    for layer, got in zip(net.layers, result.layers, strict=True):
        view = net.view(layer)
        conv = layer.shape.as_conv()
        mapping = {key: value for key, value in got.mapping.items() if key != "inner"}
        nest = LoopNest(conv, Tiling(**mapping), loopnest.widths(view, params.accumulator_bits))
        tile = nest.largest_bits
        lanes = fuse(view.input.bits, view.weight.bits, conv.c, params).lanes
        flows = {(f.tensor, f.direction): f.bits for f in got.traffic if f.boundary == "dram"}
        weights, outputs = flows["weight", "read"], flows["output", "write"]
        spills = flows.get(("psum", "write"), 0)
        other = got.dram_read_bits - weights

        def padded(c, conv=conv, lanes=lanes):
            taps = conv.r * conv.s * c
            return -(-taps // lanes) * lanes

        whole, rest = divmod(conv.c, nest.tiling.c)
        fetched = whole * padded(nest.tiling.c) + (padded(rest) if rest else 0)
        more_weights = weights * fetched // (conv.c * conv.r * conv.s)
        columns = -(-conv.k // params.cols) * params.cols
        wide_outputs, wide_spills = (bits * columns // conv.k for bits in (outputs, spills))
        read = got.dram_read_bits
        write = got.dram_write_bits
        words = got.details["word_cycles"]
        first = (tile["weight"] + tile["input"] + tile["output"], tile["output"])

        def rule(compute, read, write, first=first):
            ends = sum(-(-part // BITS_PER_CYCLE) for part in first)
            memory = -(-max(0, read + write - sum(first)) // BITS_PER_CYCLE)
            return Figures(compute + max(0, memory - compute) + ends, read, write)

        steps[0].append(rule(got.compute_cycles, read, write))
        steps[1].append(rule(words, read, write))
        steps[2].append(rule(words, other + more_weights, write))
        read = other - spills + wide_spills + more_weights
        steps[3].append(rule(words, read, wide_outputs + wide_spills))
        steps[4].append(rule(words, read + wide_outputs, wide_outputs + wide_spills))
    return steps


def chain(name: str) -> Chain:
    """Return the figures of a network after each step."""
    release = networks.load(name)
    net = accelsim.load_network(f"bitfusion_{name}")
    found, last = [], None
    for step in range(5):
        changed = variant(net, step, release)
        last = simulated(changed, step)
        found.append(Figures(last.cycles, last.dram_read_bits, last.dram_write_bits))
    found += [sum(step, Figures()) for step in arithmetic(changed, last)]
    theirs = model.simulate(release, release_machine.load())
    found.append(Figures(theirs.cycles, theirs.total("dram_read_bits"), theirs.total("dram_write_bits")))
    words = sum(layer.details["word_cycles"] for layer in last.layers)
    return Chain(found, words, theirs.total("compute_cycles"))


def to_markdown(chains: dict[str, Chain]) -> str:
    lines = [
        "# BitFusion: the engine beside the released model, cause by cause",
        "",
        "Made by `examples/bitfusion_release/difference.py`. Both run the released layer lists on the Eyeriss-matched",
        "configuration, 192 bits of DRAM per cycle, batch 16. A row changes one thing towards the release and says by",
        "how much each figure moves; the first row is the engine, the last the replica `bitfusion2018`, and the rows",
        "between sum to the difference. Agreement with the release is no validation of the engine: where they differ,",
        "the engine is meant to differ (`docs/decisions/0030-bit-serial.md`).",
        "",
        "| step | what changes | how |",
        "|---|---|---|",
    ]
    for number, (step, what) in enumerate(STEPS):
        how = "simulated" if number < 5 else "arithmetic on the last simulation's mappings" if number < 10 else "rest"
        lines.append(f"| {step} | {what} | {how} |")
    lines.append("")
    for name, (found, words, compute) in chains.items():
        lines += [f"## {name}", "", "| step | cycles | DRAM read bits | DRAM write bits |", "|---|---:|---:|---:|"]
        first = found[0]
        lines.append(f"| engine | {' | '.join(f'{v:,}' for v in first)} |")
        for (step, _), (before, after) in zip(STEPS[1:], pairwise(found), strict=True):
            cells = [f"{d:+,} ({100 * d / r:+.1f} %)" for d, r in zip(after - before, found[-1], strict=True)]
            lines.append(f"| {step} | {' | '.join(cells)} |")
        lines += [f"| replica | {' | '.join(f'{v:,}' for v in found[-1])} |", ""]
        lines += [
            f"Compute cycles alone: {words:,} in the engine without fill and drain, {compute:,} in the release.",
            "",
        ]
    lines += [
        "Percentages are of the replica's figure. The release counts a tile at an edge as a whole one, in time and in",
        "traffic: 13 x 13 outputs in tiles of 2 x 2 count as 14 x 14, 3600 channels in tiles of 64 as 3648. That is",
        "the difference in compute cycles, and the largest part of the last step on AlexNet and LSTM. Elsewhere",
        "compute cycles agree and the last step is the choice of tiles: the engine's were chosen for its own costs.",
    ]
    return "\n".join(lines) + "\n"


def main(file="reports/out/bitfusion_release.md"):
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = to_markdown({name: chain(name) for name in NETWORKS})
    target.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:2])
