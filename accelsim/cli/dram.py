"""``accelsim dram``: a stream of requests on a DRAM standard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from accelsim.memory.device.channel import Requests

MAPPINGS = ("RoBaRaCoCh", "RoCoBaRaCh", "RoBaRaCoBgCh", "RoBaRaCoCh-xor")
FORMS = ("ramulator", "dramsim3")
PATTERNS = ("sequential", "stride", "random", "tile_rows", "rw_copy", "rw_fine", "slice512")
"""Said here too, so that help and lists load no NumPy; a test compares them."""


@click.command(epilog="Example: accelsim dram ddr4-2400 --pattern tile_rows --requests 50176")
@click.argument("standard", required=False)
@click.option("--pattern", type=click.Choice(PATTERNS), help="Requests by name, all offered at once.")
@click.option("--requests", "count", type=click.IntRange(1), help="How many; by default the pattern's own number.")
@click.option("--trace", type=click.Path(path_type=Path), help="Requests from a file, of Ramulator or DRAMsim3.")
@click.option("--channels", default=1, show_default=True, help="Channels, a power of two.")
@click.option("--mapping", default="RoBaRaCoCh", show_default=True,
              help=f"Address mapping: {', '.join(MAPPINGS)}, or another in these letters.")  # fmt: skip
@click.option("--page", type=click.Choice(["open", "closed"]), default="open", show_default=True, help="Row policy.")
@click.option("--cap", default=4, show_default=True, help="Accesses after which --page closed closes a row.")
@click.option("--queue", default=32, show_default=True, help="Reads, and writes, that wait at most.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random pattern.")
@click.option("--save-trace", type=click.Path(path_type=Path, dir_okay=False), help="Write the requests to a file.")
@click.option("--trace-form", type=click.Choice(FORMS), default="ramulator", show_default=True, help="Its form.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--list", "listing", is_flag=True, help="List the standards, and which are validated.")
def command(standard: str | None, listing: bool, **options: Any) -> None:
    """Serve a stream of requests on a DRAM STANDARD: clocks, row hits, stalls by cause, energy by command.

    STANDARD is a name (see --list) or the path of a file like those that are packaged.
    """
    if listing:
        for name, text in entries():
            click.echo(f"{name:13} {text}")
        return
    if standard is None:
        raise click.UsageError("give a standard; --list names them.")
    _serve(standard, **options)


def entries() -> list[tuple[str, str]]:
    """Return name and description of the packaged standards."""
    from accelsim.config.dram import standard as standards

    found = []
    for name in standards.names():
        one = standards.load(name)
        state = "validated" if one.validated else "unvalidated"
        found.append((name, f"{state:11}  {one.peak_gb_per_s:5.1f} GB/s a channel; {one.description}"))
    return found


def _serve(
    name: str, pattern: str | None, count: int | None, trace: Path | None, channels: int, mapping: str, page: Any,
    cap: int, queue: int, seed: int, save_trace: Path | None, trace_form: str, form: str,
) -> None:  # fmt: skip
    from accelsim import outputs
    from accelsim.config.dram import standard
    from accelsim.memory.device import channel, patterns, traces
    from accelsim.memory.device.summary import summary

    if (pattern is None) == (trace is None):
        raise click.UsageError("give either --pattern or --trace.")
    device = channel.Device(standard.load(name), channels, mapping, channel.Controller(page, cap, queue))
    requests: Requests
    if trace is not None:
        requests = traces.read(trace)
        if count is not None:
            requests = channel.Requests(*(array[:count] for array in requests))
    else:
        assert pattern is not None
        count = count or patterns.usual(pattern, device.standard.organisation.tx_bytes)
        requests = patterns.stream(pattern, device, count, seed)
    figures = summary(device, requests, channel.serve(device, requests))
    if save_trace is not None:
        outputs.write(save_trace, traces.text(requests, trace_form), "choose another file with --save-trace")
    if form == "json":
        import json

        click.echo(json.dumps(figures, indent=1))
    else:
        click.echo(_table(figures))


def _table(f: dict[str, Any]) -> str:
    """Return the figures for people, at most 80 columns wide."""
    state = "validated" if f["validated"] else "unvalidated"
    rows = f["row_hits"] + f["row_misses"] + f["row_conflicts"]
    latency = f["avg_read_latency_cycles"]
    total = sum(f["bus_clocks"].values())
    share = f["gb_per_s"] / f["peak_gb_per_s"]
    lines = [
        f"{f['standard']} ({state}), {f['channels']} channel{'s' if f['channels'] > 1 else ''}, {f['mapping']}, "
        f"{f['page']} page",
        "",
        _row("requests", f["requests"], "", f"{f['reads']:,} reads, {f['writes']:,} writes"),
        _row("cycles", f["cycles"], "clocks", "until the last request was taken"),
        _row("served", f["served_cycles"], "clocks", f"{f['time_ns'] / 1000:,.2f} us until the last data"),
        *(_row(name.replace("_", " "), f[name], "", _share(f[name], rows))
          for name in ("row_hits", "row_misses", "row_conflicts")),
        _row("read latency", "-" if latency is None else f"{latency:,.2f}", "clocks", "mean"),
        _row("bandwidth", f"{f['gb_per_s']:,.2f}", "GB/s", f"{100 * share:.1f} % of {f['peak_gb_per_s']:,.1f} GB/s"),
        "",
        "data bus",
        *(_row(f"  {use}", clocks, "clocks", _share(clocks, total)) for use, clocks in f["bus_clocks"].items()),
        "",
    ]  # fmt: skip
    if f["energy_nj"] is None:
        return "\n".join([*lines, "energy: the standard's file has no currents"])
    lines.append("energy, without I/O")
    for name, nj in f["energy_by_command_nj"].items():
        lines.append(_row(f"  {name}", f"{nj / 1000:,.2f}", "uJ", _share(nj, f["energy_nj"])))
    per_bit = f["energy_pj_per_bit"]
    lines.append(
        _row("  total", f"{f['energy_nj'] / 1000:,.2f}", "uJ", "" if per_bit is None else f"{per_bit:.2f} pJ a bit")
    )
    io = f["io_energy_nj"]
    text = "not included: no source at hand" if io is None else f"{sum(io.values()) / 1000:,.2f}"
    lines.append(_row("I/O apart", text, "uJ" if io else "", "drivers and terminations of data pins" if io else ""))
    return "\n".join(lines)


def _row(name: str, value: int | str, unit: str, more: str) -> str:
    shown = value if isinstance(value, str) else f"{value:,}"
    return f"{name:15} {shown:>16} {unit:6}  {more}".rstrip()


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:5.1f} %" if whole else ""
