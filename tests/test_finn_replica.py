"""FINN's foldings: those of the release, cycles counted one by one, and the search against all foldings."""

import itertools
import json
import random

import pytest
from click.testing import CliRunner

from accelsim.cli import app, main
from accelsim.errors import ConfigError
from accelsim.replicas import finn

HEADER = "layer,kind,out_h,out_w,c,k,pe,simd\n"


def run(*args):
    done = CliRunner().invoke(app, ["replica", "finn", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("name", "cycles", "interval"),
    [
        ("lfc_w1a1", [416, 512, 512, 512], 512),
        ("cnv_w1a1", [32400, 28224, 20736, 28800, 20736, 18432, 32768, 32768, 8192], 32768),
    ],
)
def test_the_foldings_of_the_release_take_its_cycles(name, cycles, interval):
    document = json.loads(run(name, "--format", "json"))
    assert [layer["cycles"] for layer in document["layers"]] == cycles
    assert document["ii"] == interval
    assert list(document) == ["layers", "ii"]
    assert {tuple(layer) for layer in document["layers"]} == {("layer", "cycles")}


def test_images_a_second_are_the_clock_over_the_interval():
    assert run("lfc_w1a1").splitlines()[-1] == "195,312.5 images/s at 100 MHz"
    assert run("cnv_w1a1").splitlines()[-1] == "3,051.8 images/s at 100 MHz"


def by_loops(unit):
    """Count a cycle for each block of rows and columns of each pixel."""
    blocks = itertools.product(range(unit.vectors), range(0, unit.rows, unit.pe), range(0, unit.columns, unit.simd))
    return sum(1 for _ in blocks)


@pytest.mark.parametrize("seed", range(20))
def test_a_unit_takes_a_cycle_for_each_block_of_its_matrix(tmp_path, seed):
    draw = random.Random(seed)
    pe, simd = draw.randint(1, 5), draw.choice([1, 3, 9])
    h, w, c, k = draw.randint(1, 4), draw.randint(1, 4), draw.randint(1, 6), pe * draw.randint(1, 4)
    path = tmp_path / "f.csv"
    path.write_text(f"{HEADER}a,conv3x3,{h},{w},{c},{k},{pe},{simd}\nb,fc,1,1,{c * simd},{k},{pe},{simd}\n")
    conv, fc = finn.read(path)
    assert (conv.rows, conv.columns, fc.columns) == (k, 9 * c, c * simd)
    assert (conv.cycles, fc.cycles) == (by_loops(conv), by_loops(fc))
    assert finn.initiation_interval((conv, fc)) == max(by_loops(conv), by_loops(fc))


def by_trying(units, multipliers):
    """Return the least interval of all foldings, and the fewest multipliers that have it."""
    each = []
    for unit in units:
        sizes = itertools.product(range(1, unit.rows + 1), range(1, unit.columns + 1))
        each.append({(p * s, unit.vectors * unit.rows // p * unit.columns // s)
                     for p, s in sizes if unit.rows % p == 0 and unit.columns % s == 0})  # fmt: skip
    tried = [(max(c for _, c in some), total) for some in itertools.product(*each)
             if (total := sum(m for m, _ in some)) <= multipliers]  # fmt: skip
    return min(tried)


@pytest.mark.parametrize("seed", range(25))
def test_the_search_finds_the_best_of_all_foldings(seed):
    draw = random.Random(seed)
    units = [finn.Unit(f"u{i}", draw.randint(1, 9), draw.randint(1, 12), draw.randint(1, 12), 1, 1) for i in range(3)]
    multipliers = draw.randint(3, 60)
    found = finn.best(units, multipliers)
    total = sum(unit.multipliers for unit in found)
    assert (finn.initiation_interval(found), total) == by_trying(units, multipliers)
    assert all(unit.rows % unit.pe == 0 and unit.columns % unit.simd == 0 for unit in found)


def test_cnv_takes_28224_cycles_at_least_with_the_multipliers_of_the_release():
    units = finn.read("cnv_w1a1")
    multipliers = sum(unit.multipliers for unit in units)
    assert multipliers == 2272
    assert finn.initiation_interval(finn.best(units, multipliers)) == 28224
    work = sum(unit.vectors * unit.rows * unit.columns for unit in units)
    assert work / multipliers > 26000  # none comes near the 9,130 of CNV-max
    fast = finn.fewest(units, 9130)
    assert sum(unit.multipliers for unit in fast) == 8380 > work / 9130
    assert finn.initiation_interval(fast) == 8192


def test_no_folding_is_faster_than_a_layers_pixels():
    units = finn.read("cnv_w1a1")
    assert finn.fewest(units, 899) is None
    assert finn.initiation_interval(finn.best(units, 10**9)) == 900


def test_the_command_prints_the_best_folding_beside_the_given_one():
    document = json.loads(run("cnv_w1a1", "--multipliers", 2272, "--format", "json"))
    assert (document["ii"], document["best"]["ii"]) == (32768, 28224)
    assert document["best"]["layers"][0] == {"layer": "conv1", "cycles": 24300, "pe": 64, "simd": 1}
    lines = run("cnv_w1a1", "--multipliers", 2272).splitlines()
    assert "best of 2,272 multipliers:" in lines
    assert max(map(len, lines)) <= 80


def test_fewer_multipliers_than_layers_are_refused():
    with pytest.raises(ConfigError, match="--multipliers: 8 multipliers for 9 layers; give each one at least"):
        finn.best(finn.read("cnv_w1a1"), 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + "a,fc,1,1,784,1024,32,64\n", ":2: simd: 64 does not divide 784 columns; fold otherwise, or pad them"),
        (HEADER + "a,fc,1,1,64,10,16,8\n", ":2: pe: 16 does not divide 10 rows; fold otherwise, or pad them to 16"),
        (HEADER + "a,conv3x3,4,4,2,8,8,4\n", ":2: simd: 4 does not divide 18 columns"),
        (HEADER + "a,conv5x5,4,4,2,8,8,2\n", ":2: kind: 'conv5x5' is no kind of layer; use conv3x3 or fc"),
        (HEADER + "a,fc,2,1,2,8,8,2\n", ":2: out_h: a fully connected layer has one output pixel; write 1"),
        (HEADER + "a,fc,1,1,2,8,0,2\n", ":2: pe: '0' is no whole number from 1 to 1048576"),
        (HEADER + "a,fc,1,1,2,8,8\n", ":2: 7 values for 8 columns"),
        (HEADER.replace("simd", "lanes") + "a,fc,1,1,2,8,8,2\n", ":1: the table lacks 'simd', or has it twice"),
        (HEADER, "the table has no lines"),
        ("", "the table lacks 'layer'"),
    ],
)
def test_mistakes_in_a_folding_are_one_line(capsys, tmp_path, text, words):
    path = tmp_path / "f.csv"
    path.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["replica", "finn", str(path)])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert words in line
