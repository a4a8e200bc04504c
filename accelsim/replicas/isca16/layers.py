"""The layers of the study: AlexNet, square, padding included, channels and filters counted per group."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.errors import ConfigError


@dataclass(frozen=True)
class Layer:
    """One layer in the symbols of the paper.

    ``H`` side of the padded ifmap, ``R`` side of the filter, ``U`` stride, ``C`` channels and ``M`` filters
    of one group, ``G`` groups.
    """

    name: str
    H: int
    R: int
    U: int
    C: int
    M: int
    G: int

    @property
    def E(self) -> int:  # noqa: N802
        """Side of the ofmap."""
        return (self.H + self.U - self.R) // self.U

    def ifmap_words(self, batch: int) -> int:
        """Return the words of the padded ifmaps of ``batch`` images, all groups."""
        return self.G * batch * self.C * self.H**2

    def weight_words(self) -> int:
        """Return the words of the filters, all groups."""
        return self.G * self.M * self.C * self.R**2

    def ofmap_words(self, batch: int) -> int:
        """Return the words of the ofmaps of ``batch`` images, all groups."""
        return self.G * batch * self.M * self.E**2

    def macs(self, batch: int) -> int:
        """Return the multiplications of ``batch`` images, all groups."""
        return self.ofmap_words(batch) * self.C * self.R**2


CONV_LAYERS = (
    Layer("CONV1", 227, 11, 4, 3, 96, 1),
    Layer("CONV2", 31, 5, 1, 48, 128, 2),
    Layer("CONV3", 15, 3, 1, 256, 384, 1),
    Layer("CONV4", 15, 3, 1, 192, 192, 2),
    Layer("CONV5", 15, 3, 1, 192, 128, 2),
)
FC_LAYERS = (
    Layer("FC6", 6, 6, 1, 256, 4096, 1),
    Layer("FC7", 1, 1, 1, 4096, 4096, 1),
    Layer("FC8", 1, 1, 1, 4096, 1000, 1),
)
LAYER_SETS = {"conv": CONV_LAYERS, "fc": FC_LAYERS, "all": CONV_LAYERS + FC_LAYERS}

PES = (256, 512, 1024)
"""The array sizes of the paper."""
BATCHES = {"conv": (1, 16, 64), "fc": (16, 64, 256)}
"""The batch sizes of the paper, by kind of layer."""


def layer_set(name: str) -> tuple[Layer, ...]:
    """Return the layers called ``conv``, ``fc`` or ``all``; anything else is a ConfigError."""
    if name not in LAYER_SETS:
        raise ConfigError(f"no layer set {name!r} in the study", f"choose one of {', '.join(LAYER_SETS)}")
    return LAYER_SETS[name]
