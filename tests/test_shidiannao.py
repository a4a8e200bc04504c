"""ShiDianNao keeps the contract of all engines, its figures hold, and its words are those of the nest."""

from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim import contract
from accelsim.cli import main
from accelsim.engines.shidiannao.engine import ENGINE
from accelsim.engines.shidiannao.reference import reference
from accelsim.tiled.encode import counted
from accelsim.tiled.nest import Level, Mapping, Nest, Problem
from accelsim.validate import compare
from accelsim.whole.engine import Layer
from accelsim.workload.shapes import Conv2d

LENET = Path(__file__).parents[1] / "examples" / "shidiannao_lenet5" / "lenet5.yaml"


@pytest.mark.parametrize("seed", range(40))
def test_kernel_reference_and_numpy_agree_on_a_random_case(seed):
    assert contract.amiss(ENGINE, reference, seed) == []


def test_every_figure_of_cases_yaml_holds():
    assert [row.case.case for row in compare.validate([ENGINE.name]) if not row.passed] == []


@pytest.mark.parametrize("seed", range(40))
def test_cycles_and_words_are_those_of_a_nest_whose_pes_share_their_windows(seed):
    """Each PE keeps a window of a map, and windows that overlap are read once. Two maps or more: of a single one the
    nest keeps the window for the next output map, which this machine fetches again."""
    rng = np.random.default_rng(seed)
    r, s, sy, sx = (int(n) for n in rng.integers(1, 6, 4).clip(max=[5, 5, 4, 4]))
    e, f, c, k = (int(n) for n in (*rng.integers(2, 21, 2), rng.integers(2, 4), rng.integers(1, 4)))
    conv = Conv2d(1, c, k, (e - 1) * sy + r, (f - 1) * sx + s, r, s, stride=(sy, sx))
    blocks = f"M{k} P{-(-e // 8)} Q{-(-f // 8)} C{c} [P8 Q8] WIO"
    levels = (Level("DRAM"), Level("NBin", (64,), neighbours=True), Level("PE", halo="refetch"))
    problem = Problem(r=r, s=s, p=e, q=f, c=c, m=k, stride=(sy, sx))
    nest = counted(Nest(problem, levels, Mapping.parse("", blocks, f"R{r} S{s} IO")))
    total = ENGINE.count(Layer.of(contract.view_of(conv, rng), 0), ENGINE.params_schema())
    assert total == (nest.cycles, nest.words["NBin", "I"].reads, nest.words["NBin", "W"].reads)


@pytest.mark.parametrize("fidelity", ["closed", "cycle"])
def test_lenet5_takes_9684_cycles_and_no_dram(fidelity):
    result = accelsim.simulate("shidiannao", str(LENET), check=True, fidelity=fidelity)
    assert (result.cycles, len(result.simulated)) == (9684, 9)
    assert all(layer.checked for layer in result.layers)
    assert [(layer.dram_read_bits, layer.dram_write_bits) for layer in result.layers] == [(0, 0)] * 9


def test_the_machine_with_an_alu_runs_what_is_no_product(tmp_path):
    (tmp_path / "n.yaml").write_text(
        "name: n\nisolated: false\ninputs: [a]\nlayers:\n"
        "- {name: c, kind: conv2d, c: 2, k: 3, h: 8, w: 8, r: 3, s: 3, inputs: [a], outputs: [b]}\n"
        "- {name: r, kind: elementwise, op: relu, shape: [1, 3, 6, 6], inputs: [b], outputs: [c]}\n"
        "- {name: l, kind: normalization, op: lrn, size: 3, shape: [1, 3, 6, 6], inputs: [c], outputs: [d]}\n"
        "- {name: p, kind: pool, op: max, c: 3, h: 6, w: 6, r: 2, s: 2, stride: 2, inputs: [d], outputs: [e]}\n"
    )
    alone, both = (accelsim.simulate(name, str(tmp_path / "n.yaml")) for name in ("shidiannao", "shidiannao_alu"))
    assert [layer.name for layer in alone.simulated] == ["c", "p"]
    assert both.complete


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("pe_rows", 0, "must be at least 1"), ("pe_cols", 257, "must be at most 256"),
        ("fifo_words", -1, "must be at least 0"), ("operand_bits", 33, "must be at most 32"),
        ("input_kib", "many", "whole number"), ("weight_kib", 1.5, "whole number"),
        ("output_kib", 0, "must be at least 1"),
        ("instruction_kib", 0, "must be at least 1"), ("alu_lanes", 0, "must be at least 1"),
        ("pe_row", 8, "did you mean 'pe_rows'?"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_one_line(key, value, problem, tmp_path, capsys):
    machine = tmp_path / "m.yaml"
    machine.write_text(f"base: shidiannao\nparams:\n  {key}: {value}\n")
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(machine), str(LENET)])
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: {machine}:3: params.{key}: ")
    assert problem in said


def test_a_layer_that_does_not_fit_is_named_with_what_holds_it(tmp_path):
    (tmp_path / "n.yaml").write_text("name: n\nisolated: true\nlayers:\n- {name: fc6, kind: linear, c: 9216, k: 64}\n")
    result = accelsim.simulate("shidiannao", str(tmp_path / "n.yaml"))
    assert result.layers[0].reason == (
        "9,437,184 bits of weight, and 'glb.weights' holds 1,048,576; raise params.weight_kib to 1152"
    )
