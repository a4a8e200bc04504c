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
from accelsim.report.words import percent


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
    for figure in (plots.breakdown_figure, plots.roofline_figure, plots.utilization_figure, plots.timeline_figure):
        assert "(PARTIAL)" in figure(partial_alexnet()).get_suptitle()
        assert "(products only)" in figure(alexnet()).get_suptitle()
        assert "(" not in figure(resnet50()).get_suptitle()


def test_small_layers_of_a_long_network_share_bars_by_kind_and_the_picture_says_so():
    result = densenet()
    found = rows(result)
    shared = [row for row in found if row.layers > 1]
    assert len(found) - len(shared) >= MAX_ROWS - 1
    assert all(row.label == f"{row.layers} small {row.label.split()[-1]}" for row in shared)
    assert sum(row.layers for row in found) == len(result.layers)
    assert sum(row.total_cycles for row in found) == pytest.approx(result.cycles)
    figure = plots.breakdown_figure(result)
    texts = [t.get_text() for t in (*figure.texts, *figure.axes[0].texts)]
    assert any(f"the {sum(row.layers for row in shared)} smallest layers share bars by kind" in t for t in texts)
    assert figure.get_figheight() < 20


def test_no_shared_bar_is_longer_than_the_largest_layer():
    for result in (densenet(), resnet50()):
        for most in (10, MAX_ROWS):
            found = rows(result, most)
            assert max(row.total_cycles for row in found) <= max(x.cycles for x in result.layers) * 1.000001
            assert max(row.total_pj for row in found) <= max(x.total_energy_pj for x in result.layers) * 1.000001


def test_the_layers_that_share_a_bar_are_the_small_ones():
    result = densenet()

    def share(layer):
        return max(layer.cycles / result.cycles, layer.total_energy_pj / result.total_energy_pj)

    own = {row.label for row in rows(result, most=10)}
    kept = [share(layer) for layer in result.layers if layer.name in own]
    assert len(kept) == 9
    assert sorted(kept, reverse=True) == sorted(map(share, result.layers), reverse=True)[:9]


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


@pytest.mark.parametrize(
    "figure", [plots.breakdown_figure, plots.roofline_figure, plots.utilization_figure, plots.timeline_figure]
)
def test_a_network_without_a_simulated_layer_gives_a_picture_that_says_so(figure):
    empty = figure(network([skipped("pool1")]))
    texts = [t.get_text() for ax in empty.axes for t in ax.texts]
    assert any(t.startswith("no layer") for t in texts)


