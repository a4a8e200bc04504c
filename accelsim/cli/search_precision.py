"""``accelsim search precision``: bits per layer under a budget, against quantisation noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli import completion, sizes
from accelsim.cli.examples import example

if TYPE_CHECKING:
    from accelsim.explore.precision.search import Found
    from accelsim.explore.precision.space import PrecisionSpace

UNITS = {"cycles": ("cycles", 1.0), "energy_uj": ("energy_pj", 1e6), "size_kib": ("size_bits", 8192.0)}
"""Quantity of a budget -> cost of a search and how many of its units one is."""


@click.command(
    epilog=example("accelsim search precision bitfusion resnet18 --budget cycles=40% -o mixed.yaml --plot front.png")
)
@click.argument("arch", shell_complete=completion.machine)
@click.argument("network", shell_complete=completion.network)
@click.option("--budget", "budgets", multiple=True, metavar="QUANTITY=VALUE",
              help="Most cycles, time_ms, energy_uj or size_kib (filters); 40% is of the widest widths'.")  # fmt: skip
@click.option("--widths", default="2-8", show_default=True, metavar="2-8|2,4,8", help="Widths to choose from.")
@click.option("--method", type=click.Choice(["greedy", "evolution", "exact"]), default="evolution", show_default=True,
              help="Greedy descent, differential evolution from there, or integer programming.")  # fmt: skip
@click.option("--front", "quantity", type=click.Choice(["cycles", "energy_pj", "size_bits"]),
              help="Cost to set against noise; the first budget's by default, or cycles.")  # fmt: skip
@click.option("--points", type=click.IntRange(2, 100), default=8, show_default=True,
              help="Limits at which the evolution looks for points of the front.")  # fmt: skip
@click.option("--together", is_flag=True, help="One width for the inputs and the filters of a layer.")
@click.option("--weights", type=click.Choice(["symmetric", "asymmetric"]), default="symmetric", show_default=True,
              help="Scheme of the filters.")  # fmt: skip
@click.option("--inputs", type=click.Choice(["symmetric", "asymmetric"]), default="symmetric", show_default=True,
              help="Scheme of the inputs.")  # fmt: skip
@click.option("--per-channel", "channels", is_flag=True, help="A scale for each output channel of the filters.")
@click.option("--range", "limits", type=click.Choice(["max", "mse"]), default="mse", show_default=True,
              help="Cover all numbers, or what leaves the least squared error.")  # fmt: skip
@click.option("--operands", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Archive of <layer>.weight and <layer>.input: real numbers or integers.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="Images in all; costs are for all of them.")
@click.option("--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Override a key of the machine.")
@sizes.option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of numbers that nothing gives.")
@click.option("--format", "style", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
              help="What to print; csv is the front.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE.yaml",
              help="Write the best assignment, for 'run --precision'.")  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the front.")
def command(arch: str, network: str, budgets: tuple[str, ...], widths: str, method: Any, quantity: str | None,
            points: int, together: bool, operands: Path | None, batch: int | None, sets: tuple[str, ...], seed: int,
            style: str, output: Path | None, plot: Path | None, dims: dict[str, int],
            **scheme: Any) -> None:  # fmt: skip
    """Give every layer of NETWORK the widths that cost least noise on ARCH within a budget.

    Costs are those of the simulated machine. Noise is the sum of the relative errors of all quantised tensors: a proxy,
    no accuracy; nothing is trained.
    """
    from accelsim.config.arch import parse_set
    from accelsim.errors import ConfigError
    from accelsim.explore.precision.search import search
    from accelsim.explore.precision.space import PrecisionSpace
    from accelsim.operands.files import read_npz
    from accelsim.passes.batching import batched
    from accelsim.passes.quantize import Settings
    from accelsim.simulation import load_arch, lowered_for
    from accelsim.workload.load import load_network

    for path, suffixes in ((output, (".yaml", ".yml")), (plot, (".png",))):
        if path is not None and path.suffix.lower() not in suffixes:
            raise ConfigError(f"the file must end in {suffixes[0]}", "choose another name", file=str(path))
    if output is not None and not budgets:
        raise ConfigError("without a budget there is no best assignment to write", "add --budget cycles=50%", file="-o")
    choices = _widths(widths)
    machine = load_arch(arch, [parse_set(text) for text in sets])
    wanted = _budgets(budgets, float(machine.clocks_mhz["core"]))
    net = lowered_for(machine, load_network(network, dims=dims))
    net = batched(net, batch) if batch is not None else net
    given = read_npz(operands, net) if operands is not None else {}
    space = PrecisionSpace(machine, net, choices, Settings(**scheme, seed=seed), given, together)
    limits = {cost: number * (space.widest(cost) if share else 1) for cost, (number, share) in wanted.items()}
    quantity = quantity or next(iter(limits), "cycles")
    found = search(space, limits, method, quantity, points, seed)
    if output is not None:
        _write(output, space, found)
    if plot is not None:
        _plot(plot, space, found)
    options = {"widths": list(space.widths), "method": method, "together": together, "seed": seed, **scheme}
    _print(space, found, style, options | {"batch": space.network.batch})
    click.echo(f"{space.simulated:,} layers simulated", err=True)


def _widths(text: str) -> list[int]:
    """Return the widths of ``2-8`` or ``2,4,8``."""
    from accelsim.errors import ConfigError

    try:
        low, dash, high = text.partition("-")
        found = list(range(int(low), int(high) + 1)) if dash else [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1 or max(found) > 16:
        raise ConfigError(f"'{text}' are no widths", "give 2-8 or 2,4,8, from 1 to 16", file="--widths")
    return found


def _budgets(budgets: tuple[str, ...], clock_mhz: float) -> dict[str, tuple[float, bool]]:
    """Return cost -> (most, whether that is a share of the widest widths' cost), in the units of a search."""
    from accelsim.errors import ConfigError

    units = UNITS | {"time_ms": ("cycles", clock_mhz * 1000)}
    found: dict[str, tuple[float, bool]] = {}
    for text in budgets:
        name, equals, value = text.partition("=")
        share = value.endswith("%")
        try:
            number = float(value.removesuffix("%"))
        except ValueError:
            number = 0.0
        if name not in units or not equals or not 0 < number < float("inf"):
            names = ", ".join(sorted(units))
            raise ConfigError(f"'{text}' is no budget", f"write QUANTITY=VALUE or =VALUE%, of {names}", file="--budget")
        cost, factor = units[name]
        if cost in found:
            raise ConfigError(f"'{text}' limits what another budget limits", "give one of them", file="--budget")
        found[cost] = (number / 100 if share else number * factor, share)
    return found


def _write(path: Path, space: PrecisionSpace, found: Found) -> None:
    from accelsim import outputs
    from accelsim.passes.precision import dump_precision

    types = space.types(found.best.choice) if found.best is not None else {}
    text = dump_precision(space.network, types, f"accelsim search precision, for {space.arch.name}")
    outputs.write(path, text, "check the folder")


def _plot(path: Path, space: PrecisionSpace, found: Found) -> None:
    from accelsim.explore.precision.report import curve
    from accelsim.report import plots

    title = f"{space.network.name} on {space.arch.name}: widths of {space.widths[0]} to {space.widths[-1]} bits"
    plots.save(plots.precision_figure({space.arch.name: curve(found)}, title), path)


def _print(space: PrecisionSpace, found: Found, style: str, options: dict[str, Any]) -> None:
    from accelsim.explore.precision import report

    if style == "table":
        from accelsim import terminal

        view = report.SearchView(space, found)
        terminal.console().print(view)
        return
    click.echo(report.to_json(space, found, options) if style == "json" else report.to_csv(found), nl=False)
