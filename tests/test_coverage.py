"""Coverage is of what the network needs: operators that nothing runs count, and what is unknown is said to be."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from onnx_graphs import imported, save, tensor

import accelsim
from accelsim import basis
from accelsim.cli import app
from accelsim.config.yamlfile import parse
from accelsim.errors import UserError
from accelsim.explore.sweep.evaluate import Context, Job, run_point
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.report import facts, plots, run_page, words
from accelsim.report.document import to_json
from accelsim.report.reader import read_report
from accelsim.workload import yaml_network
from accelsim.workload.onnx.macs import COUNTS, NONE
from accelsim.workload.onnx.ops import HANDLERS
from accelsim.workload.yaml_dump import dump

MICROSOFT = "com.microsoft"


def only(tmp_path, op, inputs, constants=(), outputs=("y",), opset=17, **attributes):
    """Return the last layer of a graph of one operator; constants are (name, shape), empty names are absent."""
    names = [*inputs, *(name for name, _ in constants)]
    order = attributes.pop("order", names)
    domain = attributes.pop("domain", "")
    declared = attributes.pop("declared", None)
    node = helper.make_node(op, order, outputs, domain=domain, name="it", **attributes)
    arrays = [(name, np.ones(shape, "f")) for name, shape in constants]
    more = {"value_info": [tensor("y", declared)]} if declared else {}
    nodes = [node, helper.make_node("Relu", ["y"], ["z"])] if declared else [node]
    last = {"outputs": ("z",)} if declared else {"outputs": outputs[:1]}
    return imported(tmp_path, nodes, inputs, constants=arrays, opset=opset, **last, **more).layers[0]


def count(tmp_path, *given, **more):
    """Return the MACs of a graph of one operator, whether it is simulated or not."""
    only(tmp_path, *given, **more)
    return accelsim.load_network(str(tmp_path / "m.onnx")).macs


@pytest.mark.parametrize(("op", "inputs", "constants", "attributes", "macs"), [
    # each of 2 x 3 x 4 x 5 inputs reaches 6/3 outputs a group through 2 x 3 taps
    ("ConvTranspose", {"x": (2, 3, 4, 5)}, [("w", (3, 2, 2, 3))], {"group": 3}, 120 * 2 * 6),
    ("ConvTranspose", {"x": (1, 16, 8, 8)}, [("w", (16, 8, 4, 4))], {"strides": [2, 2], "pads": [1] * 4}, 131_072),
    ("ConvTranspose", {"x": (1, 4, 9)}, [("w", (4, 5, 3))], {"strides": [2]}, 4 * 9 * 5 * 3),
    # (6 - 3 + 1)^3 outputs of 5 channels, each 2 channels x 27 taps
    ("Conv", {"x": (1, 2, 6, 6, 6)}, [("w", (5, 2, 3, 3, 3))], {}, 5 * 64 * 54),
    # filters that are activations, in two groups
    ("Conv", {"x": (1, 4, 5, 5), "w": (6, 2, 3, 3)}, [], {"group": 2}, 6 * 9 * 18),
    ("Gemm", {"x": (4, 3)}, [("w", (4, 5))], {"transA": 1}, 4 * 3 * 5),
    ("Gemm", {"x": (3, 4), "w": (5, 4), "c": (3, 5)}, [], {"transB": 1}, 3 * 4 * 5),
    ("MatMul", {"a": (7,), "b": (7, 2)}, [], {}, 14),
    ("MatMul", {"a": (3, 7), "b": (7,)}, [], {}, 21),
    ("MatMul", {"a": (7,), "b": (7,)}, [], {}, 7),
    ("MatMul", {"a": (2, 1, 3, 4), "b": (5, 4, 6)}, [], {}, 2 * 5 * 3 * 4 * 6),
    ("Einsum", {"a": (2, 3, 4), "b": (2, 4, 5)}, [], {"equation": "bij, bjk -> bik"}, 2 * 3 * 4 * 5),
    ("Einsum", {"a": (3, 4), "b": (5, 4)}, [], {"equation": "ij,kj"}, 3 * 4 * 5),
    ("Einsum", {"a": (6, 2, 3, 4), "b": (2, 4, 5)}, [], {"equation": "...ij,...jk->...ik"}, 6 * 2 * 3 * 4 * 5),
    ("Einsum", {"a": (3, 4)}, [], {"equation": "ij->ji"}, 0),
    ("Einsum", {"a": (3, 4), "b": (4, 5), "c": (5, 6)}, [], {"equation": "ij,jk,kl->il"}, None),
    # 6 steps of 2 sequences: 4 gates of 5 cells, each over 3 inputs and 5 cells
    ("LSTM", {"x": (6, 2, 3)}, [("w", (1, 20, 3)), ("r", (1, 20, 5))], {"hidden_size": 5}, 12 * 20 * 8),
    ("LSTM", {"x": (6, 2, 3)}, [("w", (2, 20, 3)), ("r", (2, 20, 5))],
     {"hidden_size": 5, "direction": "bidirectional"}, 2 * 12 * 20 * 8),
    ("GRU", {"x": (6, 2, 3)}, [("w", (1, 15, 3)), ("r", (1, 15, 5))], {"hidden_size": 5}, 12 * 15 * 8),
    ("RNN", {"x": (6, 2, 3)}, [("w", (1, 5, 3)), ("r", (1, 5, 5))], {"hidden_size": 5}, 12 * 5 * 8),
])  # fmt: skip
def test_macs_of_an_operator_follow_from_its_shapes_whatever_it_becomes(
    tmp_path, monkeypatch, op, inputs, constants, attributes, macs
):
    assert count(tmp_path, op, inputs, constants, **attributes) == macs
    monkeypatch.delitem(HANDLERS, op)
    assert count(tmp_path, op, inputs, constants, **attributes) == macs


@pytest.mark.parametrize("simulated", [True, False])
def test_macs_of_attention_count_every_query_with_every_key_past_ones_too(tmp_path, monkeypatch, simulated):
    if not simulated:
        monkeypatch.delitem(HANDLERS, "Attention")
    names = {"q": (2, 5, 24), "k": (2, 7, 8), "v": (2, 7, 6)}  # 6 heads of 4, 2 shared ones, values of 3
    grouped = count(tmp_path, "Attention", names, opset=23, q_num_heads=6, kv_num_heads=2)
    assert grouped == 2 * 6 * 5 * 7 * (4 + 3)
    split = {"q": (2, 6, 5, 4), "k": (2, 2, 7, 4), "v": (2, 2, 7, 3)}
    assert count(tmp_path, "Attention", split, opset=23) == 2 * 6 * 5 * 7 * (4 + 3)
    cached = split | {"pk": (2, 2, 10, 4), "pv": (2, 2, 10, 3)}
    found = count(
        tmp_path, "Attention", cached, outputs=("y", "k2", "v2"), opset=23, order=["q", "k", "v", "", "pk", "pv"]
    )
    assert found == 2 * 6 * 5 * (7 + 10) * (4 + 3)


def test_macs_of_a_deformable_convolution_are_those_of_its_filters(tmp_path):
    inputs = {"x": (1, 2, 6, 6), "o": (1, 18, 4, 4)}
    layer = only(tmp_path, "DeformConv", inputs, [("w", (4, 2, 3, 3))], opset=19, order=["x", "w", "o"])
    assert layer.macs == 4 * 16 * 2 * 9


@pytest.mark.parametrize(("op", "inputs", "constants", "attributes", "macs"), [
    ("FusedMatMul", {"a": (2, 4, 3), "b": (2, 4, 5)}, [], {"transA": 1}, 2 * 3 * 4 * 5),
    ("FusedGemm", {"a": (4, 3)}, [("w", (5, 3))], {"transB": 1}, 60),
    ("MatMulNBits", {"a": (2, 6, 32)}, [("w", (8, 1, 16)), ("s", (8,))],
     {"K": 32, "N": 8, "bits": 4, "block_size": 32}, 12 * 32 * 8),
    ("QGemm", {"a": (4, 3)}, [("s", ()), ("z", ()), ("w", (3, 5)), ("t", ()), ("u", ())], {}, 60),
    ("QLinearWhere", {"a": (4, 3)}, [], {}, 0),
    ("QuantumGemm", {"a": (4, 3)}, [], {}, None),
])  # fmt: skip
def test_operators_of_onnxruntime_count_too(tmp_path, monkeypatch, op, inputs, constants, attributes, macs):
    assert count(tmp_path, op, inputs, constants, domain=MICROSOFT, declared=(4, 5), **attributes) == macs
    monkeypatch.delitem(HANDLERS, f"{MICROSOFT}.{op}", raising=False)
    assert count(tmp_path, op, inputs, constants, domain=MICROSOFT, declared=(4, 5), **attributes) == macs


@pytest.mark.parametrize("op", ["ArgMax", "TopK", "CumSum", "ReduceSum", "GroupNormalization", "OneHot", "GridSample"])
def test_kinds_without_multiply_accumulates_have_none_whatever_their_shapes(tmp_path, op):
    nodes = [
        helper.make_node("Fourier", ["x"], ["a"], domain="my", name="fft"),
        helper.make_node(op, ["a", "b", "c"][: 1 if op == "ArgMax" else 2], ["y"], name="it"),
    ]
    fft, it = imported(tmp_path, nodes, {"x": (1, 4), "b": (1,)}).layers
    assert (fft.macs, it.kind, it.macs) == (None, "unsupported", 0)


@pytest.mark.parametrize("simulated", [True, False])
def test_macs_of_integer_forms_count(tmp_path, monkeypatch, simulated):
    if not simulated:
        monkeypatch.delitem(HANDLERS, "ConvInteger")
    path = tmp_path / "m.onnx"
    node = helper.make_node("ConvInteger", ["x", "w"], ["y"], group=2)
    x, w = (tensor(n, d, TensorProto.UINT8) for n, d in (("x", (1, 4, 5, 5)), ("w", (6, 2, 3, 3))))
    graph = helper.make_graph([node], "g", [x, w], [tensor("y", None, TensorProto.INT32)])
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    assert accelsim.load_network(str(path)).macs == 6 * 9 * 18


def test_every_operator_that_is_simulated_has_a_count_for_the_forms_that_are_not():
    assert set(HANDLERS) <= NONE | set(COUNTS)
    assert not NONE & set(COUNTS)


def two_layers(tmp_path, unknown=False):
    """Return the path of a convolution of 73,728 MACs and a transposed one of 131,072, or an operator of our own."""
    rng = np.random.default_rng(0)
    pads = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    second = (
        helper.make_node("Fourier", ["a"], ["y"], domain="my", name="second")
        if unknown
        else helper.make_node("DeformConv", ["a", "v", "o"], ["y"], name="second", pads=[1, 1, 2, 2])
    )
    constants = [("w", rng.standard_normal((16, 8, 3, 3)).astype("f"))]
    constants += (
        [] if unknown else [("v", rng.standard_normal((8, 16, 4, 4)).astype("f")), ("o", np.ones((1, 32, 8, 8), "f"))]
    )
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="first", **pads), second]
    path = tmp_path / ("unknown.onnx" if unknown else "two.onnx")
    save(path, nodes, {"x": (1, 8, 16, 16)}, constants=constants, opset=19)
    return path


def test_coverage_counts_what_no_unit_runs(tmp_path):
    result = accelsim.simulate("systolic_ws", str(two_layers(tmp_path)))
    assert result.macs == 16 * 8 * 9 * 8 * 8 == 73_728
    assert result.coverage["macs"] == 73_728 / 204_800 == 0.36
    x, w, a, v, o, y = 8 * 16 * 16, 16 * 8 * 9, 16 * 8 * 8, 16 * 8 * 16, 32 * 8 * 8, 8 * 8 * 8
    assert result.coverage["dram_bits"] == (x + w + a) / (x + w + a + a + v + o + y)  # all of 8 bits
    assert not result.complete
    assert words.totals(result)[-2] == ("coverage", "36 % of MACs, 1 of 2 layers, 43 % of the tensor bits in DRAM")


def test_a_share_that_nobody_knows_is_null_and_said_to_be_unknown(tmp_path):
    result = accelsim.simulate("systolic_ws", str(two_layers(tmp_path, unknown=True)))
    assert result.coverage == {"macs": None, "layers": 0.5, "dram_bits": None}
    assert result.layers[1].macs is None
    text = "unknown share of MACs, 1 of 2 layers, unknown share of the tensor bits in DRAM"
    assert dict(words.totals(result))["coverage"] == text
    assert result.to_rows()[1]["macs"] is None


def test_every_format_of_a_run_takes_an_unknown_share(tmp_path):
    source = str(two_layers(tmp_path, unknown=True))
    for style in ("table", "markdown", "csv", "json"):
        done = CliRunner().invoke(app, ["run", "systolic_ws", source, "--format", style, "-o", str(tmp_path / "out")])
        assert done.exit_code == 0, done.output
        if style in ("table", "markdown"):
            assert "unknown share of MACs" in " ".join(done.stdout.split())
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["totals"]["coverage"] == {"macs": None, "layers": 0.5, "dram_bits": None}
    assert [layer["macs"] for layer in report["layers"]] == [73_728, None]
    page = CliRunner().invoke(app, ["report", str(tmp_path / "out" / "report.json")])
    assert page.exit_code == 0, page.output
    assert "unknown share of MACs" in (tmp_path / "out" / "report.html").read_text()


def test_show_list_and_import_say_what_is_unknown(tmp_path):
    known, unknown = str(two_layers(tmp_path)), str(two_layers(tmp_path, unknown=True))
    assert "204,800 MACs" in CliRunner().invoke(app, ["show", known]).output
    text = CliRunner().invoke(app, ["show", unknown]).output
    assert "at least 73,728 MACs (unknown in 1 of 2 layers)" in text
    done = CliRunner().invoke(app, ["import", unknown, "-o", str(tmp_path / "n.yaml")])
    assert "at least 73.7 kMAC (unknown in 1 of 2 layers)" in done.output


@pytest.mark.parametrize("unknown", [False, True])
def test_counts_survive_import_and_scale_with_the_batch(tmp_path, unknown):
    network = accelsim.load_network(str(two_layers(tmp_path, unknown)))
    path = tmp_path / "n.yaml"
    path.write_text(dump(network))
    again = yaml_network.load(path)
    assert [layer.macs for layer in again.layers] == [73_728, None if unknown else 131_072]
    assert again.macs == (None if unknown else 204_800)
    assert again.batched(3).macs == (None if unknown else 3 * 204_800)


def test_a_count_that_does_not_divide_says_so():
    text = (
        "name: n\nisolated: true\nbatch: 2\nlayers:\n"
        "- {name: odd, kind: unsupported, op: Own, reason: r, operand_shapes: [[2, 3]], shape: [2, 3], macs: 7}\n"
    )
    network = yaml_network.build(parse(text, "n.yaml"))
    with pytest.raises(UserError, match="a number of MACs of 7 cannot be scaled by 1/2"):
        network.batched(1)


def test_a_negative_count_is_refused_with_its_line(tmp_path):
    path = tmp_path / "n.yaml"
    path.write_text(
        "name: n\nisolated: true\nlayers:\n"
        "- {name: odd, kind: unsupported, op: Own, reason: r, operand_shapes: [[2, 3]], shape: [2, 3], macs: -1}\n"
    )
    done = CliRunner().invoke(app, ["show", str(path)])
    with pytest.raises(UserError) as caught:
        accelsim.load_network(str(path))
    assert str(caught.value).startswith(f"{path}:4: layers.0.macs: ")
    assert done.exit_code != 0


def test_an_operator_without_weights_may_have_counts(tmp_path):
    """One input and no weights: nothing may look for its filters."""
    path = tmp_path / "n.yaml"
    path.write_text(
        "name: n\nisolated: true\nlayers:\n- {name: fc, kind: linear, c: 4, k: 5}\n"
        "- {name: own, kind: unsupported, op: Own, reason: r, operand_shapes: [[2, 3]], shape: [2, 3], macs: 60}\n"
    )
    result = accelsim.simulate("systolic_ws", str(path))
    assert result.coverage["macs"] == 20 / 80
    assert result.layers[1].bits == {"input": 8, "output": 8}


def test_a_whole_with_an_unknown_part_is_unknown():
    assert basis.whole([1, 2]) == 3
    assert basis.whole([1, None]) is None
    assert basis.covers(1, [1, 3]) == 0.25
    assert basis.covers(0, []) == 1
    assert basis.covers(1, [1, None]) is None
    assert basis.covers(None, [1]) is None


def test_a_network_without_multiply_accumulates_is_not_said_to_cover_all_of_them(tmp_path):
    path = tmp_path / "n.yaml"
    path.write_text(
        "name: n\nisolated: true\nlayers:\n- {name: a, kind: elementwise, op: relu, shape: [1, 8]}\n"
        "- {name: b, kind: unsupported, op: Own, reason: r, operand_shapes: [[2, 3]], shape: [2, 3], macs: 0}\n"
    )
    said = dict(words.totals(accelsim.simulate("edge_npu", str(path))))["coverage"]
    assert said == "1 of 2 layers, 57 % of the tensor bits in DRAM"  # 16 of 28 bytes


@pytest.mark.parametrize(("unknown", "share"), [(False, 0.36), (True, None)])
def test_points_of_a_sweep_have_the_same_shares_layer_by_layer_and_at_once(tmp_path, unknown, share):
    network = accelsim.load_network(str(two_layers(tmp_path, unknown)))
    machine = accelsim.load_arch("systolic_ws").document
    for columnar in (False, True):
        context = Context({"m": machine}, {"n": network}, tmp_path, columnar=columnar)
        row = run_point(context, Job("k", "m", "n", (), OptionsSpec()))
        assert (row.status, row.totals["coverage_macs"]) == ("ok", share)


def test_occupancy_of_a_network_is_what_its_time_is_spent_on(tmp_path):
    """An array of 1,024 PEs and 32 lanes that run one after another count for as long as they run."""
    path = tmp_path / "n.yaml"
    path.write_text(
        "name: n\nisolated: true\nlayers:\n- {name: a, kind: conv2d, c: 32, k: 32, h: 16, w: 16, r: 3, s: 3}\n"
        "- {name: b, kind: elementwise, op: relu, shape: [1, 64, 16, 16]}\n"
    )
    result = accelsim.simulate("edge_npu", str(path))
    assert len({layer.units for layer in result.layers}) == 2
    spent = [layer.cycles * layer.occupancy for layer in result.layers]
    assert result.occupancy == pytest.approx(sum(spent) / result.cycles, rel=1e-12)
    shares = facts.time_shares(result)
    assert result.occupancy == pytest.approx(shares["busy"] + shares.get("zero", 0), rel=1e-12)
    assert result.utilization == pytest.approx(shares["busy"], rel=1e-12)
    machine, network = accelsim.load_arch("edge_npu").document, accelsim.load_network(str(path))
    for columnar in (False, True):
        context = Context({"m": machine}, {"n": network}, tmp_path, columnar=columnar)
        totals = run_point(context, Job("k", "m", "n", (), OptionsSpec())).totals
        assert (totals["occupancy"], totals["utilization"]) == (result.occupancy, result.utilization)


def test_a_table_of_products_says_so_and_a_table_of_other_layers_that_they_are_isolated(tmp_path):
    assert facts.status(accelsim.simulate("systolic_ws", "alexnet")) == "products only"
    part = accelsim.simulate("systolic_ws", "alexnet", layers="conv*")
    assert facts.status(part) == "PARTIAL, products only"
    assert part.partial
    path = tmp_path / "n.yaml"
    path.write_text("name: n\nisolated: true\nlayers:\n- {name: b, kind: elementwise, op: relu, shape: [1, 64]}\n")
    whole = accelsim.simulate("edge_npu", str(path))
    assert (facts.status(whole), whole.partial) == ("isolated layers", False)


def test_whatever_holds_a_partial_total_says_partial(tmp_path):
    source = str(two_layers(tmp_path))
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["run", "systolic_ws", source, "-o", str(out)])
    head, *rest = done.stdout.splitlines()
    assert "PARTIAL" in head
    assert "PARTIAL total" in done.stdout
    assert "totals (PARTIAL)" in rest
    markdown = (out / "report.md").read_text()
    assert "batch 1 (PARTIAL)" in markdown
    assert "## Totals (PARTIAL)" in markdown
    assert json.loads((out / "report.json").read_text())["totals"]["partial"] is True
    result = read_report(out / "report.json")
    for figure in (
        plots.breakdown_figure, plots.roofline_figure, plots.utilization_figure, plots.timeline_figure
    ):  # fmt: skip
        assert "(PARTIAL)" in figure(result).get_suptitle()
    page = run_page.to_html(result)
    for heading in ("Totals", "Layers"):
        assert f'{heading} <span class="state">(PARTIAL)</span></h2>' in page
    assert "(PARTIAL)</h1>" in page


def test_a_report_of_an_older_build_does_not_claim_to_know_what_it_did_not_count(tmp_path):
    """Builds before counts of events wrote no MACs for operators that they did not know."""
    result = accelsim.simulate("systolic_ws", str(two_layers(tmp_path)))
    data = json.loads(to_json(result))
    for layer in data["layers"]:
        del layer["events"], layer["dram_bits_touched"]
    data["layers"][1]["macs"] = 0
    path = tmp_path / "old.json"
    path.write_text(json.dumps(data))
    assert read_report(path).coverage == {"macs": None, "layers": 0.5, "dram_bits": None}
