"""What is exported: networks of torchvision, and blocks of torch from `blocks`. Weights are random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import blocks
import torch
import torchvision
from torch import nn


class Subject(NamedTuple):
    """A network to export.

    Attributes
    ----------
    make : function
        Returns the module.
    inputs : tuple of tensors
        Example inputs.
    open_ : mapping
        Input -> axis -> symbol of a dimension that stays open.
    dims : mapping
        Symbol -> size to give for it.
    """

    name: str
    source: str
    make: Callable[[], nn.Module]
    inputs: tuple[torch.Tensor, ...]
    open_: Mapping[int, dict[int, str]]
    dims: Mapping[str, int]


IMAGES = (
    "alexnet", "resnet18", "resnet50", "resnext50_32x4d", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "efficientnet_b0", "efficientnet_v2_s", "convnext_tiny", "densenet121", "regnet_x_400mf", "regnet_y_400mf",
    "googlenet", "squeezenet1_0", "squeezenet1_1", "mnasnet0_5", "mnasnet1_0", "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0", "swin_t", "swin_v2_t", "vit_b_16", "maxvit_t",
)  # fmt: skip
SEGMENTATION = ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large")
VIDEO = ("r3d_18", "r2plus1d_18")


class First(nn.Module):
    """A network whose result is the first of several."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        y = self.inner(x)
        return y["out"] if isinstance(y, dict) else y[0] if isinstance(y, tuple) else y


def vision(name: str, **more: Any) -> Callable[[], nn.Module]:
    """Return what makes a network of torchvision."""

    def make() -> nn.Module:
        return First(torchvision.models.get_model(name, weights=None, **more))

    return make


def subjects() -> Iterator[Subject]:
    """Yield all that is exported."""
    image = torch.zeros(1, 3, 224, 224)
    for name in IMAGES:
        more = {"init_weights": True} if name == "googlenet" else {}
        yield Subject(name, "torchvision", vision(name, **more), (image,), {}, {})
    inception = vision("inception_v3", init_weights=False)
    yield Subject("inception_v3", "torchvision", inception, (torch.zeros(1, 3, 299, 299),), {}, {})
    for name in SEGMENTATION:
        make = vision(name, weights_backbone=None)
        yield Subject(name, "torchvision", make, (torch.zeros(1, 3, 128, 128),), {}, {})
    for name in VIDEO:
        yield Subject(name, "torchvision", vision(name), (torch.zeros(1, 3, 8, 56, 56),), {}, {})
    for name in ("vit_b_32", "resnet34"):
        two = torch.zeros(2, 3, 224, 224)
        yield Subject(f"{name}_open", "torchvision", vision(name), (two,), {0: {0: "batch"}}, {"batch": 1})
    for block in blocks.blocks():
        yield Subject(block.name, "torch", block.make, block.inputs, block.open_, block.dims)
