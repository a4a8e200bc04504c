"""What the mapper picks, and how it breaks ties."""

import numpy as np
import pytest
from test_columnar import context_of, draw_network, plain_row

import accelsim
from accelsim.cli import main
from accelsim.config.schema import MappingSpec
from accelsim.engine import Bounds
from accelsim.errors import MappingError
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.mapping.choose import choose


def pick(objective, cycles, dram_bits, own=None, fixed=None, leak=0.0, timed=None):
    """Choose among candidates; a DRAM bit costs 2 pJ."""
    columns = {"tile": np.arange(len(cycles))}
    formula = None if own is None else ("area x cycles", np.array(own, dtype=float))
    bounds = Bounds(np.array(cycles), np.array(dram_bits), {("dram", "read"): np.array(dram_bits)}, formula)
    if timed is not None:
        bounds = bounds._replace(timed=lambda places: np.array(timed)[places])
    spec = MappingSpec(objective=objective, fixed=fixed or {})
    return choose(columns, bounds, spec, lambda boundary, direction: 2.0, leak)


def test_equal_cycles_are_told_apart_by_dram_bits():
    assert pick("cycles", [5, 5, 6], [9, 8, 1]).row == {"tile": 1}


def test_an_engine_may_bring_its_own_objective():
    choice = pick("engine", [5, 6, 7], [1, 1, 1], own=[3, 1, 2])
    assert choice.row == {"tile": 1}
    assert choice.why == "area x cycles 1, next best 2"


def test_what_an_own_objective_does_not_tell_apart_goes_by_order_not_by_cycles():
    assert pick("engine", [6, 5], [2, 1], own=[1, 1]).row == {"tile": 0}


def test_an_engine_without_an_objective_says_so():
    with pytest.raises(MappingError, match="no objective of its own"):
        pick("engine", [1], [1])


@pytest.mark.parametrize(
    ("objective", "leak", "best"),
    [
        ("cycles", 0.0, 0),
        ("dram", 0.0, 3),
        ("energy", 0.0, 3),
        ("energy", 4.0, 2),  # 2 x 30 + 4 x 10 = 100, 2 x 25 + 4 x 13 = 102, 2 x 20 + 4 x 14 = 96, 2 x 19 + 4 x 20 = 118
        ("edp", 0.0, 2),  # 60 x 10 = 600, 50 x 13 = 650, 40 x 14 = 560, 38 x 20 = 760
        ("edp", 40.0, 0),  # 460 x 10 = 4,600, 570 x 13 = 7,410, 600 x 14 = 8,400, 838 x 20
    ],
)
def test_each_objective_weighs_bits_cycles_and_leakage_in_its_own_way(objective, leak, best):
    assert pick(objective, [10, 13, 14, 20], [30, 25, 20, 19], leak=leak).row == {"tile": best}


def test_a_fixed_key_leaves_only_the_candidates_with_its_value():
    choice = pick("cycles", [5, 9, 3], [1, 1, 1], fixed={"tile": 1})
    assert (choice.row, choice.candidates) == ({"tile": 1}, 1)
    with pytest.raises(MappingError, match="no candidate has"):
        pick("cycles", [5, 9, 3], [1, 1, 1], fixed={"tile": 3})


def test_candidates_are_timed_until_no_bound_is_better_than_the_best():
    # bounds 1, 2, 3, 4; the third takes 3 cycles, so the fourth cannot be better; two rounds, of one and of two
    choice = pick("cycles", [4, 2, 1, 3], [1, 1, 1, 1], timed=[4, 5, 9, 3])
    assert choice.row == {"tile": 3}
    assert choice.why == "cycles 3, the least of 4 (3 timed, bounds rule out the others)"
    # a bound that equals the best may still win by its bits
    assert pick("cycles", [3, 3], [2, 1], timed=[3, 3]).row == {"tile": 1}


LAYER = (
    "name: net\nisolated: true\nlayers:\n- {name: c, kind: conv2d, c: 64, k: 96, h: 14, w: 14, r: 3, s: 3, pad: 1}\n"
)


def mapped(arch, network, *sets):
    (layer,) = accelsim.simulate(accelsim.load_arch(arch, list(sets)), accelsim.load_network(network)).layers
    return layer.mapping


def test_the_table_that_chooses_mappings_need_not_be_the_one_that_prices(tmp_path):
    (tmp_path / "net.yaml").write_text(LAYER)
    network = str(tmp_path / "net.yaml")
    alone = mapped("eyeriss", network, ("energy.table", "eyeriss_normalized"), ("mapping.prices", None))
    assert mapped("eyeriss", network) == alone
    assert mapped("eyeriss", network, ("energy.table", "7nm")) == alone
    assert mapped("eyeriss", network, ("mapping.prices", None)) != alone


@pytest.mark.parametrize("name", ["systolic_ws", "diannao", "edge_npu"])
def test_columns_choose_by_the_named_table_too(name):
    prices = "aladdin_40nm" if name == "edge_npu" else "eyeriss_nn_dataflow"
    sets = (("mapping.objective", "energy"), ("mapping.prices", prices))
    rng = np.random.default_rng(7)
    for case in range(3):
        context = context_of(accelsim.load_arch(name), draw_network(rng), columnar=True)
        job = evaluate.Job(f"{case}", "m", "n", sets, OptionsSpec())
        row = evaluate.run_point(context, job)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)


def test_a_table_of_the_mapper_that_does_not_exist_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "eyeriss", "alexnet", "--layers", "conv1", "--set", "mapping.prices=nowhere"])
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert err.startswith("error: --set: mapping.prices: no energy table is called 'nowhere'")
    assert err.count("\n") == 1
