"""Residual networks."""

from __future__ import annotations

from accelsim.workload.nets.builder import Builder
from accelsim.workload.nets.recipe import Recipe

SOURCE = (
    'He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, on 224 x 224; as in torchvision, '
    "the 3 x 3 convolutions carry the stride"
)


def build(b: Builder, depths: tuple[int, ...], bottleneck: bool) -> None:
    """Add four stages of ``depths`` blocks."""
    x = b.conv_norm("conv1", b.input("image", 3, 224, 224), 64, 7, 2, act="relu")
    x = b.pool("maxpool", x, "max", 3, 2, pad=1)
    for stage, depth in enumerate(depths):
        for i in range(depth):
            stride = 2 if stage and not i else 1
            x = _block(b, f"layer{stage + 1}.{i}", x, 64 << stage, stride, bottleneck)
    b.linear("fc", b.average("avgpool", x), 1000)


def _block(b: Builder, name: str, x: str, k: int, stride: int, bottleneck: bool) -> str:
    out = 4 * k if bottleneck else k
    if bottleneck:
        y = b.conv_norm(f"{name}.conv1", x, k, 1, act="relu")
        y = b.conv_norm(f"{name}.conv2", y, k, 3, stride, act="relu")
        y = b.conv_norm(f"{name}.conv3", y, out, 1)
    else:
        y = b.conv_norm(f"{name}.conv1", x, k, 3, stride, act="relu")
        y = b.conv_norm(f"{name}.conv2", y, k, 3)
    if stride > 1 or b.dims(x)[1] != out:
        x = b.conv_norm(f"{name}.downsample", x, out, 1, stride)
    return b.elementwise(f"{name}.relu", "relu", b.elementwise(f"{name}.add", "add", y, x))


NETWORKS = {
    "resnet18": Recipe(build, ((2, 2, 2, 2), False), SOURCE),
    "resnet50": Recipe(build, ((3, 4, 6, 3), True), SOURCE),
}
