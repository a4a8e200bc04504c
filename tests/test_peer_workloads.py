"""ZigZag and Timeloop workloads: read where they are products and convolutions, else named for what they are."""

import pytest

import accelsim
from accelsim.errors import ConfigError
from accelsim.workload.shapes import Conv2d, Linear, Matmul

ZIGZAG = """\
- id: 0
  name: conv1
  operator_type: Conv
  equation: O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]
  dimension_relations: [ix=2*ox+1*fx, iy=2*oy+1*fy]
  loop_dims: [B, K, C, OY, OX, FY, FX]
  loop_sizes: [1, 64, 3, 112, 56, 7, 5]
  operand_precision: {W: 4, I: 8, O: 16, O_final: 6}
  operand_source: {I: 0, W: 0}
- id: 1
  operator_type: Pooling
  equation: O[b][g][oy][ox]+=W[fx][fy]*I[b][g][iy][ix]
  dimension_relations: [ix=2*ox+1*fx, iy=2*oy+1*fy]
  loop_dims: [B, G, OY, OX, FX, FY]
  loop_sizes: [1, 64, 56, 56, 3, 3]
- id: 2
  operator_type: Conv
  equation: O[b][g][oy][ox]+=W[g][fy][fx]*I[b][g][iy][ix]
  dimension_relations: [ix=1*ox+2*fx, iy=1*oy+1*fy]
  loop_dims: [B, G, OY, OX, FY, FX]
  loop_sizes: [2, 8, 4, 4, 3, 3]
- id: 3
  name: fc
  operator_type: Gemm
  equation: O[b][k]+=W[k][c]*I[b][c]
  dimension_relations: []
  loop_dims: [B, K, C]
  loop_sizes: [5, 10, 20]
- id: 4
  name: scores
  operator_type: MatMul
  equation: O[h][m][n]+=I[h][m][k]*W[h][k][n]
  loop_dims: [H, M, N, K]
  loop_sizes: [12, 7, 9, 64]
"""
PROBLEM = """\
problem:
  version: 0.4
  shape:
    name: cnn_layer
    dimensions: [C, M, R, S, N, P, Q]
    coefficients:
    - {name: Wstride, default: 1}
    - {name: Hstride, default: 1}
    - {name: Wdilation, default: 1}
    - {name: Hdilation, default: 1}
    data_spaces:
    - name: Weights
      projection: [[[C]], [[M]], [[R]], [[S]]]
    - name: Inputs
      projection: [[[N]], [[C]], [[R, Wdilation], [P, Wstride]], [[S, Hdilation], [Q, Hstride]]]
    - name: Outputs
      projection: [[[N]], [[M]], [[Q]], [[P]]]
      read_write: true
  instance: {C: 3, M: 96, R: 11, S: 11, N: 4, P: 55, Q: 54, Wstride: 4, Hstride: 4}
"""
PRODUCT = """\
problem:
  shape:
    name: gemm
    dimensions: [M, N, K]
    data-spaces:
    - {name: A, projection: [[[M]], [[K]]]}
    - {name: B, projection: [[[K]], [[N]]]}
    - {name: Z, projection: [[[M]], [[N]]], read-write: true}
  instance: {M: 3, N: 5, K: 7}
"""


@pytest.fixture
def load(tmp_path):
    def from_text(text, name="file.yaml"):
        (tmp_path / name).write_text(text)
        return accelsim.load_network(str(tmp_path / name))

    return from_text


