"""A layer that does not fit its unit is left out with the reason; a mapping that somebody chose is an error."""

from fnmatch import fnmatchcase

import pytest

import accelsim
from accelsim.cli import main
from accelsim.errors import FitError, MappingError
from accelsim.explore.precision.space import PrecisionSpace
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.workload.layers import Tensor
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear, Normalization, Softmax

REASON = (
    "two tiles of 1 rows and what stays take 1,120,000 bits, the scratchpad holds 524,288; "
    "cut it smaller or raise params.buffer_kib to 137"
)


def wide(last="lrn"):
    """Return a product and a normalisation across all of its outputs that has no passes, or a row of another kind."""
    size = 70_000 if last == "layer" else 35_000 if last == "lrn" else 20_000
    one, tensors = make_layer("classify", Linear(1, 64, size), output="logits")
    shapes = {
        "lrn": Normalization("lrn", (1, size, 1, 1), 5),
        "softmax": Softmax((1, size), size),
        "layer": Normalization("layer", (1, size)),
    }
    shape = shapes[last]
    two, more = make_layer("last", shape, inputs=("logits",))
    return Network("wide", (one, two), tensors | more | {"logits": Tensor("logits", (1, size), 8)})


def test_a_row_without_passes_that_does_not_fit_does_not_end_the_run():
    product, norm = accelsim.simulate("edge_npu", wide()).layers
    assert product.simulated
    assert product.macs == 64 * 35_000
    assert not norm.simulated
    assert norm.reason == REASON


@pytest.mark.parametrize("last", ["softmax", "layer"])
def test_a_softmax_over_a_vocabulary_and_a_normalisation_of_seventy_thousand_run_in_passes(last):
    result = accelsim.simulate("edge_npu", wide(last), check=True, unsupported="error")
    assert result.complete
    assert result.layers[1].details["passes"] == 3


def test_it_ends_the_run_in_one_line_where_layers_may_not_be_skipped():
    with pytest.raises(FitError) as refused:
        accelsim.simulate("edge_npu", wide(), unsupported="error")
    assert str(refused.value) == f"layer 'last': {REASON}", "the layer is named once"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_result_is_partial_whoever_simulates(workers):
    result = accelsim.simulate("edge_npu", wide(), workers=workers)
    assert not result.complete
    assert result.layers[1].reason == REASON


def test_a_layer_whose_plan_does_not_fit_is_left_out_too():
    shape = Linear(1, 4096, 4096)
    layer, tensors = make_layer("fc", shape)
    net = Network("n", (layer,), tensors, isolated=True)
    sets = [("params.weights", "streamed"), ("params.matrix_bytes", 16), ("params.pointer_bits", 32)]
    small = accelsim.load_arch("eie", sets)
    (fc,) = accelsim.simulate(small, net).layers
    assert not fc.simulated
    assert fc.reason.startswith("two of its passes take ")
    with pytest.raises(FitError, match=r"^layer 'fc': two of its passes take"):
        accelsim.simulate(small, net, unsupported="error")


def test_a_pinned_mapping_that_does_not_fit_is_still_an_error(tmp_path):
    layer, tensors = make_layer("fc", Linear(64, 4096, 4096))
    net = Network("n", (layer,), tensors, isolated=True)
    pinned = tmp_path / "m.yaml"
    pinned.write_text("fc: {groups: 1, n: 64, e: 1, f: 1, k: 4096, c: 4096, order: cmk}\n")
    with pytest.raises(MappingError, match=r"^layer 'fc': the \w+ tile takes") as refused:
        accelsim.simulate("systolic_ws", net, mapping=pinned)
    assert not isinstance(refused.value, FitError)


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        ([("mapping.fixed", {"q": 1})], "mapping.fixed names 'q'"),
        ([("mapping.fixed", {"k": 12345})], "no candidate has"),
    ],
)
def test_a_fixed_key_that_leaves_no_mapping_is_still_an_error(sets, problem):
    layer, tensors = make_layer("fc", Linear(1, 64, 64))
    net = Network("n", (layer,), tensors, isolated=True)
    with pytest.raises(MappingError, match=problem) as refused:
        accelsim.simulate(accelsim.load_arch("systolic_ws", sets), net)
    assert not isinstance(refused.value, FitError)


def point(network, machine="edge_npu", sets=(), options=None, **more):
    context = evaluate.Context({"m": accelsim.load_arch(machine).document}, {"n": network}, None, **more)
    return evaluate.run_point(context, evaluate.Job("p", "m", "n", sets, options or OptionsSpec()))


@pytest.mark.parametrize("more", [{}, {"columnar": True}, {"keep_layers": True}])
def test_a_point_of_a_sweep_whose_layer_does_not_fit_is_partial(more):
    row = point(wide(), **more)
    result = accelsim.simulate("edge_npu", wide())
    assert (row.status, row.reason) == ("ok", None)
    assert row.totals["cycles"] == result.cycles > 0
    assert row.totals["complete"] is False
    assert row.totals["coverage_layers"] == 0.5


@pytest.mark.parametrize("columnar", [False, True])
def test_columns_leave_out_what_the_plain_path_leaves_out(columnar):
    small, tensors = make_layer("small", Linear(1, 8, 8))
    big, more = make_layer("big", Conv2d(n=1, c=1, k=1, h=16, w=16, r=16, s=16))  # its taps stay together
    tensors = tensors | {name: Tensor(t.name, t.shape, 32, weight=t.weight) for name, t in more.items()}
    net = Network("n", (small, big), tensors, isolated=True)
    sets = (("params.weight_kib", 1), ("params.operand_bits", 32))
    result = accelsim.simulate(accelsim.load_arch("systolic_ws", sets), net)
    assert [layer.name for layer in result.simulated] == ["small"]
    row = point(net, "systolic_ws", sets, columnar=columnar)
    assert row.status == "ok"
    assert row.totals["coverage_layers"] == 0.5
    assert row.totals["cycles"] == result.cycles


def test_a_point_is_illegal_only_where_no_layer_ran():
    row = point(wide(), options=OptionsSpec(layers="last"))
    assert (row.status, row.totals) == ("illegal", {})
    assert row.reason == f"no layer of 'wide' ran on 'edge_npu': layer 'last': {REASON}"


def test_a_search_of_widths_leaves_out_what_fits_at_none():
    space = PrecisionSpace(accelsim.load_arch("edge_npu"), wide(), [4, 8])
    assert space.left_out == ("last",)
    assert space.costs([[0] * len(space.knobs)]).cycles[0] < float("inf")


def status(*words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return stopped.value.code


def test_another_machine_is_advised_only_where_one_can(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    layers = {
        "softmax": (
            "{name: a, kind: softmax, shape: [4, 8], length: 8}",
            "choose another machine, such as edge_npu, edge_npu_128, edge_npu_l2, eyeriss_npu",
        ),
        "cosh": ("{name: a, kind: elementwise, op: cosh, shape: [4, 8]}", "no packaged machine can"),
    }
    for name, (layer, remedy) in layers.items():
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nsource: made up\nisolated: true\nlayers:\n  - {layer}\n")
        assert status("run", "eie", f"{name}.yaml") == 2
        said = capsys.readouterr().err.strip()
        assert fnmatchcase(said, f"error: no layer of '{name}' ran on 'eie': layer 'a': *; {remedy}"), said
