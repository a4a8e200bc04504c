"""Pictures of a result. Only this file imports matplotlib; import it where a picture is wanted.

Each picture has a function that builds the figure and one that builds and saves it. Saved files hold no date, host
or version, so that the same result gives the same picture with the same matplotlib.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from accelsim.comparison import Comparison
from accelsim.outputs import write
from accelsim.planning import Plan
from accelsim.report import (
    breakdown_plot,
    buffers_plot,
    comparison_plot,
    gantt,
    memory_map,
    plane_plots,
    point_plots,
    precision_plot,
    roofline_plot,
    rtl_plot,
    timeline_plot,
    utilization_plot,
)
from accelsim.report.points import Compared
from accelsim.report.precision_plot import Curve
from accelsim.results import NetworkResult

STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "hatch.linewidth": 0.5,
    "text.parse_math": False,
}
DPI = 130


def breakdown_figure(result: NetworkResult) -> Figure:
    """Return the figure of cycles by cause and energy by component, one bar per layer, side by side."""
    with _style():
        fig = _figure()
        breakdown_plot.draw(fig, result)
        return fig


def roofline_figure(result: NetworkResult) -> Figure:
    """Return the figure of layers as points under the roofs of the machine's units and DRAM."""
    with _style():
        fig = _figure()
        roofline_plot.draw(fig, result)
        return fig


def utilization_figure(result: NetworkResult) -> Figure:
    """Return the figure of what share of the time the units of each layer work, one bar of 100 % per layer."""
    with _style():
        fig = _figure()
        utilization_plot.draw(fig, result)
        return fig


def timeline_figure(result: NetworkResult) -> Figure:
    """Return the figure of layers, units' work, DRAM traffic and power along time."""
    with _style():
        fig = _figure()
        timeline_plot.draw(fig, result)
        return fig


def gantt_figure(result: NetworkResult) -> Figure:
    """Return the figure of a network on one clock, a row per unit; ConfigError for layers one after another."""
    with _style():
        fig = _figure()
        gantt.draw(fig, result)
        return fig


def buffers_figure(result: NetworkResult) -> Figure:
    """Return the figure of what lives in buffers between layers on one clock; ConfigError where nothing does."""
    with _style():
        fig = _figure()
        buffers_plot.draw(fig, result)
        return fig


def comparison_figure(comparison: Comparison) -> Figure:
    """Return the figure of time, energy and energy-delay product of machines, a row of panels per network."""
    with _style():
        fig = _figure()
        comparison_plot.draw(fig, comparison)
        return fig


def edp_figure(given: Compared, title: str, base: str | None = None, ordered: bool = False) -> Figure:
    """Return the figure of energy-delay products over ``base``, by default each network's first point that ranks."""
    with _style():
        fig = _figure()
        point_plots.edp(fig, given, title, base, ordered)
        return fig


def parts_figure(given: Compared, title: str, kind: str, ordered: bool = False) -> Figure:
    """Return the figure of ``energy`` by component, ``cycles`` or ``shares`` of them by cause, one bar per point."""
    with _style():
        fig = _figure()
        point_plots.parts(fig, given, title, kind, ordered)
        return fig


def pareto_figure(given: Compared, on_front: Collection[int], objectives: tuple[str, str], title: str) -> Figure:
    """Return the figure of two objectives with their front."""
    with _style():
        fig = _figure()
        plane_plots.pareto(fig, given, on_front, objectives, title)
        return fig


def heatmap_figure(given: Compared, axes: tuple[str, str], figure: str, title: str) -> Figure:
    """Return the figure of a quantity over two axes."""
    with _style():
        fig = _figure()
        plane_plots.heatmap(fig, given, axes, figure, title)
        return fig


def precision_figure(curves: Mapping[str, Curve], title: str) -> Figure:
    """Return the figure of searches for widths, a panel per machine."""
    with _style():
        fig = _figure()
        precision_plot.draw(fig, curves, title)
        return fig


def memory_map_figure(plan: Plan) -> Figure:
    """Return the figure of what stays on a chip: addresses along positions, and bytes alive."""
    with _style():
        fig = _figure()
        memory_map.draw(fig, plan)
        return fig


def rtl_figure(title: str, bars: Sequence[rtl_plot.Bar]) -> Figure:
    """Return the figure of layers beside their RTL, ours by cause."""
    with _style():
        fig = _figure()
        rtl_plot.draw(fig, title, bars)
        return fig


def breakdown(result: NetworkResult, path: Path) -> None:
    """Draw cycles and energy by layer into a PNG file."""
    save(breakdown_figure(result), path)


def roofline(result: NetworkResult, path: Path) -> None:
    """Draw the roofline into a PNG file."""
    save(roofline_figure(result), path)


def save(fig: Figure, path: Path) -> None:
    """Write a figure as PNG, in one step."""
    write(path, png(fig))


def png(fig: Figure) -> bytes:
    """Return a figure as PNG without anything that changes from run to run."""
    out = io.BytesIO()
    with _style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        fig.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def _figure() -> Figure:
    fig = Figure(dpi=DPI)
    FigureCanvasAgg(fig)
    return fig


@contextmanager
def _style() -> Iterator[None]:
    """Use the project's style whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield
