"""Colours keep their meaning: components of a class have its colour in every picture, and machines compare by class."""

import pytest

import accelsim
from accelsim.config import packaged
from accelsim.explore.sweep import choose, run
from accelsim.report import breakdown_plot, classes, palette, point_plots, points, series


def hue(look):
    """Return how far each part of a colour is from white, as shares of the farthest."""
    away = [255 - int(look.colour[i : i + 2], 16) for i in (1, 3, 5)]
    return [part / max(away) for part in away]


@pytest.mark.parametrize("name", packaged.names("arch_configs"))
def test_every_component_of_a_packaged_machine_has_a_class_and_the_colour_of_it(name):
    found = classes.of_machine(accelsim.load_arch(name))
    assert set(found.values()) <= set(classes.LOOKS) - {"other"}
    looks = classes.looks(found, found)
    assert set(looks) == set(found)
    for component, look in looks.items():
        assert hue(look) == pytest.approx(hue(classes.LOOKS[found[component]]), abs=0.03)


def test_shades_of_a_class_begin_with_its_colour_and_differ():
    names = [f"buffer{i}" for i in range(6)]
    looks = classes.looks(names, dict.fromkeys(names, "buffers"))
    assert looks["buffer0"] == classes.LOOKS["buffers"]
    assert len({look.colour for look in looks.values()}) == 6


def test_dram_and_arithmetic_look_alike_in_the_breakdown_of_every_machine():
    for name in ("edge_npu", "eyeriss", "scnn", "bitfusion"):
        result = accelsim.simulate(name, "alexnet", layers="conv2")
        _, looks = breakdown_plot.energy_bars(result, series.rows(result))
        arithmetic = next(part for part in looks if classes.of_result(result)[part] == "arithmetic")
        assert looks["dram"] == palette.DRAM
        assert looks[arithmetic].colour == palette.BLUE


def results(*names):
    return [accelsim.simulate(name, "alexnet", layers="conv2") for name in names]


def test_machines_with_different_components_are_compared_by_class_and_nothing_is_lost():
    ran = results("eyeriss", "scnn")
    shown = points.of_results(ran).points
    found = point_plots.energy_parts(shown)
    assert found.by == "class"
    assert len(found.looks) <= len(classes.LOOKS)
    for parts, result in zip(found.parts, ran, strict=True):
        assert sum(parts.values()) == pytest.approx(result.total_energy_pj)


def test_variants_of_one_machine_are_compared_by_component():
    shown = points.of_results(results("systolic_ws", "systolic_os")).points
    assert point_plots.energy_parts(shown).by == "component"


def test_a_store_knows_the_classes_of_its_machines(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "name: mixed\nmachines: [eyeriss, scnn]\nnetworks: [alexnet]\naxes: {memory.dram.gb_per_s: [8, 16]}\n"
    )
    run.run(tmp_path / "s.yaml", tmp_path / "s.db", workers=0)
    shown = choose.of_store(tmp_path / "s.db", None, None).compared.points
    assert point_plots.energy_parts(shown).by == "class"
    assert {len(point.classes) > 3 for point in shown} == {True}


def test_a_report_of_a_machine_that_is_not_here_is_still_drawn():
    (result,) = results("eyeriss")
    foreign = result.over(["conv2"]).__class__(
        **{name: getattr(result, name) for name in result.__dataclass_fields__}
        | {"arch": {**result.arch, "engine": "of_somebody_else"}}
    )
    assert classes.of_result(foreign) == {"dram": "DRAM", "leakage": "leakage"}
    _, looks = breakdown_plot.energy_bars(foreign, series.rows(foreign))
    assert set(looks) - {breakdown_plot.OTHERS} <= {name for name, pj in foreign.energy_pj.items() if pj}
    assert looks["dram"] == palette.DRAM
