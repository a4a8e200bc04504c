"""``accelsim price``: one component by the rows that price machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from accelsim.cli.examples import example

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class _Positive(click.FloatRange):
    """A positive, finite number."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=1e12)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if found != found:  # nan passes every range
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


class _Volts(_Positive):
    """A supply that a transistor works at."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not 0.1 <= found <= 5:
            self.fail(f"{found:g} V is not within 0.1 and 5 V.", param, ctx)
        return found


POSITIVE = _Positive()
BITS = click.IntRange(1, 1 << 20)
WORD = click.IntRange(1, 64)


@click.group(epilog=example("accelsim price sram --kib 32 --width-bits 64 --node 65 --format json"))
def command() -> None:
    """Price one memory, register, multiplier or wire as a machine pays for it, with the rows behind each figure."""


def _at_node(function: AnyFunction) -> AnyFunction:
    """Add what all components are priced by."""
    node = click.option("--node", type=POSITIVE, required=True, metavar="NM", help="Feature size.")
    vdd = click.option("--vdd", type=_Volts(), metavar="V", help="Supply; the node's nominal one.")
    form = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
    return node(vdd(form(function)))


@command.command(epilog=example("accelsim price sram --kib 2 --width-bits 256 --node 65 --vdd 1.1 --banks 1"))
@click.option("--kib", type=POSITIVE, required=True, metavar="K", help="Size; may be a fraction.")
@click.option("--width-bits", type=BITS, required=True, metavar="W", help="Bits of one access.")
@click.option("--banks", default="best", show_default=True, metavar="N|best", help="Macros side by side.")
@_at_node
def sram(kib: float, width_bits: int, banks: str, node: float, vdd: float | None, form: str) -> None:
    """An SRAM: pJ of one access of its whole width, mm2, mW."""
    from accelsim.energy import quote
    from accelsim.errors import ConfigError

    size_bits = round(kib * 8192)
    if size_bits < width_bits:
        raise ConfigError(
            f"{kib:g} KiB hold no word of {width_bits} bit", "raise it or lower --width-bits", file="--kib"
        )
    count = None if banks == "best" else int(banks) if banks.isdecimal() and len(banks) < 7 else 0
    if count is not None and not 1 <= count <= width_bits:
        problem = f"'{banks}' banks of a port of {width_bits} bit"
        raise ConfigError(problem, f"give 1 to {width_bits}, or 'best'", file="--banks")
    _show("sram", quote.of_sram(quote.table_at(node, vdd), size_bits, width_bits, count), form)


@command.command(epilog=example("accelsim price register --width-bits 16 --words 12 --node 45 --vdd 1.1"))
@click.option("--width-bits", type=BITS, default=1, show_default=True, metavar="W", help="Bits of a word.")
@click.option("--words", type=click.IntRange(1, 1 << 20), default=1, show_default=True, metavar="N")
@_at_node
def register(width_bits: int, words: int, node: float, vdd: float | None, form: str) -> None:
    """Flip-flops: pJ of a word written or read, of a bit clocked or toggled; mm2, mW."""
    from accelsim.energy import quote

    _show("register", quote.of_register(quote.table_at(node, vdd), words, width_bits), form)


@command.command(epilog="Example: accelsim price mac --input-bits 8 --weight-bits 8 --node 28")
@click.option("--input-bits", type=WORD, default=8, show_default=True)
@click.option("--weight-bits", type=WORD, default=8, show_default=True)
@click.option("--accumulator-bits", type=WORD, default=32, show_default=True)
@_at_node
def mac(input_bits: int, weight_bits: int, accumulator_bits: int, node: float, vdd: float | None, form: str) -> None:
    """A multiply-accumulate unit: pJ of one operation, mm2, mW."""
    from accelsim.energy import quote

    _show("mac", quote.of_mac(quote.table_at(node, vdd), input_bits, weight_bits, accumulator_bits), form)


@command.command(epilog="Example: accelsim price wire --length-mm 2.5 --bits 64 --node 65")
@click.option("--length-mm", type=POSITIVE, required=True, metavar="L")
@click.option("--bits", type=BITS, default=1, show_default=True, help="Bits moved.")
@_at_node
def wire(length_mm: float, bits: int, node: float, vdd: float | None, form: str) -> None:
    """A wire: pJ of a transfer."""
    from accelsim.energy import quote

    _show("wire", quote.of_wire(quote.table_at(node, vdd), length_mm, bits), form)


def _show(component: str, found: dict[str, Any], form: str) -> None:
    if form == "json":
        click.echo(json.dumps({"component": component, **found}, indent=2))
        return
    for key, value in found.items():
        if key not in ("steps", "source"):
            click.echo(f"{key:26} {f'{value:.6g}' if isinstance(value, float) else value}")
    click.echo("from")
    for step in dict.fromkeys([found["source"], *found["steps"]]):
        click.echo(f"    {step}")
