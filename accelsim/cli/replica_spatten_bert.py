"""``accelsim replica spatten_bert``: the released BERT simulator of SpAtten, without its top-k."""

from __future__ import annotations

import json

import click

from accelsim.cli.examples import example
from accelsim.errors import ConfigError

COUNT = click.IntRange(1, 10**6)
BITS = click.IntRange(1, 32)


@click.command(epilog=example("accelsim replica spatten_bert --length 128 --keep 128,96,64 --layers 3"))
@click.option("--layers", type=click.IntRange(1, 1000), default=12, show_default=True, help="Attention layers.")
@click.option("--heads", type=COUNT, default=12, show_default=True, help="Heads of a layer.")
@click.option("--dim", type=COUNT, default=64, show_default=True, help="Width of a head.")
@click.option("--length", type=COUNT, default=128, show_default=True, help="Tokens of the sentence.")
@click.option(
    "--key-bits", type=BITS, default=8, show_default=True, help="Stored bits of a key; 6 and above 8 run as 8."
)
@click.option("--value-bits", type=BITS, default=8, show_default=True, help="The same of a value.")
@click.option("--channels", type=COUNT, default=16, show_default=True, help="Channels of DRAM.")
@click.option("--multipliers", type=COUNT, default=512, show_default=True, help="Of each of the two arrays.")
@click.option("--keep", metavar="A,B,...", help="Tokens whose keys and values each layer fetches; all by default.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def command(
    layers: int, heads: int, dim: int, length: int, key_bits: int, value_bits: int, channels: int, multipliers: int,
    keep: str | None, form: str,
) -> None:  # fmt: skip
    """Count BERT's attention as SpAtten's released simulator does: DRAM, fill and drain of each layer, added.

    1 GHz. Its top-k is left out: it reads past the end of its list, so that its cycles do not repeat themselves.
    """
    from accelsim.replicas.spatten import bert

    kept = _kept(keep, layers, length)
    shapes = bert.pruned(bert.Layer(heads, dim, length, length, key_bits, value_bits), kept)
    cycles = [bert.layer_cycles(shape, bert.Machine(channels, multipliers)) for shape in shapes]
    if form == "json":
        click.echo(json.dumps({"cycles": sum(cycles), "layers": cycles}, indent=1))
        return
    click.echo(f"{'layer':<6}{'keys':>8}{'cycles':>16}")
    for number, (keys, found) in enumerate(zip(kept, cycles, strict=True), 1):
        click.echo(f"{number:<6}{keys:>8,}{found:>16,}")
    operations = sum(shape.operations for shape in shapes)
    click.echo(f"\n{sum(cycles):,} cycles, {operations / sum(cycles) / 1000:.2f} TOPS at 1 GHz")


def _kept(text: str | None, layers: int, length: int) -> list[int]:
    if text is None:
        return [length] * layers
    words = text.split(",")
    if not all(word.strip().isdecimal() and len(word) < 10 for word in words):
        raise ConfigError(f"'{text}' is no list of tokens", "write whole numbers, such as 128,96,64", key="--keep")
    if len(words) != layers:
        raise ConfigError(f"{len(words)} numbers for {layers} layers", "give one per layer", key="--keep")
    return [int(word) for word in words]
