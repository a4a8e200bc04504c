"""``accelsim replica nvdla``: the performance workbook of NVDLA's repository."""

from __future__ import annotations

import json

import click


@click.command(epilog="Example: accelsim replica nvdla alexnet --sram-mb 4")
@click.argument("network", type=click.Choice(["alexnet", "resnet50", "googlenet"]))
@click.option("--sram-mb", type=int, default=0, show_default=True, help="Second-level SRAM: 0, or 4 with alexnet.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def command(network: str, sram_mb: int, form: str) -> None:
    """Print a sheet of the workbook: 2,048 multipliers, 512 KB of buffer, 1 GHz, DRAM of 10 GB/s.

    Rows and totals are computed from its layer tables by its formulas, what is inconsistent in them included.
    """
    from accelsim.replicas import nvdla

    rows, totals = nvdla.network(network, sram_mb)
    if form == "json":
        layers = [vars(row) for row in rows]
        click.echo(json.dumps({"totals": totals.to_dict(), "layers": layers}, indent=1))
        return
    click.echo(f"{'layer':<22}{'MAC cycles':>14}{'DRAM KB':>12}{'DRAM cycles':>13}{'cycles':>14}  bound by")
    for row in rows:
        mac, cycles = ("-" if value is None else f"{value:,.10g}" for value in (row.mac_cycles, row.cycles))
        click.echo(f"{row.name:<22}{mac:>14}{row.dram_kb:>12,.2f}{row.dram_cycles:>13,}{cycles:>14}  {row.bound_by}")
    click.echo(
        f"\n{totals.cycles:,.12g} cycles, {totals.fps:.1f} frames/s at 1 GHz, "
        f"MACs in use {totals.hw_mac_efficiency:.4f} of the time, network's share {totals.network_mac_efficiency:.4f}"
    )
