"""The studies in examples/: whole, honest about their answer, and run at small size."""

import importlib.util
import json
from pathlib import Path

import pytest

from accelsim.config.yamlfile import read
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep import store
from accelsim.explore.sweep.schema import parse_sweep, read_sweep
from accelsim.explore.sweep.space import expand

EXAMPLES = Path(__file__).parent.parent / "examples"
STUDIES = sorted(path.parent.name for path in EXAMPLES.glob("*/sweep.yaml"))


def small(name, folder, networks, layers="*", **axes):
    """Write a study with fewer axis values and smaller networks or fewer layers, and return its path."""
    import yaml

    data = read(EXAMPLES / name / "sweep.yaml").data
    data["networks"] = networks
    data["axes"] |= axes
    data.setdefault("options", {})["layers"] = layers
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def rows(path, folder):
    sweep.run(path, folder / "s.db", workers=0)
    with store.open_reader(folder / "s.db") as opened:
        return list(opened.rows())


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_its_question_answer_and_picture(name):
    folder = EXAMPLES / name
    spec = read_sweep(folder / "sweep.yaml").spec
    text = (folder / "README.md").read_text()
    assert text.startswith(f"# {spec.question}\n")
    assert f"accelsim sweep examples/{name}/sweep.yaml" in text
    assert (folder / "answer.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("name", STUDIES)
def test_every_point_of_a_study_can_be_run(name):
    document = read(EXAMPLES / name / "sweep.yaml")
    points = list(expand(parse_sweep(document, EXAMPLES / name)).points())
    assert points
    assert not any(point.reason for point in points)


def test_narrow_output_stationary_arrays_suit_depthwise_layers(tmp_path):
    # the extremes of the study, on a MobileNet of a quarter of the work
    shape = {"zip": {"params.rows": [4, 64], "params.cols": [256, 16]}}
    found = rows(small("array_shape", tmp_path, ["mobilenet_v1_050_128"], shape=shape), tmp_path)
    edp = {(r["params.cols"], r["params.dataflow"]): r["edp_pj_s"] for r in found}
    assert min(edp, key=edp.get) == (16, "os")
    assert max(edp, key=edp.get) == (256, "ws")
    idle = {
        r["params.cols"]: r["cycles_by_cause"]["unmapped"] / r["cycles"] for r in found if r["params.dataflow"] == "ws"
    }
    assert idle[256] > idle[16]


def test_larger_scratchpads_save_dram_energy_with_falling_return(tmp_path):
    axes = {"params.input_kib": [16, 64, 256], "params.weight_kib": [64], "params.output_kib": [64]}
    found = rows(small("buffer_size", tmp_path, ["alexnet"], **axes), tmp_path)
    small_, middle, large = (r["energy_pj"]["dram"] for r in found)
    # mappings are chosen for all energy, of which a larger scratchpad takes more: DRAM's alone need not fall any more
    assert small_ > middle
    assert small_ - middle > 10 * abs(middle - large)


def alike(values, *keys):
    """Return a zipped axis whose keys all take the same values."""
    return {"zip": dict.fromkeys(keys, values)}


def test_scnn_beats_its_dense_siblings_on_sparse_data_only(tmp_path):
    density = alike([0.3, 1.0], "options.weight_density", "options.input_density")
    found = rows(small("density", tmp_path, ["googlenet"], "inception_4b*", density=density), tmp_path)
    edp = {(r["machine"], r["options.weight_density"]): r["edp_pj_s"] for r in found}
    assert edp["scnn", 0.3] < 0.25 * edp["dcnn_opt", 0.3] < 0.25 * edp["dcnn", 0.3]
    assert edp["scnn", 1.0] > edp["dcnn", 1.0]


def test_bits_pay_where_both_operands_buy_time(tmp_path):
    bits = alike([4, 5, 8], "precision.weight_bits", "precision.input_bits", "precision.output_bits")
    found = rows(small("bits", tmp_path, ["resnet18"], "layer3.0.*", bits=bits), tmp_path)
    edp = {(r["machine"], r["precision.weight_bits"]): r["edp_pj_s"] for r in found}
    cycles = {(r["machine"], r["precision.weight_bits"]): r["cycles"] for r in found}
    saved = {machine: edp[machine, 4] / edp[machine, 8] for machine, _ in edp}
    assert max(saved["loom"], saved["bitfusion"]) < saved["unpu"] < min(saved["stripes"], saved["systolic_ws"])
    assert cycles["bitfusion", 5] > 0.9 * cycles["bitfusion", 8] > 2 * cycles["bitfusion", 4]
    assert cycles["loom", 5] < 0.6 * cycles["loom", 8]


def answer(name):
    return " ".join((EXAMPLES / name / "README.md").read_text().split())


def test_the_answer_about_shapes_is_what_its_networks_give(tmp_path):
    shape = {"zip": {"params.rows": [32, 64], "params.cols": [32, 16]}}
    found = rows(small("array_shape", tmp_path, ["mobilenet_v2", "resnet50"], shape=shape), tmp_path)
    edp = {(r["network"], r["params.rows"], r["params.dataflow"]): r["edp_pj_s"] for r in found}
    over = {key: value / edp[key[0], 32, "ws"] for key, value in edp.items()}
    both = {r: (over["mobilenet_v2", r, "os"] * over["resnet50", r, "os"]) ** 0.5 for r in (32, 64)}
    text = answer("array_shape")
    assert f"64 x 16 has {over['mobilenet_v2', 64, 'os']:.2f} of the energy-delay product" in text
    assert f"(output-stationary: {over['resnet50', 32, 'os']:.2f})" in text
    assert f"output-stationary 64 x 16 ({both[64]:.2f}), then 32 x 32 ({both[32]:.2f})" in text


def test_the_answer_about_bits_is_what_its_network_gives(tmp_path):
    bits = alike([4, 8], "precision.weight_bits", "precision.input_bits", "precision.output_bits")
    found = rows(small("bits", tmp_path, ["resnet18"], bits=bits), tmp_path)
    edp = {(r["machine"], r["precision.weight_bits"]): r["edp_pj_s"] for r in found}
    loom, fusion, unpu, systolic, stripes = (
        f"{edp[m, 4] / edp[m, 8]:.2g}" for m in ("loom", "bitfusion", "unpu", "systolic_ws", "stripes")
    )
    falls = (
        f"falls to {loom} on Loom, {fusion} on BitFusion and to {unpu} on UNPU, but only to {systolic} on a systolic"
    )
    assert falls in answer("bits")
    assert f"and to {stripes} on Stripes" in answer("bits")


def test_the_answer_about_buffers_is_what_its_network_gives(tmp_path):
    axes = {"sizes": alike([16, 64], "params.input_kib", "params.weight_kib"), "params.output_kib": [64]}
    path = small("buffer_size", tmp_path, ["resnet50"], **axes)
    data = read(path).data
    del data["axes"]["params.input_kib"], data["axes"]["params.weight_kib"]
    path.write_text(json.dumps(data))
    least, more = rows(path, tmp_path)
    text = answer("buffer_size")
    assert f"DRAM energy from {least['energy_pj']['dram'] / 1e9:.1f} to" in text
    assert f"64 KiB each are at {more['energy_pj']['dram'] / 1e9:.1f} mJ" in text
    assert f"falls from {least['total_energy_pj'] / 1e9:.1f} to {more['total_energy_pj'] / 1e9:.1f} mJ" in text


def test_the_answer_about_density_is_what_its_network_gives(tmp_path):
    density = alike([0.1, 0.5], "options.weight_density", "options.input_density")
    path = small("density", tmp_path, ["googlenet"], "*[!c]", density=density)
    path.write_text(path.read_text().replace("- dcnn_opt\n", ""))
    found = rows(path, tmp_path)
    edp = {(r["machine"], r["options.weight_density"]): r["edp_pj_s"] for r in found}
    half, tenth = edp["dcnn", 0.5] / edp["scnn", 0.5], edp["dcnn", 0.1] / edp["scnn", 0.1]
    assert f"{half:.1f} times DCNN at a density of 0.5, {tenth:.0f} times at 0.1" in answer("density")


def test_the_picture_of_a_study_has_names_titles_and_ratios(tmp_path):
    spec = importlib.util.spec_from_file_location("lines", EXAMPLES / "lines.py")
    lines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lines)
    axes = [{"machine": m, "network": "n", "x": x, "edp_pj_s": edp} for m, x, edp in
            [("a", 1, 8.0), ("b", 1, 2.0), ("a", 2, 6.0), ("b", 2, 9.0)]]  # fmt: skip
    assert lines.ratios(axes, "x", "machine=a") == {"a": [(1, 1.0), (2, 1.0)], "b": [(1, 0.25), (2, 1.5)]}
    own = lines.ratios(axes, "x", "x=2")
    assert own == {"a": [(1, 8 / 6), (2, 1.0)], "b": [(1, 2 / 9), (2, 1.0)]}
    (ax,) = lines.draw(own, "Which?", "x (bits)", "ratio").axes
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[8 / 6, 1.0], [2 / 9, 1.0]]
    assert {text.get_text() for text in ax.texts} == {"a", "b"}
    assert (ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()) == ("Which?", "x (bits)", "ratio")
