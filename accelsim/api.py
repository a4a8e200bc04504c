"""What Python users import: simulations and comparisons whose results print, draw and save themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from accelsim import comparison, outputs, planning, simulation
from accelsim.basis import Incomplete
from accelsim.config.arch import Arch
from accelsim.errors import ConfigError
from accelsim.progress import Bar
from accelsim.results import NetworkResult
from accelsim.simulation import OnProgress
from accelsim.workload.network import Network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Machine = Arch | str | Path | Mapping[str, Any]
Workload = Network | str | Path | Mapping[str, Any]
Kind = Literal["breakdown", "roofline", "utilization", "timeline", "gantt", "buffers"]
KINDS: tuple[Kind, ...] = ("breakdown", "roofline", "utilization", "timeline", "gantt", "buffers")
_Base = TypeVar("_Base")


class Picture(NamedTuple):
    """A drawn figure; a notebook shows it.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        To be altered before it is shown or saved.
    """

    figure: Figure

    def save(self, path: str | Path) -> Path:
        """Write a PNG file, in one step; return its path."""
        from accelsim.report import plots

        plots.save(self.figure, Path(path))
        return Path(path)

    def _repr_png_(self) -> bytes:
        from accelsim.report import plots

        return plots.png(self.figure)

    def __repr__(self) -> str:
        """Return its size; the pixels are `figure`'s."""
        width, height = self.figure.get_size_inches()
        return f"<Picture, {width:.1f} x {height:.1f} in>"


@dataclass(frozen=True, repr=False)
class Result(NetworkResult):
    """A `NetworkResult` that prints, draws and saves itself.

    Examples
    --------
    >>> import accelsim
    >>> result = accelsim.simulate("systolic_ws_8", "onnx:squeezenet")
    >>> result  # doctest: +ELLIPSIS
    <Result light_squeezenet on systolic_ws_8: 26 of 57 layers, 6,696,820 cycles, 6.697 ms, ... mJ>
    >>> other = accelsim.simulate("edge_npu", "onnx:squeezenet")
    >>> result.compare(other)
    <Compared of systolic_ws_8, edge_npu on light_squeezenet; base systolic_ws_8>
    """

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per layer with its account and its energy by component, as layers.csv has them.

        Raises
        ------
        ConfigError
            pandas is not installed.
        """
        from accelsim.report.rows import rows

        return _frame(rows(self))

    def plot(self, kind: Kind = "breakdown") -> Picture:
        """Draw cycles and energy by layer, the roofline, the units' work by layer, or all of it along time.

        Raises
        ------
        ConfigError
            Another kind.
        """
        if kind not in KINDS:
            raise ConfigError(f"'{kind}' is no picture of a run", f"use {', '.join(KINDS)}")
        from accelsim.report import plots

        return Picture(getattr(plots, f"{kind}_figure")(self))

    def save(self, folder: str | Path, *, pictures: bool = True) -> list[Path]:
        """Write report.json, layers.csv, report.md and pictures into a folder, with trace.json if tiles were kept.

        Raises
        ------
        UserError
            A folder that cannot be written.
        """
        from accelsim.report.trace import trace
        from accelsim.report.write import write_report

        kept = any(layer.tiles is not None for layer in self.layers)
        return write_report(self, folder, trace(self) if kept else None, pictures=pictures)

    def report(self, path: str | Path) -> Path:
        """Write the run as one HTML page that opens offline; return its path."""
        from accelsim.report import run_page

        outputs.write(Path(path), run_page.to_html(self))
        return Path(path)

    def compare(self, *others: NetworkResult, base: str | None = None, incomplete: Incomplete = "common") -> Compared:
        """Compare with other results over the layers that all of them simulated; see `accelsim.compare`."""
        return _as(Compared, comparison.of_results([self, *others], base=base, incomplete=incomplete))

    def _repr_html_(self) -> str:
        from accelsim.report.notebook import html
        from accelsim.report.table import ResultView

        return html(ResultView(self))


@dataclass(frozen=True, repr=False)
class Compared(comparison.Comparison):
    """A `Comparison` that prints, draws and saves itself."""

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per machine and network, as `to_rows`."""
        return _frame(self.to_rows())

    def plot(self) -> Picture:
        """Draw time, energy and energy-delay product of the machines, a row of panels per network."""
        from accelsim.report import plots

        return Picture(plots.comparison_figure(self))

    def save(self, folder: str | Path) -> list[Path]:
        """Write compare.json, .csv, .md, .html and .png into a folder."""
        from accelsim.report.write import write_comparison

        return write_comparison(self, folder, {"base": self.base, "incomplete": self.incomplete})

    def _repr_html_(self) -> str:
        from accelsim.report.comparison import ComparisonView
        from accelsim.report.notebook import html

        return html(ComparisonView(self))


