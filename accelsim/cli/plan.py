"""``accelsim plan``: what stays on a chip between layers, without a machine."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim.cli import sizes

PLANNERS = ("exact", "greedy", "tflm")
FOLDS = ("none", "unary")
INPLACE = ("none", "depthwise")
"""Said here too, so that help loads no NumPy; a test compares them."""


@click.command(epilog="Example: accelsim plan net:mobilenet_v2 --capacity-kib 512 --fold unary")
@click.argument("network")
@click.option("--capacity-kib", type=float, required=True, metavar="N", help="Room between layers.")
@click.option("--fold", default="none", show_default=True, metavar="|".join(FOLDS),
              help="unary: batch normalisation and work on each element join the product ahead of them.")  # fmt: skip
@click.option("--planner", default="exact", show_default=True, metavar="|".join(PLANNERS),
              help="tflm: as TensorFlow Lite Micro does.")  # fmt: skip
@click.option("--inplace", default="none", show_default=True, metavar="|".join(INPLACE),
              help="depthwise: depthwise convolutions write over their input.")  # fmt: skip
@click.option("--state", multiple=True, metavar="TENSOR", help="Lives over the whole run, in DRAM; repeatable.")
@click.option("--batch", type=click.IntRange(1), help="Images in all.")
@sizes.option
@click.option("--only", metavar="NAME", help="Of a table of storages with several networks: which.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw the memory map (PNG).")
@click.option("--format", "style", type=click.Choice(["table", "json", "csv", "markdown"]), default="table",
              show_default=True, help="What to print.")  # fmt: skip
def command(
    network: str, capacity_kib: float, fold: str, planner: str, inplace: str, state: tuple[str, ...],
    batch: int | None, dims: dict[str, int], only: str | None, picture: Path | None, style: str,
) -> None:  # fmt: skip
    """Plan what stays on a chip of N KiB between the layers of NETWORK, where, and what moves through DRAM.

    NETWORK is connected: net:..., onnx:..., or a path; elements have 8 bits unless it says otherwise. Or it is a table
    of storages: lifetimes:NAME, or a CSV file with the columns storage, bytes, first, last. Network inputs and outputs
    stay in DRAM. Bytes moved are one write and one read per reading layer.
    """
    from accelsim.planning import plan
    from accelsim.report import residency as texts

    found = plan(
        network, capacity_kib=capacity_kib, fold=fold, planner=planner, inplace=inplace, state=state, batch=batch,
        dims=dims, only=only,
    )  # fmt: skip
    if picture is not None:
        from accelsim.report import plots

        plots.save(plots.memory_map_figure(found), picture)
    if style == "table":
        from accelsim import terminal

        terminal.console(80).print(texts.PlanView(found))
        return
    text = {"json": texts.to_json, "csv": texts.to_csv, "markdown": texts.to_markdown}[style]
    click.echo(text(found), nl=False)
