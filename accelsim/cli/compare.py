"""``accelsim compare``: machines by networks, one table."""

from __future__ import annotations

import click


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


@click.command(cls=_ManyNetworks, epilog="Example: accelsim compare systolic_ws tpu_v1 --network resnet50 vgg16")
@click.argument("archs", nargs=-1, required=True, metavar="ARCH...")
@click.option("-n", "--network", "networks", multiple=True, required=True, metavar="NETWORK...",
              help="One or more networks.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="Images in all; totals are for all of them.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the synthetic operands.")
@click.option("--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Override a key of every machine.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--format", "style", type=click.Choice(["table", "json", "csv", "markdown"]), default="table",
              show_default=True, help="What to print.")  # fmt: skip
def command(archs: tuple[str, ...], networks: tuple[str, ...], style: str, sets: tuple[str, ...], batch: int | None,
            seed: int, workers: int) -> None:  # fmt: skip
    """Compare machines on networks, over the layers that all of them simulate. The first ARCH is the baseline."""
    from accelsim.cli.run import progress
    from accelsim.report import comparison
    from accelsim.simulation import load_arch, load_network, simulate
    from accelsim.spec.arch import parse_set

    changes = [parse_set(text) for text in sets]
    machines = [load_arch(name, changes) for name in archs]
    with progress() as report:
        results = [
            simulate(machine, net, batch=batch, seed=seed, workers=workers, progress=report)
            for net in map(load_network, networks)
            for machine in machines
        ]
    table = comparison.rows(results)
    if style == "table":
        from accelsim.cli import terminal

        terminal.console().print(comparison.ComparisonView(table))
        return
    text = {"json": comparison.to_json, "csv": comparison.to_csv, "markdown": comparison.to_markdown}[style]
    click.echo(text(table), nl=False)
