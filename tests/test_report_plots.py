"""Pictures: their data, their labels, the same file twice."""

import struct
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.text import Text
from report_samples import alexnet, densenet, every_cause, network, partial_alexnet, resnet50, skipped

from accelsim.report import plots
from accelsim.report.series import MAX_ROWS, compute_roofs, points, rows


def bars(ax):
    """Return key -> total length of its segments."""
    found = {}
    for collection in ax.collections:
        corners = [path.vertices for path in collection.get_paths()]
        found[collection.get_label()] = sum(c[:, 0].max() - c[:, 0].min() for c in corners)
    return found


@pytest.mark.parametrize("sample", [alexnet, resnet50, densenet, every_cause])
def test_the_lengths_of_the_bars_are_the_cycles_and_the_energy(sample):
    result = sample()
    cycles, energy = plots.breakdown_figure(result).axes
    assert sum(bars(cycles).values()) == pytest.approx(result.cycles)
    assert sum(bars(energy).values()) == pytest.approx(result.total_energy_pj * 1e-12)
    stalls = sum(layer.stall_cycles for layer in result.simulated)
    assert bars(cycles).get("DRAM stall", 0) == pytest.approx(stalls)


def test_stacked_bars_of_a_layer_neither_overlap_nor_leave_gaps():
    cycles, _ = plots.breakdown_figure(alexnet()).axes
    for row, layer in enumerate(alexnet().layers):
        ends = sorted(
            (path.vertices[:, 0].min(), path.vertices[:, 0].max())
            for collection in cycles.collections
            for path in collection.get_paths()
            if abs(path.vertices[:4, 1].mean() - row) < 0.1
        )
        assert ends[0][0] == 0
        assert ends[-1][1] == pytest.approx(layer.cycles)
        assert all(a[1] == pytest.approx(b[0]) for a, b in pairwise(ends))


@pytest.mark.parametrize("sample", [alexnet, partial_alexnet, densenet])
def test_every_axis_has_a_name_with_its_unit(sample):
    cycles, energy = plots.breakdown_figure(sample()).axes
    assert cycles.get_xlabel() in ("cycles (k)", "cycles (M)")
    assert energy.get_xlabel() in ("energy (uJ)", "energy (mJ)")
    (roof,) = plots.roofline_figure(sample()).axes
    assert roof.get_xlabel() == "operational intensity (MAC per byte of DRAM traffic)"
    assert roof.get_ylabel() == "achieved rate (MAC/cycle)"
    assert roof.child_axes[0].get_ylabel() == "achieved rate (TOPS, two operations per MAC)"


def test_titles_say_partial_and_isolated():
    for figure in (plots.breakdown_figure, plots.roofline_figure):
        assert "(PARTIAL)" in figure(partial_alexnet()).get_suptitle()
        assert "(isolated layers)" in figure(alexnet()).get_suptitle()
        assert "(" not in figure(resnet50()).get_suptitle()


def test_small_layers_of_a_long_network_share_a_bar_and_the_picture_says_so():
    result = densenet()
    found = rows(result)
    others = len(result.layers) - MAX_ROWS + 1
    assert len(found) == MAX_ROWS
    assert found[-1].label == f"other {others} layers"
    assert sum(row.layers for row in found) == len(result.layers)
    figure = plots.breakdown_figure(result)
    texts = [t.get_text() for t in (*figure.texts, *figure.axes[0].texts)]
    assert any(f"the {others} smallest layers share the last bar" in t for t in texts)
    assert any("cut here" in t for t in texts)
    assert figure.get_figheight() < 17


def test_the_layers_that_share_a_bar_are_the_small_ones():
    result = densenet()
    found = rows(result, most=10)
    kept = {row.label for row in found}

    def share(row):
        return max(row.total_cycles / result.cycles, row.total_pj / result.total_energy_pj)

    smallest = min(share(row) for row in found[:-1])
    others = [row for row in rows(result, most=1000) if row.label not in kept]
    assert len(others) == found[-1].layers
    assert all(share(row) <= smallest for row in others)


def test_points_lie_under_both_roofs():
    for sample in (alexnet, resnet50, densenet):
        (roof,) = compute_roofs(sample())
        for point in points(sample()):
            assert point.rate <= roof * 1.001
            assert point.rate <= point.intensity * 64 / 8 * 1.001


def test_a_point_is_macs_per_byte_and_macs_per_cycle():
    fc8 = next(p for p in points(alexnet()) if p.label == "fc8")
    layer = alexnet().layers[-1]
    # Weights dominate: 4,096,000 of them, a byte and a MAC each.
    assert fc8.intensity == pytest.approx(4_096_000 / (4_096_000 + 4096 + 1000))
    assert fc8.rate == pytest.approx(4_096_000 / layer.cycles)


def test_layers_without_a_point_are_counted_in_the_caption():
    (caption,) = [t.get_text() for t in plots.roofline_figure(resnet50()).texts if "area of a point" in t.get_text()]
    vectors = sum(not layer.macs for layer in resnet50().layers)
    assert f"not shown: {vectors} layers without MACs" in caption


@pytest.mark.parametrize("draw", [plots.breakdown, plots.roofline])
def test_the_same_result_gives_the_same_png_whatever_the_users_style(draw, tmp_path):
    import matplotlib as mpl

    draw(partial_alexnet(), tmp_path / "a.png")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "figure.dpi": 30}):
        draw(partial_alexnet(), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_png_holds_neither_date_nor_software(tmp_path):
    plots.roofline(alexnet(), tmp_path / "a.png")
    data, at, chunks = (tmp_path / "a.png").read_bytes(), 8, set()
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        chunks.add(kind)
        at += size + 12
    assert chunks <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


@pytest.mark.parametrize("figure", [plots.breakdown_figure, plots.roofline_figure])
def test_a_network_without_a_simulated_layer_gives_a_picture_that_says_so(figure):
    empty = figure(network([skipped("pool1")]))
    texts = [t.get_text() for ax in empty.axes for t in ax.texts]
    assert any(t.startswith("no layer") for t in texts)


def test_dollars_in_names_are_no_mathematics(tmp_path):
    layers = [replace(layer, name=f"${layer.name}_$\\frac{{") for layer in alexnet().layers]
    plots.breakdown(network(layers), tmp_path / "a.png")
    plots.roofline(network(layers), tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 10_000


def test_names_on_the_roofline_cover_neither_each_other_nor_leave_the_axes():
    figure = plots.roofline_figure(densenet())
    (ax,) = figure.axes
    figure.canvas.draw()
    boxes = [Text.get_window_extent(t) for t in ax.texts if "conv" in t.get_text()]
    assert len(boxes) >= 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    axes = ax.get_window_extent()
    assert all(axes.x0 < box.x0 and box.x1 < axes.x1 for box in boxes)


def test_matplotlib_is_imported_only_for_pictures():
    code = (
        "import sys, accelsim.report.table, accelsim.report.write, accelsim.report.breakdown_plot;"
        "import accelsim.report.roofline_plot;"
        "sys.exit(any(m in sys.modules for m in ('matplotlib', 'numba', 'scipy', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
