"""``accelsim import spatten_trace``: a trace of SpAtten's repository as a network and a mapping."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim import outputs
from accelsim.cli.examples import example


@click.command(epilog=example("accelsim import spatten_trace tests/data/spatten_trace.csv -o traced"))
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Folder to write network.yaml and mapping.yaml to; it must not exist yet.")  # fmt: skip
def command(trace: Path, output: Path) -> None:
    """Convert TRACE, which keys and values each row of a pruned GPT-2 fetches, into a network and a mapping.

    Rows that fetch alike are one layer; what each leaves out stands in the mapping, for 'run --mapping'.
    """
    import yaml

    from accelsim.workload.spatten_trace import load
    from accelsim.workload.yaml_dump import dump

    found = load(trace)
    mapping = yaml.safe_dump(found.mapping, sort_keys=False)
    outputs.create(output, {"network.yaml": dump(found.network), "mapping.yaml": mapping})
    sets = f" --set params.low_bits={found.low_bits}" if found.low_bits else ""
    click.echo(f"{output}: {len(found.network.layers)} layers")
    click.echo(f"accelsim run spatten {output}/network.yaml --mapping {output}/mapping.yaml{sets}")
