"""What the pictures of this folder share."""

from __future__ import annotations

INK, QUIET = "#222222", "#666666"
CHIP, OURS, OTHER = "#555555", "#0072B2", "#E69F00"


def axes_style(ax, title: str, unit: str) -> None:
    ax.set_title(title, color=INK, pad=6)
    ax.set_ylabel(unit, fontsize=8, color=INK)
    ax.tick_params(labelsize=7.5, colors=QUIET, length=2)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)


def save(figure, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Software": None})
