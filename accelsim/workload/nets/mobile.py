"""Networks of depthwise convolutions: MobileNet V1 to V3 and EfficientNet."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.workload.nets.builder import Builder
from accelsim.workload.nets.recipe import Recipe


class Block(NamedTuple):
    """An inverted residual: ``wide`` channels within, ``k`` out, ``squeezed`` of squeeze-and-excitation (0: none)."""

    window: int
    wide: int
    k: int
    stride: int
    act: str
    squeezed: int = 0


V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""Table 1 of the paper: channels and stride."""
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Table 2 of the paper: expansion t, channels c, repetitions n, stride s."""
B0 = (
    (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1), (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)  # fmt: skip
"""Table 1 of the paper: window, expansion, channels, repetitions, stride."""
LARGE = (
    Block(3, 16, 16, 1, "relu"), Block(3, 64, 24, 2, "relu"), Block(3, 72, 24, 1, "relu"),
    Block(5, 72, 40, 2, "relu", 24), Block(5, 120, 40, 1, "relu", 32), Block(5, 120, 40, 1, "relu", 32),
    Block(3, 240, 80, 2, "hardswish"), Block(3, 200, 80, 1, "hardswish"), Block(3, 184, 80, 1, "hardswish"),
    Block(3, 184, 80, 1, "hardswish"), Block(3, 480, 112, 1, "hardswish", 120), Block(3, 672, 112, 1, "hardswish", 168),
    Block(5, 672, 160, 2, "hardswish", 168), Block(5, 960, 160, 1, "hardswish", 240),
    Block(5, 960, 160, 1, "hardswish", 240),
)  # fmt: skip
"""Table 1 of the paper; squeezed to a quarter, in multiples of 8, as in torchvision."""
SMALL = (
    Block(3, 16, 16, 2, "relu", 8), Block(3, 72, 24, 2, "relu"), Block(3, 88, 24, 1, "relu"),
    Block(5, 96, 40, 2, "hardswish", 24), Block(5, 240, 40, 1, "hardswish", 64), Block(5, 240, 40, 1, "hardswish", 64),
    Block(5, 120, 48, 1, "hardswish", 32), Block(5, 144, 48, 1, "hardswish", 40),
    Block(5, 288, 96, 2, "hardswish", 72), Block(5, 576, 96, 1, "hardswish", 144),
    Block(5, 576, 96, 1, "hardswish", 144),
)  # fmt: skip
"""Table 2 of the paper, likewise."""


def v1(b: Builder) -> None:
    """Add depthwise and pointwise convolutions in turn."""
    x = b.conv_norm("conv1", b.input("image", 3, 224, 224), 32, 3, 2, act="relu")
    for i, (k, stride) in enumerate(V1, 1):
        c = b.dims(x)[1]
        x = b.conv_norm(f"block{i}.depthwise", x, c, 3, stride, groups=c, act="relu")
        x = b.conv_norm(f"block{i}.pointwise", x, k, 1, act="relu")
    b.linear("fc", b.average("avgpool", x), 1000)


def v2(b: Builder) -> None:
    """Add inverted residuals with activations clipped at 6."""
    x, c, blocks = _stem(b, 32, "clip6"), 32, []
    for expansion, k, repetitions, stride in V2:
        for i in range(repetitions):
            blocks.append(Block(3, expansion * c, k, 1 if i else stride, "clip6"))
            c = k
    x = b.conv_norm("conv_last", _residuals(b, x, blocks, "", ""), 1280, 1, act="clip6")
    b.linear("fc", b.average("avgpool", x), 1000)


def v3(b: Builder, blocks: tuple[Block, ...], last: int, hidden: int) -> None:
    """Add inverted residuals, ``last`` channels behind them and ``hidden`` features before the classifier."""
    x = _residuals(b, _stem(b, 16, "hardswish"), blocks, "relu", "hardsigmoid")
    x = b.average("avgpool", b.conv_norm("conv_last", x, last, 1, act="hardswish"))
    x = b.elementwise("fc1.hardswish", "hardswish", b.linear("fc1", x, hidden))
    b.linear("fc2", x, 1000)


def efficientnet(b: Builder) -> None:
    """Add inverted residuals, each squeezed to a quarter of its inputs."""
    x, c, blocks = _stem(b, 32, "swish"), 32, []
    for window, expansion, k, repetitions, stride in B0:
        for i in range(repetitions):
            blocks.append(Block(window, expansion * c, k, 1 if i else stride, "swish", c // 4))
            c = k
    x = b.conv_norm("conv_last", _residuals(b, x, blocks, "swish", "sigmoid"), 1280, 1, act="swish")
    b.linear("fc", b.average("avgpool", x), 1000)


def _stem(b: Builder, k: int, act: str) -> str:
    return b.conv_norm("conv1", b.input("image", 3, 224, 224), k, 3, 2, act=act)


def _residuals(b: Builder, x: str, blocks: tuple[Block, ...] | list[Block], inner: str, gate: str) -> str:
    """Add blocks; ``inner`` and ``gate`` are the activations of squeeze-and-excitation."""
    for i, block in enumerate(blocks, 1):
        name, before, c = f"block{i}", x, b.dims(x)[1]
        if block.wide != c:
            x = b.conv_norm(f"{name}.expand", x, block.wide, 1, act=block.act)
        x = b.conv_norm(
            f"{name}.depthwise", x, block.wide, block.window, block.stride, groups=block.wide, act=block.act
        )
        if block.squeezed:
            y = b.conv(f"{name}.se_reduce", b.average(f"{name}.se_average", x), block.squeezed, 1, bias=True)
            y = b.elementwise(f"{name}.se_reduce.{inner}", inner, y)
            y = b.conv(f"{name}.se_expand", y, block.wide, 1, bias=True)
            y = b.elementwise(f"{name}.se_expand.{gate}", gate, y)
            x = b.elementwise(f"{name}.se_scale", "mul", x, y)
        x = b.conv_norm(f"{name}.project", x, block.k, 1)
        if block.stride == 1 and block.k == c:
            x = b.elementwise(f"{name}.add", "add", x, before)
    return x


_V3 = 'Howard et al., "Searching for MobileNetV3", ICCV 2019, {}, on 224 x 224; details as in torchvision'

NETWORKS = {
    "mobilenet_v1": Recipe(
        v1, (),
        'Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", arXiv '
        "1704.04861, 2017, width 1.0 on 224 x 224",
    ),
    "mobilenet_v2": Recipe(
        v2, (),
        'Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, width 1.0 on 224 x 224',
    ),
    "mobilenet_v3_large": Recipe(v3, (LARGE, 960, 1280), _V3.format("Large")),
    "mobilenet_v3_small": Recipe(v3, (SMALL, 576, 1024), _V3.format("Small")),
    "efficientnet_b0": Recipe(
        efficientnet, (),
        'Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, B0 on 224 x '
        "224; padded as in torchvision",
    ),
}  # fmt: skip
