"""``accelsim compare``: machines by networks, over the layers that all of them run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from accelsim.basis import INCOMPLETE, Incomplete
from accelsim.cli import completion, onclock, pricing, sizes, workload
from accelsim.cli.examples import example


class _ManyNetworks(click.Command):
    """A command whose ``--network`` takes every word up to the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write ``--network a b`` as ``--network a --network b``."""
        spread: list[str] = []
        listing = False
        for word in args:
            if word in ("-n", "--network"):
                listing = True
            elif listing and not word.startswith("-"):
                spread += ["--network", word]
            else:
                listing = False
                spread.append(word)
        return super().parse_args(ctx, spread)


@click.command(
    cls=_ManyNetworks,
    epilog=example("accelsim compare scnn dcnn eyeriss --network alexnet vgg16 --batch 4 --energy-table 28nm"),
)
@click.argument("archs", nargs=-1, required=True, metavar="ARCH...", shell_complete=completion.machine)
@click.option("-n", "--network", "networks", multiple=True, required=True, metavar="NETWORK...",
              shell_complete=completion.network,
              help="One or more networks.")  # fmt: skip
@click.option(
    "--base",
    metavar="ARCH",
    shell_complete=completion.machine,
    help="The machine whose gains are 1; the first one by default.",
)
@click.option("--incomplete", type=click.Choice(INCOMPLETE), default="common", show_default=True,
              help="Where machines run different layers: compare over those that all run, show each machine's own "
              "(only those that run most rank), or drop the others.")  # fmt: skip
@workload.options
@click.option("--set", "sets", multiple=True, metavar="[ARCH:]KEY.PATH=VALUE",
              help="Override a key of every machine, or of one.")  # fmt: skip
@onclock.options
@pricing.options
@pricing.tables
@click.option("--format", "style", type=click.Choice(["table", "json", "csv", "markdown"]), default="table",
              show_default=True, help="What to print.")  # fmt: skip
@click.option("-o", "output", type=click.Path(path_type=Path), help="Folder of the files.")
def command(
    archs: tuple[str, ...], networks: tuple[str, ...], base: str | None, incomplete: Incomplete, sets: tuple[str, ...],
    style: str, output: Path | None, energy_table: str | None, node: float | None, matrix_b: str | None,
    dims: dict[str, int], tables: str | None, **options: Any,
) -> None:  # fmt: skip
    """Compare machines on networks, over the layers that all of them simulate.

    A pair that cannot run is a row with its reason. With a table on the terminal, the table, a picture and a page go to
    reports/out/compare-<machines>-<networks>/ unless -o says otherwise; what was set becomes part of the folder's name.
    """
    from accelsim.cli.output import check, folder
    from accelsim.comparison import compare
    from accelsim.config.arch import parse_set
    from accelsim.progress import Bar

    asked_tables = pricing.named(tables)
    priced = [*pricing.sets(energy_table, node), *onclock.sets(options)]
    changes = [*map(parse_set, sets), *priced]
    if style == "table" and output is None:
        named = (*sets, *(f"{key}={value}" for key, value in priced if value is not None))
        named += tuple(f"{name}={value}" for name, value in (("base", base), ("matrix-b", matrix_b)) if value)
        named += sizes.parts(dims)
        named += () if incomplete == "common" else (incomplete,)
        output = folder("-".join(("compare", *map(_short, archs))), "-".join(map(_short, networks)), named, options)
    if output is not None:
        check(output)
    with Bar() as report:
        found = compare(
            archs, networks, base=base, incomplete=incomplete, sets=changes, matrix_b=matrix_b, dims=dims,
            progress=report, **options,
        )  # fmt: skip
    if asked_tables:
        from accelsim.breadth import compared

        found = compared(found, asked_tables)
    from accelsim import terminal
    from accelsim.report import comparison as texts

    if style == "table":
        terminal.console().print(texts.ComparisonView(found))
    else:
        text = {"json": texts.to_json, "csv": texts.to_csv, "markdown": texts.to_markdown}[style]
        click.echo(text(found), nl=False)
    if output is not None:
        from accelsim.report.write import write_comparison

        asked: dict[str, Any] = {"archs": archs, "networks": networks, "base": found.base, "incomplete": incomplete}
        asked |= {
            "set": sets,
            "energy_table": energy_table,
            "node": node,
            "matrix_b": matrix_b,
            "dims": dims,
            **options,
        }
        del asked["workers"]  # changes no figure
        write_comparison(found, output, {k: str(v) if isinstance(v, Path) else v for k, v in asked.items()})
        if style == "table":
            terminal.echo(f"table, picture and page: {output}")
        else:
            click.echo(f"table, picture and page: {output}", err=True)


def _short(name: str) -> str:
    """Return a name for a folder: of a path, the file's without its suffix."""
    return Path(name).stem if "/" in name or name.endswith((".yaml", ".yml", ".onnx", ".csv", ".mtx", ".npz")) else name
