"""Reports as one HTML file that opens anywhere: style and script are inside, and nothing is loaded.

Templates escape every text. Besides, a content security policy lets no script run but ours, which is known by its
hash, and lets nothing be fetched: a name that slips through as markup stays without effect.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from accelsim.report import words
from accelsim.report.document import plain
from accelsim.report.palette import Look
from accelsim.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
_STRIPES = {
    "\\\\\\": "repeating-linear-gradient(135deg, rgb(0 0 0 / 0.55) 0 1px, transparent 1px 5px)",
    "///": "repeating-linear-gradient(45deg, rgb(255 255 255 / 0.75) 0 1px, transparent 1px 5px)",
    "...": "radial-gradient(rgb(255 255 255 / 0.8) 1px, transparent 1.2px)",
}
"""Hatch of a picture -> image of a style sheet."""


class Piece(NamedTuple):
    """A part of a bar: class of its look, width in percent, what it says."""

    look: str
    percent: float
    text: str


class Looks:
    """The looks that a page uses, each a class of its style sheet."""

    def __init__(self) -> None:
        self._names: dict[Look, str] = {}

    def name(self, look: Look) -> str:
        """Return the class of a look."""
        return self._names.setdefault(look, f"k{len(self._names)}")

    def rules(self) -> list[dict[str, str]]:
        """Return what the style sheet says of them."""
        return [
            {"name": name, "colour": look.colour, "image": _STRIPES.get(look.hatch, "")}
            for look, name in self._names.items()
        ]


def pieces(looks: Looks, parts: Mapping[str, float], known: Mapping[str, Look]) -> list[Piece]:
    """Return a bar of full length from named amounts, in the order of ``known``."""
    total = sum(parts.values())
    return [
        Piece(looks.name(look), round(100 * parts[name] / total, 2), f"{name} {words.percent(parts[name] / total)}")
        for name, look in known.items()
        if parts.get(name)
    ]


def render(template: str, looks: Looks, data: Mapping[str, Any], **named: Any) -> str:
    """Return a page; ``data`` is what its script reads."""
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    room = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return room.get_template(template).render(
        version=__version__,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        looks=looks.rules(),
        data=Markup(embedded(data)),
        **named,
    )


def embedded(data: Mapping[str, Any]) -> str:
    """Return JSON that may stand inside a script element: it holds neither tags nor comments."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def to_yaml(value: Any) -> str:
    """Return a configuration as YAML text."""
    return yaml.safe_dump(plain(value, "arch"), sort_keys=False, allow_unicode=True)


def table(title: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Return a small table of a page."""
    return {"title": title, "heads": heads, "lines": list(lines)}
