"""Weights that come from DRAM in blocks of the whole array: traffic, the choice of a mapping, sweeps, bad input."""

import numpy as np
import pytest
from test_columnar import context_of, draw_network, plain_row

import accelsim
from accelsim.cli import main
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec

LAYER = "name: net\nisolated: true\nlayers:\n- {name: fc, kind: linear, n: 5, c: %d, k: %d}\n"
ARRAY = [("params.rows", 8), ("params.cols", 4), ("params.input_kib", 1), ("params.weight_kib", 1),
         ("params.output_kib", 1), ("memory.dram.burst_bits", 256)]  # fmt: skip


def ran(folder, c, k, *sets, **options):
    (folder / "net.yaml").write_text(LAYER % (c, k))
    arch = accelsim.load_arch("systolic_ws", [*ARRAY, *sets])
    (layer,) = accelsim.simulate(arch, accelsim.load_network(str(folder / "net.yaml")), **options).layers
    return layer


def weights(layer):
    return sum(row.bits for row in layer.traffic if (row.boundary, row.tensor) == ("dram", "weight"))


@pytest.mark.parametrize(("c", "k", "blocks"), [(16, 8, 4), (17, 8, 6), (16, 9, 6), (1, 1, 1)])
def test_padding_is_fetched_with_the_weights(tmp_path, c, k, blocks):
    whole = ran(tmp_path, c, k, ("params.whole_weight_tiles", True))
    assert weights(whole) == blocks * 8 * 4 * 8
    assert weights(ran(tmp_path, c, k)) == c * k * 8


def test_tiles_that_fill_the_array_cost_what_they_did_before(tmp_path):
    pinned = tmp_path / "map.yaml"
    pinned.write_text("fc: {groups: 1, n: 5, e: 1, f: 1, k: 8, c: 64, order: mkc}\n")
    one, other = (
        ran(tmp_path, 64, 32, ("params.whole_weight_tiles", whole), mapping=pinned) for whole in (False, True)
    )
    assert (one.cycles, one.dram_read_bits) == (other.cycles, other.dram_read_bits)


@pytest.mark.parametrize("objective", ["cycles", "dram", "energy"])
def test_the_mapping_is_the_best_of_its_list_as_simulated(tmp_path, objective):
    import yaml

    sets = (("params.whole_weight_tiles", True), ("mapping.objective", objective))
    chosen = ran(tmp_path, 37, 21, *sets)
    figures = {"cycles": lambda x: x.cycles, "dram": lambda x: x.dram_bits, "energy": lambda x: x.total_energy_pj}
    best = figures[objective](chosen)
    rng = np.random.default_rng(1)
    for _ in range(25):
        tile = {"groups": 1, "n": int(rng.integers(1, 6)), "e": 1, "f": 1, "k": 4 * int(rng.integers(1, 6)),
                "c": int(rng.integers(1, 38)), "order": str(rng.choice(["mkc", "kcm", "ckm", "kmc"]))}  # fmt: skip
        (tmp_path / "map.yaml").write_text(yaml.safe_dump({"fc": tile}))
        try:
            pinned = ran(tmp_path, 37, 21, *sets, mapping=tmp_path / "map.yaml")
        except accelsim.errors.UserError:
            continue
        listed = tile["c"] in (1, 37) or 37 % tile["c"] == 0
        assert figures[objective](pinned) >= best * (1 - 1e-12) or not listed


def test_sweeps_give_what_runs_give():
    base = accelsim.load_arch("systolic_ws_8")
    rng = np.random.default_rng(5)
    for case in range(3):
        context = context_of(base, draw_network(rng), columnar=True)
        job = evaluate.Job(f"{case}", "m", "n", (("params.whole_weight_tiles", True),), OptionsSpec())
        row = evaluate.run_point(context, job)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["params.dataflow=os", "params.whole_weight_tiles=true"], "weights are not held still in dataflow os"),
        (["params.whole_weight_tiles=yes"], "params.whole_weight_tiles"),
        (["params.whole_weight_tiles=true", "params.rows=256", "params.cols=256", "params.weight_kib=64"],
         "does not hold a block of 256 x 256 weights; raise params.weight_kib to 128"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(sets, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "systolic_ws", "alexnet", "--layers", "fc8", *(f"--set={text}" for text in sets)])
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert said in err
    assert err.count("\n") == 1
