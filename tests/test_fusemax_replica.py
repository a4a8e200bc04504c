"""The replica of FuseMax's released model against the artifact's printed rows, and against tiles counted one by one."""

import json
from fractions import Fraction
from math import exp, log

import pytest
from click.testing import CliRunner

from accelsim.cli import app
from accelsim.replicas import fusemax
from accelsim.replicas.fusemax import designs
from accelsim.replicas.fusemax.designs import Attention

ROWS = {(row.design, row.model, row.M): row for row in fusemax.rows()}
BERT = {
    "unfused": (".0218236", ".337927", "5.36184", "85.6094", "1369.87", "21904.96"),
    "flat": (".0133861", ".214177", "3.42684", "54.8294", "1013.88", "16220.64"),
    "cascade": (".0153339", ".242832", "3.87527", "61.9641", "991.266", "15859.61"),
    "arch": (".00598713", ".0957941", "1.53271", "24.5233", "392.373", "6277.96"),
    "binding": (".00201314", ".0297004", ".465166", "7.40250", "118.279", "1891.83"),
}
"""Seconds that the artifact's results print, batch 64, from 1K to 1M."""
XLM = {"unfused": ".0303481", "flat": ".0178481", "cascade": ".0229550", "arch": ".0113294", "binding": ".00519408"}


def as_printed(value, text):
    """Return whether a value rounds to the digits of a text."""
    digits = len(text.partition(".")[2])
    return f"{value:.{digits}f}" == f"{float(text):.{digits}f}"


@pytest.mark.parametrize("design", BERT)
def test_berts_seconds_are_the_artifacts_to_the_digits_printed(design):
    for length, text in zip(fusemax.LENGTHS.values(), BERT[design], strict=True):
        ours = ROWS[design, "BERT", length].latency_s
        if design == "unfused" and length >= 2**18:  # its tiling search re-reads a little more
            assert ours == pytest.approx(float(text), rel=0.005)
        else:
            assert as_printed(ours, text), (length, ours)


@pytest.mark.parametrize("design", XLM)
def test_xlms_seconds_at_1k_are_the_artifacts(design):
    assert as_printed(ROWS[design, "XLM", 1024].latency_s, XLM[design])


def test_the_array_of_fusemax_is_in_use_as_the_artifact_says():
    found = [f"{ROWS['binding', 'BERT', m].utilization_2d:.4f}" for m in fusemax.LENGTHS.values()]
    assert found == ["0.8896", "0.9648", "0.9856", "0.9910", "0.9923", "0.9926"]


def test_the_abstracts_ratios_are_arithmetic_means():
    means = fusemax.speedups()
    assert (round(means.attention, 2), round(means.end_to_end, 2)) == (6.72, 5.30)
    pairs = [(model, m) for model in fusemax.MODELS for m in fusemax.LENGTHS.values()]
    logs = [log(ROWS["flat", *p].latency_s / ROWS["binding", *p].latency_s) for p in pairs]
    assert round(exp(sum(logs) / len(logs)), 2) == 6.46


@pytest.mark.parametrize(("model", "longer"), [("BERT", 0), ("TrXL", 0), ("XLM", 0), ("T5", 0.04)])
def test_linear_layers_take_their_macs_and_t5s_projections_their_traffic(model, longer):
    from accelsim.replicas.fusemax.rows import _attention, _linear_s

    layer = _attention(model, "4K")
    width = layer.H * layer.E
    macs = layer.B * layer.length * (4 * width * width + 2 * width * 4 * width)
    assert float(_linear_s(layer) / Fraction(macs, 65536 * 940 * 10**6)) == pytest.approx(1 + longer, abs=0.001)


def test_every_design_model_and_length_has_its_row_once():
    rows = fusemax.rows()
    assert len(rows) == len(ROWS) == 120
    assert {(r.B, r.E == r.F, r.M == r.P, r.energy_pj) for r in rows} == {(64, True, True, None)}
    assert {r.model: (r.H, r.E) for r in rows} == {"BERT": (12, 64), "TrXL": (16, 64), "T5": (8, 64), "XLM": (16, 128)}


