"""Transformers: ViT, BERT and GPT-2.

Activations are (images x tokens, features).
"""

from __future__ import annotations

from accelsim.workload.nets.builder import Builder
from accelsim.workload.nets.recipe import Recipe
from accelsim.workload.shapes import Attention

HEAD = 64
"""Features of a head, in all of these."""

HEADS_NOTE = (
    "splitting into heads, joining them and transposing the keys move nothing: operands are read where they lie"
)
LOOKUP_NOTE = "the rows of the token table are an input: the look-up itself is the host's"


def vit(b: Builder, width: int, depth: int, patch: int) -> None:
    """Add the patches, the class token, ``depth`` blocks normalised ahead, and the classifier on the class token."""
    side = 224 // patch
    tokens = side * side + 1
    x = b.conv("patch_embedding", b.input("image", 3, 224, 224), width, patch, patch, pad=0, bias=True)
    x = b.view("patches", "transpose", x, b.dims(x), (b.batch, side * side, width))
    x = b.concat("class_token.concat", b.input("class_token", 1, width), x)
    x = b.elementwise("position.add", "add", x, constants=(b.constant("position.embedding", tokens, width),))
    for i in range(depth):
        x = _ahead(b, f"encoder.{i}", x, tokens, "gelu", masked=False)
    x = b.norm("norm", x, "layer")
    x = b.view("class_token.take", "slice", x, (b.batch, tokens, width), (b.batch, 1, width))
    b.linear("head", x, 1000)


def gpt2(b: Builder, width: int, depth: int, *, seq: int) -> None:
    """Add ``depth`` blocks normalised ahead, and the head over the vocabulary for every token."""
    x = b.input("token_embeddings", seq, width)
    x = b.elementwise("position.add", "add", x, constants=(b.constant("position.embedding", seq, width),))
    for i in range(depth):
        x = _ahead(b, f"decoder.{i}", x, seq, "gelu_tanh", masked=True)
    b.linear("lm_head", b.norm("norm", x, "layer"), 50257, bias=False)


def _ahead(b: Builder, name: str, x: str, tokens: int, act: str, *, masked: bool) -> str:
    """Add a block that normalises ahead of attention and of the two linear layers behind it."""
    width = b.dims(x)[-1]
    y = b.linear(f"{name}.qkv", b.norm(f"{name}.norm1", x, "layer"), 3 * width)
    parts = [
        b.view(
            f"{name}.{part}",
            "slice",
            y,
            (b.batch, tokens, 3 * width),
            (b.batch, tokens, width),
            axis=2,
            start=i * width,
        )
        for i, part in enumerate(("query", "key", "value"))
    ]
    y = _attention(b, name, parts, tokens, masked=masked)
    x = b.elementwise(f"{name}.add1", "add", x, y)
    y = b.linear(f"{name}.mlp_in", b.norm(f"{name}.norm2", x, "layer"), 4 * width)
    y = b.linear(f"{name}.mlp_out", b.elementwise(f"{name}.{act}", act, y), width)
    return b.elementwise(f"{name}.add2", "add", x, y)


def _attention(b: Builder, name: str, parts: list[str], tokens: int, *, masked: bool) -> str:
    """Add softmax(Q K^T / sqrt(d)) V over all heads, and its output projection; ``parts`` are Q, K and V."""
    width = b.dims(parts[0])[-1]
    heads = width // HEAD
    shape = Attention(b.batch, heads, heads, tokens, tokens, HEAD, "full" if masked else "none")
    masks = (b.constant("causal_mask", tokens, tokens),) if masked else ()
    x = b.attention(f"{name}.attention", shape, *parts, output=f"{name}.joined.output", constants=masks)
    return b.linear(f"{name}.attention_out", x, width)


def bert(b: Builder, width: int, depth: int, *, seq: int) -> None:
    """Add ``depth`` blocks that normalise behind each sum, and the pooler on the first token."""
    x = b.input("token_embeddings", seq, width)
    tables = (b.constant("position.embedding", seq, width), b.constant("type.embedding", width))
    x = b.elementwise("position.add", "add", x, constants=tables)
    x = b.norm("norm", x, "layer")
    for i in range(depth):
        name = f"encoder.{i}"
        parts = [b.linear(f"{name}.{part}", x, width) for part in ("query", "key", "value")]
        y = _attention(b, name, parts, seq, masked=False)
        x = b.norm(f"{name}.norm1", b.elementwise(f"{name}.add1", "add", y, x), "layer")
        y = b.elementwise(f"{name}.gelu", "gelu", b.linear(f"{name}.ffn_in", x, 4 * width))
        y = b.linear(f"{name}.ffn_out", y, width)
        x = b.norm(f"{name}.norm2", b.elementwise(f"{name}.add2", "add", y, x), "layer")
    x = b.view("first_token", "slice", x, (b.batch, seq, width), (b.batch, 1, width))
    b.elementwise("pooler.tanh", "tanh", b.linear("pooler", x, width))


def _bert(width: int, depth: int, name: str) -> Recipe:
    source = (
        'Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", NAACL '
        f"2019, {name}"
    )
    notes = (HEADS_NOTE, LOOKUP_NOTE, "sequences are full: no padding mask")
    return Recipe(bert, (width, depth), source, {"seq": 128}, {"seq": 512}, notes)


def _gpt2(width: int, depth: int, name: str) -> Recipe:
    source = f'Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, GPT-2 {name}'
    notes = (HEADS_NOTE, LOOKUP_NOTE, "the causal matrix is computed whole, the head runs on every token")
    return Recipe(gpt2, (width, depth), source, {"seq": 1024}, {"seq": 1024}, notes)


NETWORKS = {
    "vit_b_16": Recipe(
        vit, (768, 12, 16),
        'Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, ViT-B/16 on 224 x 224; details as '
        "in torchvision",
        notes=(HEADS_NOTE, "the class token is an input, one for every image"),
    ),
    "bert_base": _bert(768, 12, "base"),
    "bert_large": _bert(1024, 24, "large"),
    "gpt2_small": _gpt2(768, 12, "small"),
    "gpt2_medium": _gpt2(1024, 24, "medium"),
}  # fmt: skip
