"""Small networks of torch modules: attention, recurrent layers, transposed and 1-D and 3-D convolutions, products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as f

T = torch.Tensor


class Block(NamedTuple):
    """A module to export; the fields are those of `subjects.Subject`."""

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[T, ...]
    open_: Mapping[int, dict[int, str]] = MappingProxyType({})
    dims: Mapping[str, int] = MappingProxyType({})


class Call(nn.Module):
    """A function of the inputs and of modules."""

    def __init__(self, function: Callable[..., Any], **modules: Any) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *inputs: T) -> Any:
        return self.function(self, *inputs)


def tokens(*shape: int) -> T:
    return torch.arange(torch.Size(shape).numel()).reshape(shape) % 50


class Rms(nn.Module):
    """A root-mean-square normalisation written out, as the older exporter needs it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: T) -> T:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Decoder(nn.Module):
    """One step of a decoder: embedding, RMS norm, grouped queries with rotary positions, a cache, a gated MLP."""

    def __init__(self, width: int = 64, heads: int = 8, groups: int = 2, words: int = 100) -> None:
        super().__init__()
        self.heads, self.groups, self.each = heads, groups, width // heads
        self.words = nn.Embedding(words, width)
        self.norms = nn.ModuleList([Rms(width) for _ in range(3)])
        self.query, self.out = nn.Linear(width, width, False), nn.Linear(width, width, False)
        self.key, self.value = (nn.Linear(width, groups * self.each, False) for _ in range(2))
        self.gate, self.up = (nn.Linear(width, 2 * width, False) for _ in range(2))
        self.down = nn.Linear(2 * width, width, False)

    def rotated(self, x: T, past: int) -> T:
        half = self.each // 2
        rates = 10000 ** (-torch.arange(half) / half)
        angles = (past + torch.arange(x.shape[2]))[:, None] * rates
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1)

    def forward(self, ids: T, keys: T, values: T) -> tuple[T, T, T]:
        batch, steps = ids.shape
        x = self.words(ids)
        h = self.norms[0](x)
        q, k, v = (
            layer(h).view(batch, steps, count, self.each).transpose(1, 2)
            for layer, count in ((self.query, self.heads), (self.key, self.groups), (self.value, self.groups))
        )
        past = keys.shape[2]
        keys, values = torch.cat([keys, self.rotated(k, past)], 2), torch.cat([values, v], 2)
        k, v = (t.repeat_interleave(self.heads // self.groups, 1) for t in (keys, values))
        y = f.scaled_dot_product_attention(self.rotated(q, past), k, v)
        x = x + self.out(y.transpose(1, 2).reshape(batch, steps, -1))
        h = self.norms[1](x)
        x = x + self.down(f.silu(self.gate(h)) * self.up(h))
        return self.norms[2](x) @ self.words.weight.T, keys, values


class Unet(nn.Module):
    """Two levels down and up again, transposed convolutions and skips."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        sizes = (3, width, 2 * width, 4 * width)
        self.down = nn.ModuleList([self.block(a, b) for a, b in pairwise(sizes)])
        self.ups = nn.ModuleList([nn.ConvTranspose2d(2 * a, a, 2, 2) for a in (2 * width, width)])
        self.back = nn.ModuleList([self.block(2 * a, a) for a in (2 * width, width)])
        self.head = nn.Conv2d(width, 2, 1)

    @staticmethod
    def block(a: int, b: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())

    def forward(self, x: T) -> T:
        skips = []
        for i, layer in enumerate(self.down):
            x = layer(x if i == 0 else f.max_pool2d(x, 2))
            skips.append(x)
        for up, back, skip in zip(self.ups, self.back, skips[-2::-1], strict=True):
            x = back(torch.cat([up(x), skip], 1))
        return self.head(x)


class Gpt(nn.Module):
    """Token and position embeddings, two causal blocks, tied output weights."""

    def __init__(self, width: int = 64, heads: int = 4, words: int = 100, length: int = 64) -> None:
        super().__init__()
        self.words, self.places, self.heads = nn.Embedding(words, width), nn.Embedding(length, width), heads
        self.blocks = nn.ModuleList(
            nn.ModuleDict({
                "first": nn.LayerNorm(width), "second": nn.LayerNorm(width), "qkv": nn.Linear(width, 3 * width),
                "out": nn.Linear(width, width),
                "mlp": nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)),
            })
            for _ in range(2)
        )  # fmt: skip

    def forward(self, ids: T) -> T:
        batch, steps = ids.shape
        x = self.words(ids) + self.places(torch.arange(steps, device=ids.device))
        for block in self.blocks:
            q, k, v = block["qkv"](block["first"](x)).chunk(3, -1)
            q, k, v = (t.view(batch, steps, self.heads, -1).transpose(1, 2) for t in (q, k, v))
            y = f.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + block["out"](y.transpose(1, 2).reshape(batch, steps, -1))
            x = x + block["mlp"](block["second"](x))
        return x @ self.words.weight.T


def encoder(first: bool, layers: int = 2, **more: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=first, **more)
        return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    return make


def attention(function: Callable[..., Any], first: bool = True, **more: Any) -> Callable[[], nn.Module]:
    return lambda: Call(function, layer=nn.MultiheadAttention(64, 4, batch_first=first, **more))


def call(function: Callable[..., Any], **modules: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: Call(function, **{name: make() for name, make in modules.items()})


def chain(*makers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*(make() for make in makers))


def blocks() -> Iterator[Block]:
    """Yield every block."""
    sequence, late = torch.zeros(1, 20, 64), torch.zeros(20, 1, 64)
    mask = torch.triu(torch.full((20, 20), float("-inf")), 1)
    itself = lambda m, x: m.layer(x, x, x, need_weights=False)[0]  # noqa: E731
    yield Block("mha_batch_first", attention(itself), (sequence,))
    yield Block("mha_sequence_first", attention(itself, False), (late,))
    yield Block("mha_weights", attention(lambda m, x: m.layer(x, x, x)), (sequence,))
    yield Block("mha_mask", attention(lambda m, x: m.layer(x, x, x, attn_mask=mask)[0]), (sequence,))
    cross = lambda m, x, y: m.layer(x, y, y, need_weights=False)[0]  # noqa: E731
    yield Block("mha_cross", attention(cross, kdim=32, vdim=32), (sequence, torch.zeros(1, 30, 32)))
    yield Block("encoder_batch_first", encoder(True), (sequence,))
    yield Block("encoder_sequence_first", encoder(False), (late,))
    yield Block("encoder_norm_first", encoder(True, norm_first=True, activation="gelu"), (sequence,))
    two = {0: {0: "batch", 1: "seq"}}
    # the older exporter fixes the length of the example in its reshapes all the same: the same length is given
    yield Block("encoder_open", encoder(True), (torch.zeros(2, 20, 64),), two, {"batch": 1, "seq": 20})
    decoder = lambda: nn.TransformerDecoderLayer(64, 4, 128, batch_first=True)  # noqa: E731
    yield Block("transformer_decoder", decoder, (sequence, torch.zeros(1, 30, 64)))
    cache = torch.zeros(1, 2, 12, 8)
    yield Block("decoder_step", Decoder, (tokens(1, 1), cache, cache))
    yield Block("decoder_prefill", Decoder, (tokens(1, 10), cache[:, :, :4], cache[:, :, :4]))
    open_ = {1: {2: "past"}, 2: {2: "past"}}
    yield Block("decoder_step_open", Decoder, (tokens(1, 1), cache, cache), open_, {"past": 15})
    yield Block("gpt", Gpt, (tokens(1, 16),))
    yield Block("gpt_open", Gpt, (tokens(2, 16),), two, {"batch": 1, "seq": 32})
    yield from recurrent()
    yield from convolutions()
    yield from others()


def recurrent() -> Iterator[Block]:
    x, late = torch.zeros(1, 20, 32), torch.zeros(20, 1, 32)
    first = lambda m, x: m.layer(x)[0]  # noqa: E731
    yield Block("lstm", call(first, layer=lambda: nn.LSTM(32, 48, batch_first=True)), (x,))
    yield Block("lstm_sequence_first", call(first, layer=lambda: nn.LSTM(32, 48)), (late,))
    both = lambda: nn.LSTM(32, 48, 2, batch_first=True, bidirectional=True)  # noqa: E731
    yield Block("bilstm", call(first, layer=both), (x,))
    state = torch.zeros(1, 1, 48)
    yield Block("lstm_state", call(lambda m, x, h, c: m.layer(x, (h, c)), layer=lambda: nn.LSTM(32, 48)),
                (late, state, state))  # fmt: skip
    yield Block("gru", call(first, layer=lambda: nn.GRU(32, 48, 2, batch_first=True)), (x,))
    yield Block("bigru", call(first, layer=lambda: nn.GRU(32, 48, batch_first=True, bidirectional=True)), (x,))
    yield Block("rnn", call(first, layer=lambda: nn.RNN(32, 48, batch_first=True)), (x,))
    classify = lambda m, x: m.head(m.layer(m.words(x))[1][0][-1]).softmax(-1)  # noqa: E731
    parts = {"words": lambda: nn.Embedding(50, 32), "head": lambda: nn.Linear(48, 5)}
    yield Block("lstm_classifier", call(classify, layer=lambda: nn.LSTM(32, 48, batch_first=True), **parts),
                (tokens(1, 20),))  # fmt: skip
    cell = lambda m, x, h: m.layer(x, h)  # noqa: E731
    yield Block("gru_cell", call(cell, layer=lambda: nn.GRUCell(32, 48)), (torch.zeros(1, 32), torch.zeros(1, 48)))


def convolutions() -> Iterator[Block]:
    image, sound = torch.zeros(1, 3, 32, 32), torch.zeros(1, 8, 64)
    yield Block("unet", Unet, (image,))
    yield Block("generator", chain(
        lambda: nn.ConvTranspose2d(32, 16, 4, 1, 0), lambda: nn.BatchNorm2d(16), nn.ReLU,
        lambda: nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False), nn.ReLU,
        lambda: nn.ConvTranspose2d(8, 3, 3, 2, 1, output_padding=1), nn.Tanh), (torch.zeros(1, 32, 1, 1),))  # fmt: skip
    yield Block("conv1d", chain(
        lambda: nn.Conv1d(8, 16, 5, 2, 2), lambda: nn.BatchNorm1d(16), nn.ReLU, lambda: nn.MaxPool1d(2),
        lambda: nn.Conv1d(16, 16, 3, padding=4, dilation=4, groups=4), nn.GELU, lambda: nn.AdaptiveAvgPool1d(1),
        nn.Flatten, lambda: nn.Linear(16, 4)), (sound,))  # fmt: skip
    yield Block("conv3d", chain(
        lambda: nn.Conv3d(3, 8, 3, 1, 1), lambda: nn.BatchNorm3d(8), nn.ReLU, lambda: nn.MaxPool3d(2),
        lambda: nn.Conv3d(8, 16, 3, 2, 1), nn.ReLU, lambda: nn.AdaptiveAvgPool3d(1), nn.Flatten,
        lambda: nn.Linear(16, 4)), (torch.zeros(1, 3, 8, 16, 16),))  # fmt: skip
    yield Block("conv_transpose1d", chain(
        lambda: nn.Conv1d(8, 16, 4, 2, 1), nn.ELU, lambda: nn.ConvTranspose1d(16, 8, 4, 2, 1)), (sound,))  # fmt: skip
    gated = lambda m, x: torch.tanh(m.a(x)) * torch.sigmoid(m.b(x)) + x  # noqa: E731
    dilated = lambda: nn.Conv1d(8, 8, 3, padding=2, dilation=2)  # noqa: E731
    yield Block("wavenet", call(gated, a=dilated, b=dilated), (sound,))
    for name, norm in (("group_norm", lambda: nn.GroupNorm(4, 16)), ("instance_norm", lambda: nn.InstanceNorm2d(16))):
        yield Block(name, chain(lambda: nn.Conv2d(3, 16, 3), norm, nn.SiLU), (image,))
    yield Block("resize", chain(
        lambda: nn.Conv2d(3, 8, 3), lambda: nn.Upsample(scale_factor=2), lambda: nn.Conv2d(8, 4, 3),
        lambda: nn.Upsample(scale_factor=2, mode="bilinear")), (image,))  # fmt: skip
    yield Block("pixel_shuffle", chain(lambda: nn.Conv2d(3, 12, 3, padding=1), lambda: nn.PixelShuffle(2)), (image,))
    yield Block("activations", chain(
        lambda: nn.Conv2d(3, 8, 3), lambda: nn.PReLU(8), lambda: nn.Conv2d(8, 8, 3), nn.Mish,
        lambda: nn.Conv2d(8, 8, 3), nn.Hardswish, lambda: nn.Conv2d(8, 8, 3), lambda: nn.LeakyReLU(0.1),
        lambda: nn.Conv2d(8, 8, 3), nn.Softplus), (image,))  # fmt: skip
    padded = chain(lambda: nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), lambda: nn.AvgPool2d(3, 2, 1),
                   lambda: nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular"))  # fmt: skip
    yield Block("padding_modes", padded, (image,))


def others() -> Iterator[Block]:
    a, b = torch.zeros(1, 4, 10, 16), torch.zeros(1, 4, 12, 16)
    yield Block("einsum", call(lambda m, x, y: torch.einsum("bhid,bhjd->bhij", x, y).softmax(-1)), (a, b))
    heads = lambda: nn.Linear(16, 8 * 4, False)  # noqa: E731
    yield Block(
        "einsum_weights",
        call(lambda m, x: torch.einsum("bhid,hde->bhie", x, m.w.weight.view(4, 8, 16).transpose(1, 2)), w=heads),
        (a,),
    )
    yield Block("rms_norm", chain(lambda: nn.Linear(32, 64), lambda: nn.RMSNorm(64)), (torch.zeros(1, 5, 32),))
    yield Block("bmm", call(lambda m, x, y: torch.bmm(x, y)), (torch.zeros(2, 5, 6), torch.zeros(2, 6, 7)))
    bag = lambda m, x, y: m.layer(x, y)  # noqa: E731
    yield Block("embedding_bag", call(bag, layer=lambda: nn.EmbeddingBag(50, 16, mode="sum")),
                (tokens(12), torch.tensor([0, 4, 9])))  # fmt: skip
    bag2 = lambda m, x: m.head(m.layer(x).mean(1))  # noqa: E731
    yield Block("embedding_mean", call(bag2, layer=lambda: nn.Embedding(50, 16), head=lambda: nn.Linear(16, 4)),
                (tokens(1, 12),))  # fmt: skip
    linear = lambda: nn.Linear(32, 20)  # noqa: E731
    x = torch.zeros(1, 32)
    yield Block("argmax", call(lambda m, x: m.layer(x).argmax(-1), layer=linear), (x,))
    yield Block("topk", call(lambda m, x: m.layer(x).topk(5)[0], layer=linear), (x,))
    reductions = lambda m, x: torch.cat([x.sum(1), x.mean(1), x.amax(1), x.norm(dim=1), x.prod(1)], 1)  # noqa: E731
    yield Block("reductions", call(reductions), (torch.zeros(1, 8, 16),))
    yield Block("mlp_mixer", call(
        lambda m, x: m.b(f.gelu(m.a(m.n(x).transpose(1, 2)))).transpose(1, 2) + x, n=lambda: nn.LayerNorm(64),
        a=lambda: nn.Linear(20, 40), b=lambda: nn.Linear(40, 20)), (torch.zeros(1, 20, 64),))  # fmt: skip
    yield Block("bilinear", call(lambda m, x, y: m.layer(x, y), layer=lambda: nn.Bilinear(8, 8, 4)),
                (torch.zeros(1, 8), torch.zeros(1, 8)))  # fmt: skip
    yield Block("glu_layer", chain(lambda: nn.Linear(32, 64), nn.GLU, lambda: nn.Linear(32, 8), nn.LogSoftmax), (x,))
    yield Block("cumsum_where", call(
        lambda m, x: torch.where(x > 0, x.cumsum(-1), m.layer(x).clamp(-1, 1)), layer=lambda: nn.Linear(32, 32)),
        (x,))  # fmt: skip
    yield Block("squeeze_excite", call(
        lambda m, x: x * torch.sigmoid(m.b(f.relu(m.a(x.mean((2, 3), keepdim=True))))),
        a=lambda: nn.Conv2d(16, 4, 1), b=lambda: nn.Conv2d(4, 16, 1)), (torch.zeros(1, 16, 8, 8),))  # fmt: skip
