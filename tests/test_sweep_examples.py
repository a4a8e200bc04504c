"""The studies in examples/: whole, honest about their answer, and run at small size."""

from pathlib import Path

import pytest

from accelsim.explore import store, sweep
from accelsim.explore.schema import parse_sweep, read_sweep
from accelsim.explore.space import expand
from accelsim.spec.yamlfile import read

EXAMPLES = Path(__file__).parent.parent / "examples"
STUDIES = sorted(path.parent.name for path in EXAMPLES.glob("*/sweep.yaml"))


def small(name, folder, networks, **axes):
    """Write a study with fewer axis values and smaller networks, and return its path."""
    import yaml

    data = read(EXAMPLES / name / "sweep.yaml").data
    data["networks"] = networks
    data["axes"] |= axes
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
    assert small_ > middle >= large
    assert small_ - middle > middle - large
