"""Sanger's two scripts: the given point, the point in fractions by hand, and limits."""

import json
from fractions import Fraction

import pytest
from click.testing import CliRunner

from accelsim.cli import app, main
from accelsim.replicas import sanger


def by_hand(density, balance, length):
    """Return both times as exact fractions of a millisecond."""
    share = Fraction(density) / Fraction(balance)
    peak = Fraction(2 * 64 * 16 * 10**9, 1000)
    projections = Fraction(3 * 2 * length * 768 * 768) / peak
    scores_and_context = Fraction(2 * 2 * length * length * 768)
    output = Fraction(2 * length * 768 * 768)
    first = projections + (scores_and_context + output) * share / peak
    rows = 4 * share * length
    tiles = Fraction(length, 64) * rows / 64
    second = projections + tiles * (768 + 64 + rows + 64) / 10**6 + output * share / peak
    return first, second


def test_the_given_point_is_met_to_seven_digits():
    found = sanger.figures(0.15, 0.9, 512)
    assert {key: f"{value:.7f}" for key, value in found.items()} == {"v1_ms": "0.9994240", "v2_ms": "0.9866809"}


@pytest.mark.parametrize("point", [("0.15", "0.9", 512), ("0.08", "0.7", 100), ("0.27", "1", 4096), ("1", "0.5", 64)])
def test_both_scripts_are_the_sums_by_hand(point):
    found = sanger.figures(float(point[0]), float(point[1]), point[2])
    assert list(found.values()) == pytest.approx([float(value) for value in by_hand(*point)], rel=1e-12)


def test_the_command_prints_both():
    args = ["replica", "sanger", "--density", "0.15", "--balance", "0.9", "--length", "512"]
    done = CliRunner().invoke(app, [*args, "--format", "json"], catch_exceptions=False)
    assert json.loads(done.output) == sanger.figures(0.15, 0.9, 512)
    lines = CliRunner().invoke(app, args, catch_exceptions=False).output.splitlines()
    assert [line.split()[-2] for line in lines[1:]] == ["0.9994240", "0.9866809"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("density", "balance", "length", "words"),
    [
        ("0", "0.9", "512", "error: --density: 0 is no share; use a number above 0, 1 at most"),
        ("0.1", "1.1", "512", "error: --balance: 1.1 is no share; use a number above 0, 1 at most"),
        ("nan", "0.9", "512", "error: --density: nan is no share"),
        ("0.1", "0.9", "0", "0 is not in the range"),
        ("a", "0.9", "1", "'a' is not a valid float"),
    ],
)
def test_mistakes_are_one_line(capsys, density, balance, length, words):
    with pytest.raises(SystemExit) as stop:
        main(["replica", "sanger", "--density", density, "--balance", balance, "--length", length])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert words in line
