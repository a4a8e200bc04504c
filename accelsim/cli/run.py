"""``accelsim run``: simulate a network on a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli import completion, onclock, pricing, sizes, workload
from accelsim.cli.examples import example

if TYPE_CHECKING:
    from accelsim.results import NetworkResult


@click.command(epilog=example("accelsim run systolic_ws alexnet --batch 4 --set params.rows=16",
                              "accelsim run spatten_e2e net:bert_base --dim seq=64"))  # fmt: skip
@click.argument("arch", shell_complete=completion.machine)
@click.argument("network", shell_complete=completion.network)
@workload.options
@click.option("--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Override a key of the machine.")
@click.option("--check", is_flag=True, help="Compute values and compare them with NumPy.")
@onclock.modes
@onclock.options
@pricing.options
@pricing.tables
@click.option("--format", "style", type=click.Choice(["table", "json", "csv", "markdown"]), default="table",
              show_default=True, help="What to print.")  # fmt: skip
@click.option("--blocks", "depth", type=click.IntRange(1), metavar="N",
              help="A row per block in place of layers: names alike in N parts, as layer1.0 for 2.")  # fmt: skip
@click.option("--advice/--no-advice", "advised", default=None,
              help="Try remedies against lost cycles.  [default: with a table, where closed forms do]")  # fmt: skip
@click.option("-o", "output", type=click.Path(path_type=Path), help="Folder of the report files.")
@click.option("--no-pictures", "plain", is_flag=True, help="Report files without the pictures, which take longest.")
@click.option("--dram-trace", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Also write the requests to a DRAM device, as 'accelsim dram --trace' reads them.")  # fmt: skip
@click.option("--dram-trace-form", type=click.Choice(["dramsim3", "ramulator"]), default="dramsim3",
              show_default=True, help="Its form; dramsim3 keeps when each request arrives.")  # fmt: skip
@click.option("--power-window", "window_us", type=float, metavar="US",
              help="Window of the peak power, microseconds.  [default: 1]")  # fmt: skip
@click.option("--trace", is_flag=True, help="Also write trace.json, a timeline of tiles for ui.perfetto.dev.")
def command(arch: str, network: str, style: str, output: Path | None, matrix_b: str | None, dims: dict[str, int],
            depth: int | None, plain: bool, dram_trace: Path | None, dram_trace_form: str, window_us: float | None,
            advised: bool | None,
            **options: Any) -> None:  # fmt: skip
    """Simulate NETWORK on ARCH: packaged names or paths.

    With a table on the terminal, the report files go to reports/out/<arch>-<network>/ unless -o says otherwise; what
    was set, and options that change figures, become part of the folder's name.
    """
    from accelsim.cli.output import check, folder
    from accelsim.config.arch import parse_set
    from accelsim.errors import WorkloadError
    from accelsim.progress import Bar
    from accelsim.report import facts
    from accelsim.simulation import advice, load_arch, load_network, nothing_ran, simulate

    asked = pricing.named(options.pop("tables"))
    if window_us is not None and not 0 < window_us < inf:
        raise click.UsageError("--power-window is a time in microseconds, such as 1 or 0.1.")

    if depth is not None and style != "table":
        raise click.UsageError("--blocks is for the table: drop --format.")
    if plain and style != "table" and output is None:
        raise click.UsageError("--no-pictures is for report files: say where with -o.")
    sets: tuple[str, ...] = options.pop("sets")
    priced = pricing.sets(options.pop("energy_table"), options.pop("node"))
    priced += onclock.sets(options)
    machine = load_arch(arch, [*(parse_set(text) for text in sets), *priced])
    sets += tuple(f"{key}={value}" for key, value in priced if value is not None)
    with Bar():
        net = load_network(network, matrix_b=matrix_b, dims=dims)
    if style == "table" and output is None:
        output = folder(machine.name, net.name, (*sets, *sizes.parts(dims)), options)
    if options["trace"] and output is None:
        raise click.UsageError("--trace writes a file: say where with -o.")
    if output is not None:
        check(output)
    if dram_trace is not None and machine.memory.dram.device is None:
        raise click.UsageError("--dram-trace needs a DRAM device: --set memory.dram.device=ddr4-2400, for example.")
    with Bar() as report:
        result = simulate(machine, net, progress=report, requests=dram_trace is not None, **options)
    if (problem := nothing_ran(result)) is not None:
        units = [unit.name for unit in machine.units]
        raise WorkloadError(facts.nearest_refusal(problem, units), advice(machine, net, result))
    if dram_trace is not None:
        from accelsim import outputs
        from accelsim.served import trace_text

        outputs.write(dram_trace, trace_text(machine, result, dram_trace_form), "choose another file with --dram-trace")
    if window_us is not None:
        result = replace(result, options={**result.options, "power_window_us": window_us})
    if asked:
        from accelsim.breadth import by_tables

        result = replace(result, energy_tables=by_tables(result, asked))
    if advised or (advised is None and style == "table"):
        from accelsim.advice import advice as remedies

        result = replace(result, advice=remedies(machine, net, result, walk=bool(advised), **options))
    _print(result, style, output, options["trace"], depth or 0, not plain)
    if any(layer.checked is False for layer in result.layers):
        from accelsim.errors import ModelError

        wrong = ", ".join(layer.name for layer in result.layers if layer.checked is False)
        raise ModelError(f"values differ from NumPy in {wrong}")


def _print(result: NetworkResult, style: str, output: Path | None, traced: bool, depth: int, pictures: bool) -> None:
    """Print first: what was simulated is not lost if the files cannot be written."""
    text: Callable[[NetworkResult], str] | None = None
    if style == "json":
        from accelsim.report.document import to_json as text
    elif style == "csv":
        from accelsim.report.rows import to_csv as text
    elif style == "markdown":
        from accelsim.report.markdown import to_markdown as text
    else:
        from accelsim import terminal
        from accelsim.report.table import ResultView

        terminal.console().print(ResultView(result, depth))
    if text is not None:
        click.echo(text(result), nl=False)
    if output is not None:
        from accelsim.report.write import write_report

        trace = None
        if traced:
            from accelsim.report.trace import trace as trace_of

            trace = trace_of(result)
        write_report(result, output, trace, pictures=pictures)
        click.echo(f"report{' and pictures' if pictures else ''}: {output}", err=text is not None)
        for remark in trace.remarks() if trace else []:
            click.echo(f"note: {remark}", err=True)
