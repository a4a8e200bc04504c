"""What a terminal shows, as HTML for a notebook's cell."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

WIDTH = 120
"""Columns: what a cell holds without a scroll bar."""
_FRAME = '<pre style="line-height:1.3;font-family:monospace">{code}</pre>'


def html(view: RenderableType) -> str:
    """Return a table of `accelsim.report` as HTML, in the colours of a terminal; texts are escaped."""
    console = Console(record=True, file=io.StringIO(), width=WIDTH, highlight=False, markup=False, emoji=False)
    console.print(view)
    return console.export_html(inline_styles=True, code_format=_FRAME)
