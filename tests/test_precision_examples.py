"""The studies of widths: they run, and what they say adds up."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

import accelsim
from accelsim.config.yamlfile import parse
from accelsim.replicas.bitfusion2018 import machine, model, networks
from accelsim.workload.yaml_network import build

EXAMPLES = Path(accelsim.__file__).parents[1] / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("not a source tree", allow_module_level=True)

SMALL = """\
name: small
isolated: true
layers:
  - {name: conv, kind: conv2d, c: 64, k: 64, h: 14, w: 14, r: 3, s: 3, pad: 1}
  - {name: fc, kind: linear, c: 512, k: 96}
"""


@pytest.fixture(scope="module")
def small():
    return build(parse(SMALL, "n.yaml"))


@pytest.fixture(scope="module")
def difference():
    return runpy.run_path(str(EXAMPLES / "bitfusion_release" / "difference.py"))


def test_the_steps_lead_from_the_engine_to_the_release(difference):
    found, words, compute = difference["chain"]("rnn")
    assert words == compute
    assert len(found) == len(difference["STEPS"])
    engine = accelsim.simulate("bitfusion", "bitfusion_rnn")
    release = model.simulate(networks.load("rnn"), machine.load())
    assert found[0] == (engine.cycles, engine.dram_read_bits, engine.dram_write_bits)
    assert found[-1] == (release.cycles, release.total("dram_read_bits"), release.total("dram_write_bits"))
    assert found[-2] == found[-1]  # nothing is left on this network: the release chose the same tiles


def test_each_step_moves_what_it_names(difference):
    whole = difference["chain"]("lenet5")
    found = whole.figures
    steps = [name for name, _ in difference["STEPS"]]
    moved = {name: after - before for name, before, after in zip(steps[1:], found, found[1:], strict=False)}
    assert moved["outputs at 32 bits"].write_bits > 0
    for name in ("edges of the image", "im2col in DRAM", "weights padded", "first-visit sums"):
        assert moved[name].read_bits > 0, name
        assert moved[name].write_bits == 0, name
    assert moved["fill and drain"].cycles < 0
    for name in ("overlap by layer", "fill and drain"):
        assert moved[name][1:] == (0, 0), name
    text = difference["to_markdown"]({"lenet5": whole})
    assert f"| engine | {found[0].cycles:,} |" in text
    assert f"| replica | {found[-1].cycles:,} |" in text


def test_widths_are_drawn_and_crossings_found(small, tmp_path):
    study = runpy.run_path(str(EXAMPLES / "precision_widths" / "draw.py"))
    machines = (study["FIXED"], "bitfusion", "loom", "stripes", "unpu (576)", "bismo", "dadiannao (16 bits)")
    found = study["collect"](small, (1, 4, 8, 9), machines)
    both = found["both operands"]
    assert sorted(both[study["FIXED"]]) == [1, 4, 8]
    assert both["loom"][4][0] < both["loom"][8][0] < both["loom"][9][0]
    assert len({point[0] for point in both["dadiannao (16 bits)"].values()}) == 1
    study["draw"](found, tmp_path / "w.png")
    assert (tmp_path / "w.png").stat().st_size > 10_000
    assert "| loom |" in study["to_markdown"](found)
    line, flat = {b: (b, 0) for b in (1, 2, 3, 4)}, dict.fromkeys((1, 2, 3), (2.5, 0))
    assert study["crossing"](line, flat, 0) == "1 to 2 bits"
    assert study["crossing"](flat, line, 0) == "3 bits"
    assert study["crossing"](line, line, 0) == "never"


def test_all_machines_of_the_study_have_about_one_size():
    study = runpy.run_path(str(EXAMPLES / "precision_widths" / "draw.py"))
    layer = "{name: c, kind: conv2d, c: 256, k: 192, h: 16, w: 16, r: 3, s: 3, pad: 1}"
    text = f"name: p\nisolated: true\nlayers: [{layer}]\n"
    full = build(parse(text, "p.yaml"))
    for name in (study["FIXED"], "bitfusion", "loom", "stripes", "unpu (576)", "bismo", "dadiannao (16 bits)"):
        arch = study["machine"](name).replace("memory.dram.gb_per_s", 1e6)
        narrow = full.with_tensors({n: replace(t, bits=8) for n, t in full.tensors.items()})
        (layer,) = accelsim.simulate(arch, narrow).layers
        assert 0.7 * 512 < layer.macs / layer.compute_cycles < 1.15 * 512, name


def test_the_fronts_of_two_machines_are_drawn(small):
    study = runpy.run_path(str(EXAMPLES / "precision_front" / "draw.py"))
    found = study["collect"](small, widths=(2, 4, 8))
    assert list(found) == ["bitfusion", "loom"]
    for curve in found.values():
        assert curve.best is not None
        assert [name for _, _, name in curve.uniform] == ["all 2 bits", "all 4 bits", "all 8 bits"]
        assert len(curve.front) > 3
