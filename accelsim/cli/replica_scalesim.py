"""SCALE-Sim 3.0.0: COMPUTE, BANDWIDTH and DETAILED_ACCESS reports of a .cfg and a topology."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from accelsim.cli.examples import example
from accelsim.replicas import scalesim
from accelsim.replicas.scalesim import Note


@click.command(
    name="scalesim",
    epilog=example(
        "accelsim replica scalesim tests/data/scalesim/configs/ws_32.cfg tests/data/scalesim/alexnet.csv -o scalesim"
    ),
)
@click.argument("cfg", type=click.Path(path_type=Path))
@click.argument("topology", type=click.Path(path_type=Path))
@click.option("--gemm", is_flag=True, help="TOPOLOGY holds M, N, K (SCALE-Sim's -i gemm).")
@click.option("--beside", is_flag=True, help="Print the figures of accelsim's own machine and network beside them.")
@click.option(
    *("-o", "--output", "folder"),
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the reports; made if absent.",
)
def command(cfg: Path, topology: Path, gemm: bool, beside: bool, folder: Path | None) -> None:
    """Write the reports that SCALE-Sim 3.0.0 would write for CFG and TOPOLOGY, digit for digit.

    What is odd in the files, and what SCALE-Sim would stop at, is told on standard error.
    """
    if folder is None and not beside:
        raise click.UsageError("nothing to do: give a folder with -o, or --beside, or both.")
    config = scalesim.read_config(cfg)
    network = scalesim.read_topology(topology, gemm=gemm)
    _tell([*config.notes, *network.notes])
    if folder is not None:
        for path in scalesim.write_reports(scalesim.run(config, network), folder):
            click.echo(str(path))
    if beside:
        from accelsim.cli import scalesim_beside

        click.echo(scalesim_beside.table(list(scalesim_beside.beside(config, network))))


def _tell(notes: Iterable[Note]) -> None:
    """Print each kind of note once, with how often it came up."""
    kinds: dict[str, list[Note]] = {}
    for note in notes:
        kinds.setdefault(note.kind, []).append(note)
    for same in kinds.values():
        more = f" (and {len(same) - 1} more of this kind)" if len(same) > 1 else ""
        click.echo(f"note: {same[0]}{more}", err=True)
