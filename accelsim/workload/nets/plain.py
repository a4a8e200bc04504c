"""VGG, GoogLeNet and SqueezeNet: chains of convolutions, and blocks whose branches are joined."""

from __future__ import annotations

from accelsim.workload.nets.builder import Builder
from accelsim.workload.nets.recipe import Recipe

INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Table 1 of the paper: channels of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection."""


def vgg(b: Builder, depths: tuple[int, ...]) -> None:
    """Add five stages of ``depths`` convolutions, and three linear layers."""
    x = b.input("image", 3, 224, 224)
    for stage, depth in enumerate(depths, 1):
        for i in range(1, depth + 1):
            name = f"conv{stage}_{i}"
            x = b.conv(name, x, min(512, 32 << stage), 3, bias=True)
            x = b.elementwise(f"{name}.relu", "relu", x)
        x = b.pool(f"pool{stage}", x, "max", 2, 2)
    for name in ("fc6", "fc7"):
        x = b.elementwise(f"{name}.relu", "relu", b.linear(name, x, 4096))
    b.linear("fc8", x, 1000)


def googlenet(b: Builder) -> None:
    """Add the stem, nine inception blocks and the classifier, without the auxiliary ones."""
    x = b.conv_norm("conv1", b.input("image", 3, 224, 224), 64, 7, 2, act="relu")
    x = b.pool("pool1", x, "max", 3, 2, ceil=True)
    x = b.conv_norm("conv2_reduce", x, 64, 1, act="relu")
    x = b.conv_norm("conv2", x, 192, 3, act="relu")
    x = b.pool("pool2", x, "max", 3, 2, ceil=True)
    for block, channels in INCEPTIONS.items():
        if block == "4a":
            x = b.pool("pool3", x, "max", 3, 2, ceil=True)
        if block == "5a":
            x = b.pool("pool4", x, "max", 2, 2, ceil=True)
        x = _inception(b, f"inception_{block}", x, channels)
    b.linear("fc", b.average("avgpool", x), 1000)


def _inception(b: Builder, name: str, x: str, channels: tuple[int, ...]) -> str:
    one, three_reduce, three, five_reduce, five, projection = channels
    branches = [b.conv_norm(f"{name}_1x1", x, one, 1, act="relu")]
    for branch, reduced, k in (("3x3", three_reduce, three), ("5x5", five_reduce, five)):
        y = b.conv_norm(f"{name}_{branch}_reduce", x, reduced, 1, act="relu")
        branches.append(b.conv_norm(f"{name}_{branch}", y, k, 3, act="relu"))
    y = b.pool(f"{name}_pool", x, "max", 3, 1, pad=1, ceil=True)
    branches.append(b.conv_norm(f"{name}_pool_proj", y, projection, 1, act="relu"))
    return b.concat(f"{name}_concat", *branches)


def squeezenet(b: Builder, channels: int, window: int, pooled: tuple[int, ...]) -> None:
    """Add a stem of ``channels``, eight fire blocks with pooling behind the ``pooled`` ones, and the classifier."""
    x = b.conv("conv1", b.input("image", 3, 224, 224), channels, window, 2, pad=0, bias=True)
    x = b.pool("pool1", b.elementwise("conv1.relu", "relu", x), "max", 3, 2, ceil=True)
    for fire, (squeezed, k) in enumerate(((16, 64), (32, 128), (48, 192), (64, 256)), 1):
        for i in (2 * fire, 2 * fire + 1):
            x = _fire(b, f"fire{i}", x, squeezed, k)
            if i in pooled:
                x = b.pool(f"pool{i}", x, "max", 3, 2, ceil=True)
    x = b.elementwise("conv10.relu", "relu", b.conv("conv10", x, 1000, 1, bias=True))
    b.average("avgpool", x)


def _fire(b: Builder, name: str, x: str, squeezed: int, k: int) -> str:
    def layer(part: str, x: str, k: int, window: int) -> str:
        return b.elementwise(f"{name}.{part}.relu", "relu", b.conv(f"{name}.{part}", x, k, window, bias=True))

    x = layer("squeeze1x1", x, squeezed, 1)
    return b.concat(f"{name}.concat", layer("expand1x1", x, k, 1), layer("expand3x3", x, k, 3))


_SQUEEZENET = (
    'Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", arXiv '
    "1602.07360, 2016, version {} on 224 x 224; details as in torchvision"
)

NETWORKS = {
    "vgg16": Recipe(
        vgg, ((2, 2, 3, 3, 3),),
        'Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, '
        "configuration D",
    ),
    "googlenet": Recipe(
        googlenet, (),
        'Szegedy et al., "Going Deeper with Convolutions", CVPR 2015; as in torchvision, convolutions are normalised '
        "and the filters of the 5x5 branches are 3 x 3",
    ),
    "squeezenet1_0": Recipe(squeezenet, (96, 7, (4, 8)), _SQUEEZENET.format("1.0")),
    "squeezenet1_1": Recipe(squeezenet, (64, 3, (3, 5)), _SQUEEZENET.format("1.1")),
}  # fmt: skip
