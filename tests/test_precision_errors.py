"""Mistakes with widths, signs and buffers: one line that names layer, tensor and the number that would fit."""

import re

import numpy as np
import pytest
import yaml

from accelsim.cli import main

NET = """\
name: n
isolated: true
layers:
  - {name: conv1, kind: conv2d, c: 64, k: 16, h: 8, w: 8, r: 5, s: 5}
"""
MACHINES = ["dadiannao", "stripes", "loom", "pragmatic", "laconic", "unpu", "bismo", "bitfusion", "deeprecon"]
WIDEST = {"deeprecon": 8, "bismo": 8}
JOINING = {"stripes": 16, "loom": 16}
"""Machines whose lanes join for wider operands: product widths are limited instead."""


@pytest.fixture
def said(tmp_path, capsys, monkeypatch):
    """Return a function that runs a command and returns (exit status, what it said on standard error)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.yaml").write_text(NET)

    def call(*args, files=None):
        for name, document in (files or {}).items():
            (tmp_path / name).write_text(yaml.safe_dump(document))
        with pytest.raises(SystemExit) as stopped:
            main(list(args))
        return stopped.value.code, capsys.readouterr().err

    return call


def one_line(code, text):
    assert code == 2
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, "p.yaml:3: layers.conv1.input: 0 is too small; must be at least 1"),
        (65, "p.yaml:3: layers.conv1.input: 65 is too large; must be at most 64"),
        ("uint70", "p.yaml:3: layers.conv1.input: 70 is too large; must be at most 64"),
        ("int", "p.yaml:3: layers.conv1.input: 'int' is of the wrong type; must be a whole number"),
    ],
)
def test_a_width_that_nothing_has(said, bits, words):
    profile = {"layers": {"conv1": {"input": bits}}}
    assert words in one_line(*said("run", "loom", "n.yaml", "--precision", "p.yaml", files={"p.yaml": profile}))


@pytest.mark.parametrize("tensor", ["input", "weight"])
@pytest.mark.parametrize("machine", MACHINES)
def test_a_width_that_the_machine_does_not_take(said, machine, tensor):
    profile = {"layers": {"conv1": {"input": 8, "weight": 8} | {tensor: 33}}}
    args = ("run", machine, "n.yaml", "--precision", "p.yaml", "--unsupported", "error")
    text = one_line(*said(*args, files={"p.yaml": profile}))
    assert text.startswith("error: layer 'conv1' cannot run: 'conv1.")
    assert f"'conv1.{tensor}' " in text
    assert "33 " in text
    most = "40 bits together" if machine in JOINING else f"{WIDEST.get(machine, 16)};"
    assert most in text


@pytest.mark.parametrize("tensor", ["input", "weight"])
def test_a_value_that_does_not_fit_its_width(said, tensor, tmp_path):
    shapes = {"input": (1, 64, 8, 8), "weight": (16, 64, 5, 5)}
    np.savez(tmp_path / "v.npz", **{f"conv1.{tensor}": np.full(shapes[tensor], 9)})
    profile = {"layers": {"conv1": {"input": 4, "weight": 4}}}
    args = ("run", "loom", "n.yaml", "--precision", "p.yaml", "--operands", "v.npz")
    assert one_line(*said(*args, files={"p.yaml": profile})) == (
        f"error: v.npz: layer 'conv1': tensor 'conv1.{tensor}': values 0..9 do not fit 4 bits signed; "
        "declare at least 5 bits\n"
    )


def test_signed_numbers_on_an_unsigned_port(said, tmp_path):
    np.savez(tmp_path / "v.npz", **{"conv1.input": np.full((1, 64, 8, 8), -100)})
    profile = {"layers": {"conv1": {"input": "uint4"}}}
    args = ("run", "stripes", "n.yaml", "--precision", "p.yaml", "--operands", "v.npz")
    assert one_line(*said(*args, files={"p.yaml": profile})) == (
        "error: v.npz: layer 'conv1': tensor 'conv1.input': values -100..0 do not fit 4 bits unsigned; "
        "declare at least 8 bits signed\n"
    )


SMALL = {
    "dadiannao": {"params.input_kib": 1},
    "stripes": {"params.input_kib": 1, "params.weight_kib": 1},
    "loom": {"params.weight_kib": 1},
    "pragmatic": {"params.weight_kib": 1},
    "laconic": {"params.input_kib": 2},
    "unpu": {"params.output_kib": 1, "params.weight_kib": 1, "params.input_kib": 1},
    "bismo": {"params.lhs_entries": 4, "params.rhs_entries": 4},
    "bitfusion": {"params.rows": 1, "params.cols": 1, "params.weight_kib": 1},
}
BIG = "{name: conv1, kind: conv2d, c: 64, k: 16, h: 99, w: 99, r: 66, s: 66}"


@pytest.mark.parametrize("machine", SMALL)
def test_buffers_that_hold_no_legal_tile_say_which_size_would(said, machine, tmp_path):
    """The remedy of the line is tried: it must help."""
    if machine in ("unpu", "bitfusion"):
        (tmp_path / "n.yaml").write_text(NET.splitlines()[0] + f"\nisolated: true\nlayers:\n  - {BIG}\n")
    sets = {key: str(value) for key, value in SMALL[machine].items()}
    for _ in range(3):
        args = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
        code, text = said("run", machine, "n.yaml", "--format", "csv", *args)
        if code == 0:
            break
        text = one_line(code, text)
        assert text.startswith(f"error: no layer of 'n' ran on '{machine}': layer 'conv1': ")
        assert "another machine" not in text
        assert re.search(r"(input|weight|output)", text)
        found = dict(re.findall(r"(params\.\w+) to (\d+)", text))
        assert found
        sets |= found
    assert code == 0, text
    assert sets != {key: str(value) for key, value in SMALL[machine].items()}
