"""The command line: parse, call, print.

One file per command. A command's file is imported only when the command is used, so that ``--help`` costs
next to nothing.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path

import click

from accelsim.errors import ModelError, UserError
from accelsim.terminal import shown

FEW_CYCLES = 50_000
"""Objects between two searches for cycles among them: with Python's 700, a tenth of a command's start goes there."""

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
"""Pydantic would read the entry points of everything that is installed: a twentieth of a short run."""

COMPLETING = "_ACCELSIM_COMPLETE"
"""Set by a shell that completes a command, and by the user who asks for its script."""

COMMANDS = {
    "run": "Simulate a network on a machine.",
    "compare": "Compare machines on networks, over the layers that all of them simulate.",
    "list": "List packaged machines, networks, engines, replicas and DRAM standards.",
    "show": "Show a machine, a network or an engine, resolved and with its sources.",
    "price": "What one memory, register, multiplier or wire costs, and by which rows.",
    "schema": "Print the JSON Schema of a machine or network file.",
    "validate": "Compare published figures with this build.",
    "new": "Start a machine of your own: a folder that works, to be altered.",
    "compress": "Prune, share and Huffman-code a network's weights.",
    "prune": "Prune tokens and heads of a transformer's attentions, in cascade.",
    "quantize": "Turn a network's numbers into integers; what their widths cost in noise.",
    "profile": "Run an ONNX model and keep every layer's real inputs.",
    "import": "Convert a model or SCALE-Sim's files into accelsim's.",
    "sweep": "Simulate many points, from a sweep file into a store.",
    "search": "Look for the best designs of a sweep's space without running all of it.",
    "export": "Write a store as CSV or Parquet.",
    "merge": "Put the stores of shards together.",
    "report": "Write a run or a sweep as one HTML file that opens offline.",
    "plot": "Draw a store or reports: EDP, Pareto front, energy, cycles, roofline, heat map.",
    "plan": "What stays on a chip between layers, and what moves through DRAM.",
    "dram": "Serve a stream of requests on a DRAM standard: clocks, row hits, stalls, energy.",
    "replica": "Another simulator's own arithmetic, in its own format.",
}
"""Command name -> one-line help. The file is ``cli/<name>.py``."""
UNDERSCORED = ("import", "list")
"""Commands whose file is ``cli/<name>_.py``: a module of their name could not be imported, or would hide a builtin."""


class LazyGroup(click.Group):
    """A click group that imports a command's module only when it is called or asked for its own help."""

    def __init__(self, *, package: str, lazy: dict[str, str], **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self._package, self._lazy = package, lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are declared."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import ``cmd_name``'s module and return its ``command``."""
        if cmd_name not in self._lazy:
            return None
        suffix = "_" if cmd_name in UNDERSCORED else ""
        module = import_module(f"{self._package}{cmd_name}{suffix}")
        found: click.Command = module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the declared one-line helps, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lazy.items()))


def declared(group: str) -> dict[str, str]:
    """Return name -> first line of the docstring of every file ``cli/<group>_<name>.py``, importing none of them."""
    import ast

    found = {}
    for path in sorted(Path(__file__).parent.glob(f"{group}_*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = text.splitlines()[0] if text else ""
        words = first.partition(": ")[2] if first.startswith("``") else first
        found[path.stem.removeprefix(f"{group}_")] = words[:1].upper() + words[1:]
    return found


@click.group(
    cls=LazyGroup,
    package="accelsim.cli.",
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: accelsim run systolic_ws alexnet",
)
@click.version_option(package_name="accelsim", message="accelsim %(version)s")
def app() -> None:
    """Simulate deep-learning accelerators: cycles, energy and DRAM traffic, every cycle accounted for."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the user's mistake, 3 a broken invariant of ours."""
    gc.set_threshold(FEW_CYCLES)
    if COMPLETING in os.environ:  # bytes for the shell, not text for a terminal
        app.main(args=argv, prog_name="accelsim")
    with shown():
        if sys.stderr.isatty():
            logging.basicConfig(format="%(message)s", stream=sys.stderr)
            logging.getLogger("accelsim").setLevel(logging.INFO)
        _main(argv)


def _main(argv: list[str] | None) -> None:
    try:
        status = app.main(args=argv, prog_name="accelsim", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.UsageError as error:
        hint = error.ctx.command_path if error.ctx else "accelsim"
        click.echo(f"error: {error.format_message()} See '{hint} --help'.", err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        sys.exit(2)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # the reader has seen enough; nothing must be flushed into the closed pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo("error: cannot write the output: no space left on the device; free some", err=True)
        sys.exit(2)
    except ModelError:
        traceback.print_exc()
        click.echo("error: accelsim broke one of its own invariants; please report this", err=True)
        sys.exit(3)