@pytest.mark.parametrize("length", [512, 1024])
def test_fusemax_is_what_its_tiles_take_one_after_another(length):
    """Two tiles interleaved: the array and the row take turns, each step as long as the longer of both."""
    layer = Attention(1, 2, 64, length, Fraction(0), "")
    along = length // 256
    cycles = array = row = Fraction(0)
    for _ in range(2):
        for _ in range(along):
            for _ in range(along):
                on_array = {"QK": 64, "LM": 1, "SLN": 7, "SLD": 1, "SLNV": 64}
                beside = {"RM": 1, "PRM": 7, "SPD": 1, "SPNV": 64, "RD": 1, "RNV": 64, "AV": Fraction(64, along)}
                steps = ((("QK", "LM"), ("RD", "RNV", "AV")), ((), ("RM",)), (("SLN", "SLD"), ("PRM", "SPD")),
                         (("SLNV",), ("SPNV",)))  # fmt: skip
                for left, right in steps:
                    cycles += max(sum(on_array[name] for name in left), sum(beside[name] for name in right))
                array += sum(on_array.values())
                row += sum(beside.values())
    cost = designs.binding(layer)
    assert cost.latency_s == cycles / (940 * 10**6)
    assert (cost.busy_2d, cost.busy_1d) == (array, row)


def test_one_layer_by_hand():
    """BERT at 1K: 12,288 tiles of 154 cycles; K and V come once, as all queries fit."""
    cost = designs.binding(Attention(64, 12, 64, 1024, Fraction(0), ""))
    assert cost.latency_s * 940 * 10**6 == 12288 * 154 == 1892352
    assert cost.traffic_bytes == 4 * 64 * 12 * 1024 * 64 * 2
    assert float(cost.latency_s) == ROWS["binding", "BERT", 1024].latency_s


def test_unfused_writes_and_reads_scores_before_softmax_and_behind_it():
    tensor, scores = 64 * 12 * 2**12 * 64 * 2, 64 * 12 * 2**24 * 2
    assert ROWS["unfused", "BERT", 2**12].traffic_bytes == 4 * tensor + 4 * scores


def test_k_and_v_come_again_for_each_block_of_queries_that_fits():
    tensor = 64 * 12 * 2**16 * 64 * 2
    # 256 blocks of 256 queries; (16 MiB - 65,536) / 66,560 = 251 fit, and 128 divides; softmax beside needs more room
    assert ROWS["binding", "BERT", 2**16].traffic_bytes == (2 + 2 * 2) * tensor
    assert ROWS["cascade", "BERT", 2**16].traffic_bytes == (2 + 8 * 2) * tensor  # 50 fit, 32 divide


def test_flat_reads_what_it_does_not_keep_once_a_tile_and_spills_some_scores():
    bert, xlm = ROWS["flat", "BERT", 2**12], ROWS["flat", "XLM", 2**12]
    tensor, scores = 64 * 12 * 2**12 * 64 * 2, 64 * 12 * 2**24 * 2
    assert bert.traffic_bytes == pytest.approx(3 * 16 * tensor + tensor + 7 * scores / 129, rel=1e-12)
    tensor, scores, share = 64 * 16 * 2**12 * 128 * 2, 64 * 16 * 2**24 * 2, 19 / 275
    kept = (1 - share) * tensor + share * 16 * tensor
    assert xlm.traffic_bytes == pytest.approx(2 * 16 * tensor + kept + tensor + 7 * share * scores, rel=1e-12)
    assert ROWS["flat", "BERT", 2**10].traffic_bytes == 13 * 64 * 12 * 2**10 * 64 * 2
    assert ROWS["flat", "BERT", 2**20].traffic_bytes == 64 * 12 * (2050 * 2**20 * 64 * 2 + 4 * 2**40 * 2)


@pytest.mark.parametrize(("name", "text"), [("4K", ".0690909"), ("16K", ".026615970"), ("64K", ".015384615")])
def test_xlms_spilled_shares_are_those_that_the_artifact_prints(name, text):
    from accelsim.replicas.fusemax.rows import _attention

    assert as_printed(float(_attention("XLM", name).spilled), text)


def test_no_one_pass_design_waits_for_memory():
    for (design, _, _), row in ROWS.items():
        if design in ("cascade", "arch", "binding"):
            assert row.traffic_bytes / (400 * 2**30) < row.latency_s


def run(*args):
    done = CliRunner().invoke(app, ["replica", "fusemax", *args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_prints_the_rows_as_json():
    document = json.loads(run("--format", "json"))
    assert list(document) == ["rows"]
    assert list(document["rows"][0]) == (
        [
            "design",
            "model",
            "B",
            "H",
            "E",
            "F",
            "M",
            "P",
            "latency_s",
            "traffic_bytes",
            "utilization_2d",
            "utilization_1d",
            "energy_pj",
        ]
    )
    assert document["rows"] == [row.to_dict() for row in fusemax.rows()]


def test_the_table_fits_80_columns_and_ends_with_the_means():
    lines = run().splitlines()
    assert len(lines) == 1 + 120 + 2
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith("attention 6.72x, end to end 5.30x")
