"""One layer in time: what alternates with what in the buffer, and one pass of it, cycle by cycle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from style import INK, QUIET, save

import accelsim
from accelsim.activity import flatten
from accelsim.engines import registry
from accelsim.engines.row_stationary.pass_reference import PassMachine, Work
from accelsim.layer import machine_view
from accelsim.operands.handle import of
from accelsim.passes.precision import resolve

LAYER, CHANNEL_BLOCKS, ZOOM_CYCLES = "conv2", 4, 1200
BLUE, SKY, GREEN, YELLOW, ORANGE, RED, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00", "#BBBBBB",
)  # fmt: skip


class Recorder(PassMachine):
    """A pass that remembers what moved in every cycle; values are of no interest here."""

    def run(self) -> None:
        self.now = 0
        self.moved = {name: Counter() for name in ("ifmap", "in", "out")}
        self.states = []
        super().run()

    def _spend(self, pe) -> None:
        if pe is self.pes[0]:
            self.states.append(Counter())
        before = dict(self.causes)
        busy = bool(pe.left)
        super()._spend(pe)
        waits = next((cause for cause in before if self.causes[cause] != before[cause]), None)
        self.states[-1]["multiplying" if busy else waits] += 1

    def _move_ifmap(self) -> None:
        self._count("ifmap", self.stream, super()._move_ifmap)

    def _move_psums_in(self) -> None:
        self._count("in", self.psum_reads, super()._move_psums_in)

    def _move_psums_out(self, now) -> None:
        self._count("out", self.psum_writes, lambda: super(Recorder, self)._move_psums_out(now))

    def _count(self, name, words, move) -> None:
        before = len(words)
        move()
        self.moved[name][len(self.states)] += before - len(words)


def layer():
    """The plan of the layer with the mapper's choice, and its activity."""
    arch = accelsim.load_arch("eyeriss")
    network = resolve(accelsim.load_network("alexnet").batched(4), arch.precision)
    result = accelsim.simulate(arch, network, layers=LAYER).simulated[0]
    view = network.view(next(found for found in network.layers if found.name == LAYER))
    engine, params, machine = registry.get("row_stationary"), arch.units[0].params, machine_view(arch)
    plan = engine.plan(view, of(view), params, engine.mapping_schema(**result.mapping), machine)
    return plan, engine.run(plan)


