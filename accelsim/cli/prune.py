"""``accelsim prune``: tokens and heads leave a transformer's attentions, in cascade."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim import outputs
from accelsim.cli import completion, sizes
from accelsim.cli.examples import example
from accelsim.errors import ConfigError


@click.command(epilog=example("accelsim prune net:bert_base --tokens 0.1:0.7 --heads 0:0.4 -o pruned.yaml"))
@click.argument("network", shell_complete=completion.network)
@click.option("--tokens", default="0:0", show_default=True, metavar="FROM:TO",
              help="Shares of the tokens that layers leave out, from the first such layer to the last.")  # fmt: skip
@click.option("--heads", default="0:0", show_default=True, metavar="FROM:TO", help="The same of heads.")
@click.option("-o", "--output", required=True, metavar="OUT.yaml", help="Network to write; it must not exist yet.")
@click.option("--force", is_flag=True, help="Replace OUT.yaml if it exists.")
@sizes.option
def command(network: str, tokens: str, heads: str, output: str, force: bool, dims: dict[str, int]) -> None:
    """Prune tokens and heads of NETWORK's attentions, as SpAtten does; what is pruned leaves all later layers.

    The first 15 % of the attentions keep all tokens, the first 30 % all heads; from there the shares run linearly.
    Which tokens go depends on values and changes no count. Fully connected layers shrink with them.
    """
    from accelsim.passes import attention_prune as prune
    from accelsim.workload.load import load_network
    from accelsim.workload.lowering import attentions
    from accelsim.workload.yaml_dump import dump

    target = Path(output)
    if target.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError("a network file ends in .yaml", "choose another name", file=output)
    if target.exists() and not force:
        raise ConfigError("the file exists", "choose another name or add --force", file=output)
    net = load_network(network, dims=dims)
    found = attentions(net)
    if not found:
        raise ConfigError(f"'{net.name}' has no attention layers", "give a transformer", file=network)
    shares = [
        prune.schedule(len(found), (start + end) / 2, start, first)
        for (start, end), first in (
            (_span(tokens, "--tokens"), prune.TOKENS_FROM), (_span(heads, "--heads"), prune.HEADS_FROM)
        )
    ]  # fmt: skip
    a = found[0].shape
    counts = prune.keeps(a.kv, a.heads, *shares)  # type: ignore[union-attr]
    small = prune.pruned(net, counts)
    outputs.write(target, dump(small))
    for layer, keep in zip(found, counts, strict=True):
        click.echo(f"{layer.name:<32}{keep.tokens:>6} tokens{keep.heads:>5} heads")
    click.echo(f"{target}: {small.macs:,} MACs of {net.macs:,}")


def _span(text: str, option: str) -> tuple[float, float]:
    start, _, end = text.partition(":")
    try:
        span = float(start), float(end)
    except ValueError:
        raise ConfigError(f"'{text}' is no pair of shares", "write 0.1:0.7", file=option) from None
    if not all(0 <= share < 1 for share in span):
        raise ConfigError(f"{text} leaves [0, 1)", "use shares from 0 to below 1", file=option)
    return span