def test_a_zigzag_workload_is_its_products_and_convolutions(load):
    net = load(ZIGZAG)
    assert [(layer.name, layer.shape) for layer in net.layers] == [
        ("conv1", Conv2d(1, 3, 64, 229, 115, 7, 5, 1, (2, 2))),
        ("layer2", Conv2d(2, 8, 8, 6, 8, 3, 3, 8, dilation=(1, 2))),
        ("fc", Linear(5, 20, 10)),
        ("scores", Matmul(12, 7, 9, 64)),
    ]
    assert net.macs == 64 * 3 * 112 * 56 * 35 + 2 * 8 * 16 * 9 + 1000 + 12 * 7 * 9 * 64
    assert [net.tensors[f"conv1.{role}"].bits for role in ("input", "weight", "output")] == [8, 4, 6]
    assert net.isolated
    assert "left out, no products: 1 layers, Pooling: it reduces without filters" in net.notes
    assert (net.layers[0].shape.e, net.layers[0].shape.f) == (112, 56)


def test_a_timeloop_problem_is_one_layer(load):
    (layer,) = load(PROBLEM).layers
    assert layer.shape == Conv2d(4, 3, 96, 227, 223, 11, 11, 1, (4, 4))
    assert layer.macs == 4 * 3 * 96 * 121 * 55 * 54
    (layer,) = load(PRODUCT).layers
    assert layer.shape == Linear(3, 7, 5)


def test_timeloops_own_shape_needs_no_projections(load):
    (layer,) = load("problem: {shape: cnn-layer, C: 2, M: 3, R: 3, S: 3, N: 1, P: 8, Q: 8}\n").layers
    assert layer.shape == Conv2d(1, 2, 3, 10, 10, 3, 3)


def test_such_a_workload_runs(load, tmp_path):
    load(ZIGZAG)
    result = accelsim.simulate("systolic_ws", str(tmp_path / "file.yaml"), check=True)
    assert all(layer.checked for layer in result.layers)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("architecture: {version: 0.4}\n", "is a Timeloop architecture, no network"),
        ("mapping: []\n", "is a Timeloop mapping, no network"),
        ("operational_array: {sizes: [8]}\n", "is a ZigZag accelerator, no network"),
        ("- {name: default, spatial_mapping: {}}\n", "is a ZigZag mapping, no network"),
        ("- 1\n- 2\n", "the top level is not a mapping"),
        ("[]\n", "the top level is not a mapping"),
        (
            PROBLEM.replace("[[N]], [[M]], [[Q]], [[P]]", "[[N]], [[Q]], [[P]]"),
            "no product or convolution: dimension M",
        ),
        (PROBLEM.replace("      read_write: true\n", ""), "a Timeloop problem that is no product"),
        (PROBLEM.replace("C: 3,", "C: x,"), "'x' is no size"),
        (PROBLEM.replace("C: 3, ", ""), "dimension C has no size"),
        ("problem: {shape: mttkrp, instance: {I: 2}}\n", "names the shape 'mttkrp', which stands in another file"),
        (ZIGZAG[ZIGZAG.index("- id: 1") : ZIGZAG.index("- id: 2")], "without products or convolutions (Pooling: it"),
        (ZIGZAG.replace("[5, 10, 20]", "[5, 10]"), "is not one size for each of loop_dims"),
        (ZIGZAG.replace("[5, 10, 20]", "[5, 10, 0]"), "0 is no size"),
        ("- {loop_dims: 3, operand_precision: 4}\n", "is not one size for each of loop_dims"),
        ("problem: {shape: {data_spaces: 3, coefficients: 4}}\n", "has 0 inputs and 0 outputs"),
        ("problem: {shape: {data_spaces: [{name: A, projection: 3}]}}\n", "are not lists of sums"),
    ],
)
def test_what_is_no_workload_is_named_for_what_it_is(load, text, problem):
    with pytest.raises(ConfigError) as refused:
        load(text)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_relation_that_turns_a_convolution_around_is_left_out_with_its_reason(load):
    text = ZIGZAG.replace(
        "[ix=2*ox+1*fx, iy=2*oy+1*fy]\n  loop_dims: [B, K", "[ox=1*ix+1*fx, oy=1*iy+1*fy]\n  loop_dims: [B, K"
    )
    net = load(text)
    assert "conv1" not in [layer.name for layer in net.layers]
    assert any("ox=1*ix+1*fx is no window" in note for note in net.notes)