def one_pass(plan) -> Recorder:
    """Step the layer's second pass."""
    cut, conv = plan.cut, plan.cut.conv
    silent = SimpleNamespace(
        add=lambda *_: None,
        x=np.ones((conv.n, conv.c, conv.h, conv.w), dtype=np.int64),
        w=np.ones((conv.k, cut.channels, conv.r, conv.s), dtype=np.int64),
        out=np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64),
    )
    mp = cut.mapping
    lag = int(-(-mp.p * mp.t * mp.e // cut.params.psum_words_per_cycle))
    work = Work(range(mp.n), range(mp.q * mp.r), range(mp.p * mp.t), range(mp.e), 0, True, True, lag)
    recorder = Recorder(silent, conv, cut.params, mp, work)
    recorder.run()
    return recorder


def residency(ax, plan, activity) -> None:
    """Draw loads, passes and prefetches of the first channel blocks that share their psums."""
    dram = plan.machine.dram
    now, blocks = 0.0, 0
    for step in flatten(activity.schedule):
        if step.before:
            blocks += 1
            if blocks > CHANNEL_BLOCKS:
                break
            cycles = dram.bus_cycles(step.before)
            ax.broken_barh([(now, cycles)], (2.1, 0.8), color=GREEN)
            now += cycles
        ax.broken_barh([(now, step.compute_cycles)], (0.1, 0.8), color=BLUE, edgecolor="white", linewidth=1)
        ax.broken_barh([(now, dram.bus_cycles(step.loads))], (1.1, 0.8), color=YELLOW)
        now += step.compute_cycles
    ax.set_yticks([0.5, 1.5, 2.5], ["passes", "DRAM: filters\nof the next pass", "DRAM: ifmap\nloads"])
    ax.set_xlim(0, now)
    ax.set_title(
        f"{CHANNEL_BLOCKS} of the {len(plan.cut.channel_blocks)} channel blocks between two dumps: "
        "nothing computes while an ifmap strip is loaded",
        color=INK, pad=6,
    )  # fmt: skip
    ax.set_xlabel("cycles", fontsize=8, color=INK, labelpad=1)


def lanes(ax, recorder, filter_cycles, until) -> None:
    """Draw the four networks in words per cycle, and below them what the PEs do."""
    xs = np.arange(until)
    rows = [
        ("filters", [4 * (cycle < filter_cycles) for cycle in xs], 4, YELLOW),
        ("ifmap words", [recorder.moved["ifmap"][c + 1] for c in xs], 1, GREEN),
        ("psums in", [recorder.moved["in"][c + 1] for c in xs], 4, SKY),
        ("psums out", [recorder.moved["out"][c + 1] for c in xs], 4, ORANGE),
    ]
    ticks, names = [], []
    for place, (name, words, most, colour) in enumerate(rows):
        bottom = 4.2 + (len(rows) - 1 - place) * 1.15
        ax.fill_between(xs, bottom, bottom + np.array(words) / most, step="post", color=colour, linewidth=0)
        ax.axhline(bottom, color=QUIET, linewidth=0.5)
        ticks.append(bottom + 0.5)
        names.append(f"{name}\n(up to {most} per cycle)")
    states = recorder.states[:until]
    parts = (("multiplying", BLUE), ("conflict", RED), ("starved", "#882255"), ("fill_drain", GREY))
    pes, base = len(recorder.pes), np.zeros(len(states))
    for state, colour in parts:
        share = np.array([counts[state] for counts in states]) / pes * 3.7
        ax.fill_between(range(len(states)), base, base + share, step="post", color=colour, linewidth=0)
        base = base + share
    ax.set_yticks([1.85, *ticks], [f"{pes} PEs", *names])
    ax.set_xlim(0, until)
    ax.set_ylim(0, 8.9)


def draw(folder: Path) -> Path:
    """Write the picture and return its path."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    plan, activity = layer()
    recorder = one_pass(plan)
    cut = plan.cut
    words = cut.mapping.p * cut.mapping.t * cut.mapping.q * cut.mapping.r * cut.conv.r * cut.conv.s
    filter_cycles = -(-words // cut.params.filter_words_per_cycle)
    figure, axes = plt.subplots(3, 1, figsize=(10.6, 10.4), height_ratios=(1.1, 2.6, 2.6))
    figure.subplots_adjust(left=0.125, right=0.975, top=0.875, bottom=0.05, hspace=0.36)
    residency(axes[0], plan, activity)
    total = len(recorder.states)
    for ax, until, title in (
        (axes[1], ZOOM_CYCLES, f"The first {ZOOM_CYCLES:,} cycles of a pass"),
        (axes[2], total, f"The whole pass: {recorder.ended:,} cycles"),
    ):
        lanes(ax, recorder, filter_cycles, until)
        ax.set_title(title, color=INK, pad=6)
        ax.set_xlabel("cycles", fontsize=8, color=INK, labelpad=1)
    for ax in axes:
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params(labelsize=7.5, colors=QUIET, length=2)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.spines["bottom"].set_color(QUIET)
    figure.text(0.012, 0.985, f"Eyeriss in time: AlexNet {LAYER}, batch 4", fontsize=10, color=INK,
                va="top")  # fmt: skip
    chosen = "  ".join(f"{name} {value}" for name, value in cut.mapping.model_dump().items())
    note = f"Mapping: {chosen}. Every pass loads its filters, then its first window; from then on the networks overlap."
    figure.text(0.012, 0.962, note, fontsize=7.8, color=QUIET, va="top")
    names = (("multiplying", BLUE), ("waiting for psums to move on", RED), ("waiting for ifmap words", "#882255"),
             ("filter load, first window, end", GREY))  # fmt: skip
    figure.legend(handles=[Patch(color=c, label=n) for n, c in names], loc="upper left", bbox_to_anchor=(0.005, 0.95),
                  ncol=4, frameon=False, fontsize=7.8, handlelength=1, handleheight=1, title="PEs",
                  title_fontsize=7.8, alignment="left")  # fmt: skip
    path = folder / "eyeriss_pass.png"
    save(figure, path)
    plt.close(figure)
    return path