@dataclass(frozen=True, repr=False)
class Plan(planning.Plan):
    """A `planning.Plan` that prints and draws itself."""

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per storage, as `to_rows`."""
        return _frame(self.to_rows())

    def plot(self) -> Picture:
        """Draw addresses of what stays along the running order, and bytes alive."""
        from accelsim.report import plots

        return Picture(plots.memory_map_figure(self))

    def _repr_html_(self) -> str:
        from accelsim.report.notebook import html
        from accelsim.report.residency import PlanView

        return html(PlanView(self))


def simulate(arch: Machine, network: Workload, *, progress: OnProgress | bool | None = None, **options: Any) -> Result:
    """Simulate a network on a machine.

    Parameters
    ----------
    arch, network
        As `load_arch` and `load_network` take them, or what they give.
    progress : bool or callable, optional
        True shows a bar on a terminal and in a notebook.
    options
        See `accelsim.simulation.simulate`.
    """
    if not isinstance(progress, bool):
        return _as(Result, simulation.simulate(arch, network, progress=progress, **options))
    with Bar() as bar:
        return _as(Result, simulation.simulate(arch, network, progress=bar if progress else None, **options))


def compare(
    archs: Sequence[Machine], networks: Sequence[Workload], *, progress: OnProgress | bool | None = None, **options: Any
) -> Compared:
    """Simulate every machine on every network and compare them over the layers that all machines ran.

    Parameters
    ----------
    archs, networks : sequence
        As `simulate` takes them.
    progress : bool or callable, optional
        As of `simulate`.
    options
        See `accelsim.comparison.compare`.
    """
    machines = [arch if isinstance(arch, Arch | str) else simulation.load_arch(arch) for arch in archs]
    nets = [net if isinstance(net, Network | str) else simulation.load_network(net) for net in networks]
    if not isinstance(progress, bool):
        return _as(Compared, comparison.compare(machines, nets, progress=progress, **options))
    with Bar() as bar:
        return _as(Compared, comparison.compare(machines, nets, progress=bar if progress else None, **options))


def plan(network: Workload, *, capacity_kib: float, **options: Any) -> Plan:
    """Return what stays on a chip between layers, where, and what moves through DRAM.

    Parameters
    ----------
    network
        As `load_network` takes it, or what it gives; or a table of storages.
    capacity_kib : float
        Room between layers, in KiB.
    options
        See `accelsim.planning.plan`.

    Examples
    --------
    >>> import accelsim
    >>> accelsim.plan("onnx:squeezenet", capacity_kib=512, fold="unary")
    <Plan light_squeezenet on 512 KiB: 1,728,616 of 6,173,896 B through DRAM, optimal>
    """
    if isinstance(network, Path):
        network = str(network)
    given = network if isinstance(network, Network | str) else simulation.load_network(network)
    return _as(Plan, planning.plan(given, capacity_kib=capacity_kib, **options))


def _as(kind: type[_Base], found: Any) -> _Base:
    return kind(**{field.name: getattr(found, field.name) for field in fields(found)})


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise ConfigError("pandas is not installed", "pip install 'accelsim[table]'") from None
    return pd.DataFrame(rows)
