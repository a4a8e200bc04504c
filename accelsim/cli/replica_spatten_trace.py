"""``accelsim replica spatten_trace``: a GPT-2 trace of SpAtten's repository in the steady state of its pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import click

from accelsim.cli.examples import example


@click.command(
    epilog=example(
        "printf 'layer_id,embedding_length_D,key_fetch_num,' > trace.csv",
        "printf 'quant_key_bit,if_requant,auto_requant_incre,' >> trace.csv",
        "printf 'value_fetch_num,quant_value_bit\\n' >> trace.csv",
        "printf '0,64,512,8,False,0,128,8\\n' >> trace.csv",
        "accelsim replica spatten_trace trace.csv",
    )
)
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--seed", type=int, help="Also draw the pivots of top-k, from this seed.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def command(trace: Path, seed: int | None, form: str) -> None:
    """Count a trace: a row, one query of one head, takes the longest of DRAM, Q x K, probabilities x V and top-k.

    TRACE has the columns of the repository's workloads, as CSV or gzip'd. Cycles are those of whole lines of 8 vectors;
    top-k is expected and lets no two rows overlap. What the pipeline takes once, latencies, is left out.
    """
    from accelsim.replicas.spatten.trace import Totals, drawn_topk_cycles, overlapped_cycles, read

    rows = read(trace)
    totals = Totals.of(rows)
    drawn = {} if seed is None else {"topk_drawn_cycles": drawn_topk_cycles(rows, seed)}
    if form == "json":
        click.echo(json.dumps({**totals.to_dict(), **drawn}, indent=1))
        return
    click.echo(f"{totals.rows:,} rows, {totals.keys_read:,} keys and {totals.values_read:,} values read, "
               f"{totals.macs:,} MACs\n")  # fmt: skip
    for name, cycles in (
        ("DRAM", totals.dram_cycles), ("Q x K", totals.qk_cycles), ("prob x V", totals.pv_cycles),
        ("top-k, expected", totals.topk_cycles),
        *((f"top-k, drawn, seed {seed}", cycles) for cycles in drawn.values()),
    ):  # fmt: skip
        click.echo(f"{name:<28}{cycles:>16,.1f} cycles")
    click.echo()
    for name, cycles in (("longest of each row", totals.cycles), ("the same without top-k", overlapped_cycles(rows))):
        click.echo(f"{name:<28}{cycles:>16,.1f} cycles  {2 * totals.macs / cycles / 1000:.2f} TOPS at 1 GHz")