def test_dollars_in_names_are_no_mathematics(tmp_path):
    layers = [replace(layer, name=f"${layer.name}_$\\frac{{") for layer in alexnet().layers]
    plots.breakdown(network(layers), tmp_path / "a.png")
    plots.roofline(network(layers), tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 10_000


def every_kind():
    """Yield (name, figure) of every kind of a report, of samples that strain it."""
    tiny = [replace(layer, macs=3) for layer in alexnet().layers]
    samples = {
        "partial": partial_alexnet(), "densenet": densenet(), "causes": every_cause(),
        "slow": network(tiny, clock_mhz=0.03), "long": network(tiny, clock_mhz=9e5, name="a_long_name" * 4),
        "fast": alexnet(clock_mhz=3e10),
    }  # fmt: skip
    for kind in ("breakdown", "utilization", "roofline", "timeline"):
        for name, result in samples.items():
            yield f"{kind} of {name}", getattr(plots, f"{kind}_figure")(result)


def test_no_text_of_any_picture_is_cut():
    for name, figure in every_kind():
        figure.canvas.draw()
        hidden = outside(figure)
        for text in figure.findobj(Text):
            if not text.get_visible() or not text.get_text().strip() or id(text) in hidden:
                continue
            box = text.get_window_extent()
            for edge in (box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1):
                assert edge >= -1, (name, text.get_text(), box)


def outside(figure):
    """Return the ids of the labels of ticks outside their axes, which are kept but not drawn."""
    found = set()
    for axes in (*figure.axes, *(child for parent in figure.axes for child in parent.child_axes)):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            found |= {id(label) for tick in axis.majorTicks if not low <= tick.get_loc() <= high
                      for label in (tick.label1, tick.label2)}  # fmt: skip
    return found


def test_utilization_shows_shares_of_a_hundred_and_the_occupancy_of_each_layer():
    result = alexnet()
    figure = plots.utilization_figure(result)
    (ax,) = figure.axes
    lengths = bars(ax)
    assert sum(lengths.values()) == pytest.approx(100 * len(result.layers))
    busy = sum(100 * layer.account["busy"] / (layer.units * layer.cycles) for layer in result.layers)
    assert lengths["busy"] == pytest.approx(busy)
    assert ax.get_xlabel() == "share of unit-cycles (%)"
    texts = [t.get_text() for t in ax.texts]
    for layer in result.layers:
        assert layer.name in texts
        assert f"{percent(layer.occupancy)} in {percent(layer.cycles / result.cycles)}" in texts
    (line,) = ax.lines
    assert line.get_xdata()[0] == pytest.approx(100 * result.occupancy)
    assert any("dashed: occupancy" in t.get_text() for t in figure.texts)
    names = {t.get_text() for t in ax.get_legend().get_texts()}
    assert names == set(lengths)


def test_the_timeline_places_every_layer_on_its_unit_with_units_on_every_axis():
    result = resnet50()
    lanes, causes, dram, power = plots.timeline_figure(result).axes
    assert power.get_xlabel() == "time (ms)"
    assert (causes.get_ylabel(), dram.get_ylabel()) == ("unit-cycles (%)", "DRAM (GB/s)")
    assert power.get_ylabel() in ("power (W)", "power (mW)")
    assert [t.get_text() for t in lanes.get_yticklabels()] == ["array", "vector"]
    spans = sorted(
        (path.vertices[:, 0].min(), path.vertices[:, 0].max(), round(path.vertices[:, 1].mean()))
        for collection in lanes.collections
        for path in collection.get_paths()
    )
    layers = [layer for layer in result.simulated if layer.cycles]
    assert len(spans) == len(layers)
    per_cycle = 1 / (result.clock_mhz * 1e3)
    for (begin, end, lane), layer in zip(spans, layers, strict=True):
        assert begin == pytest.approx(layer.start_cycle * per_cycle)
        assert end == pytest.approx((layer.start_cycle + layer.cycles) * per_cycle)
        assert lane == ("array", "vector").index(layer.unit)
    assert any(t.get_text() == "machine:\n1.60 GB/s" for t in dram.texts)
    mean = result.dram_bits / 8e9 / result.time_s
    assert any(t.get_text() == f"mean {mean:.2f} GB/s" for t in dram.texts)
    assert {t.get_text().rsplit(" ", 2)[0] for t in causes.get_legend().get_texts()} >= {"busy", "DRAM stall"}


def test_areas_of_the_timeline_are_traffic_and_energy():
    result = alexnet()
    figure = plots.timeline_figure(result)
    seconds = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[figure.axes[3].get_xlabel()[6:-1]]
    for ax, factor, total in (
        (figure.axes[2], 1e9 * 8, result.dram_bits),
        (figure.axes[3], {"power (W)": 1e12, "power (mW)": 1e9}[figure.axes[3].get_ylabel()], result.total_energy_pj),
    ):
        drawn = 0.0
        for area in ax.collections:
            xy = area.get_paths()[0].vertices
            drawn += abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise([*xy, xy[0]]))) / 2
        assert drawn * seconds * factor == pytest.approx(total, rel=1e-6)


def test_the_power_panel_stacks_components_and_what_is_spent_in_stalls_and_says_mean_and_peak():
    plain = alexnet()
    layers = tuple(replace(layer, stalled_pj={"macs": layer.energy_pj["macs"] / 4}) for layer in plain.layers)
    result = replace(plain, layers=layers)
    panel = plots.timeline_figure(result).axes[3]
    names = {text.get_text() for text in panel.get_legend().get_texts()}
    assert {"dram", "leaked, clocked in stalls"} <= names
    (said,) = (text.get_text() for text in panel.texts)
    assert said.startswith("mean ")
    assert "peak over 1.00 us" in said


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
