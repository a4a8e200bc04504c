"""Tensors that a network file gives a home in a buffer of the machine."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim.cli import app
from accelsim.config.packaged import find
from accelsim.errors import ConfigError, WorkloadError

L2 = yaml.safe_load(Path(find("arch_configs", "edge_npu_l2")[0]).read_text())


def chain(**homes):
    """Return conv - pool - conv, with homes by tensor; its middle tensors have 16 x 16 x 16 and 16 x 8 x 8 elements."""
    return {
        "name": "chain", "isolated": False, "inputs": ["x"],
        "layers": [
            {"name": "a", "kind": "conv2d", "c": 8, "k": 16, "h": 16, "w": 16, "r": 3, "s": 3, "pad": 1,
             "inputs": ["x"]},
            {"name": "p", "kind": "pool", "op": "max", "c": 16, "h": 16, "w": 16, "r": 2, "s": 2, "stride": 2,
             "inputs": ["a.output"]},
            {"name": "b", "kind": "conv2d", "c": 16, "k": 8, "h": 8, "w": 8, "r": 3, "s": 3, "pad": 1,
             "inputs": ["p.output"]},
        ],
        "tensors": {name.replace("_", "."): {"home": home} for name, home in homes.items()},
    }  # fmt: skip


def machine(kib=1024, change=None):
    values = json.loads(json.dumps(L2))
    values["memory"]["buffers"][0]["kib"] = kib
    if change is not None:
        change(values)
    return accelsim.load_arch(values)


def ran(network, arch=None, **options):
    return accelsim.simulate(machine() if arch is None else arch, network, schedule="network", **options)


@pytest.mark.parametrize("residency", ["none", "greedy", "exact"])
def test_conv_pool_conv_at_home_moves_nothing_of_both_tensors_through_dram(residency):
    found = ran(chain(a_output="l2", p_output="l2"), residency=residency).schedule
    alone = found.isolated_dram_bits
    assert {(kept.storage, kept.buffer) for kept in found.kept} == {("a.output", "l2"), ("p.output", "l2")}
    assert alone - found.dram_bits == 8 * 2 * (16 * 16 * 16 + 16 * 8 * 8)
    buffer = found.buffers[0]
    assert (buffer.written_bits, buffer.read_bits) == (8 * 5120, 8 * 5120)


def test_of_two_tensors_only_that_with_a_home_stays_where_nothing_else_may():
    found = ran(chain(p_output="l2"), residency="none").schedule
    assert [kept.storage for kept in found.kept] == ["p.output"]
    assert [kept.storage for kept in ran(chain(), residency="none").schedule.kept] == []


def test_what_has_a_home_comes_ahead_of_what_saves_more():
    """In 4 KiB only one of 4,096 and 1,024 bytes stays: by itself the planner takes the larger."""
    assert [kept.storage for kept in ran(chain(), machine(4)).schedule.kept] == ["a.output"]
    assert [kept.storage for kept in ran(chain(p_output="l2"), machine(4)).schedule.kept] == ["p.output"]


def test_layers_alone_find_it_in_dram_and_say_so():
    there, plain = (
        accelsim.simulate(machine(), network, schedule="isolated") for network in (chain(a_output="l2"), chain())
    )
    assert [layer.dram_bits for layer in there.layers] == [layer.dram_bits for layer in plain.layers]
    assert any("through DRAM in figures of layers alone: a.output (l2)" in note for note in there.notes)
    assert not any("at home" in note for note in (*plain.notes, *ran(chain(a_output="l2")).notes))


@pytest.mark.parametrize(
    ("homes", "said"),
    [
        ({"a_output": "l3"}, r"tensor 'a.output': home 'l3' is no buffer of 'edge_npu_l2'; did you mean 'l2'\?"),
        ({"a_output": "ub9_x"}, r"home 'ub9_x' is no buffer of 'edge_npu_l2'; its buffers are l2"),
        ({"x": "l2"}, r"tensor 'x' cannot be at home in 'l2': it is an input of the network; write home: dram"),
        ({"b_output": "l2"}, r"'b.output' cannot be at home in 'l2': it is an output of the network; write home: dram"),
        ({"a_weight": "l2"}, r"tensor 'a.weight': constants have no home in a buffer; write home: dram"),
    ],
)
def test_a_home_that_cannot_be_is_one_line(homes, said):
    with pytest.raises(WorkloadError, match=said):
        ran(chain(**homes))


def test_a_machine_without_buffers_has_no_home_of_that_name():
    with pytest.raises(WorkloadError, match=r"home 'l2' is no buffer of 'edge_npu'; it has none: write dram or chip"):
        accelsim.simulate("edge_npu", chain(a_output="l2"))


def test_a_reader_that_cannot_reach_a_home_is_named():
    deaf = machine(change=lambda values: values["units"][1].pop("rooms"))
    said = (
        r"tensor 'a.output' cannot be at home in 'l2': layer 'p' cannot read from it; bind the rooms of its unit to it"
    )
    with pytest.raises(WorkloadError, match=said):
        ran(chain(a_output="l2"), deaf)
    with pytest.raises(WorkloadError, match=r"layer 'p' cannot write to it"):
        ran(chain(p_output="l2"), deaf)


def test_homes_that_do_not_fit_together_name_the_layer_and_what_lives_there():
    """4,096 and 1,024 bytes are alive at the pooling layer: 5 KiB."""
    said = r"memory.buffers.0.kib: layer 'p' has a.output, p.output at home in 'l2', 5 KiB in all; raise it from 4"
    with pytest.raises(ConfigError, match=said):
        ran(chain(a_output="l2", p_output="l2"), machine(4))
    assert len(ran(chain(a_output="l2", p_output="l2"), machine(5)).schedule.kept) == 2


def test_a_part_that_must_be_copied_has_no_home():
    """Two concatenations claim the same result: the second has a copy."""

    def conv(name, source, c, k):
        shape = {"h": 8, "w": 8, "r": 1, "s": 1}
        return {"name": name, "kind": "conv2d", "c": c, "k": k, "inputs": [source], **shape}

    def joined(name, *parts):
        shape = {"op": "concat", "shape": [1, 16, 8, 8], "operand_shapes": [[1, 8, 8, 8]] * 2}
        return {"name": name, "kind": "view", "inputs": list(parts), **shape}

    layers = [
        *(conv(name, "x", 4, 8) for name in "abc"), joined("j", "a.output", "b.output"),
        joined("k", "a.output", "c.output"), conv("d", "j.output", 16, 8), conv("e", "k.output", 16, 8),
    ]  # fmt: skip
    network = {"name": "n", "isolated": False, "inputs": ["x"], "layers": layers}
    for name in ("a.output", "k.output"):
        with pytest.raises(WorkloadError, match=r"a part of it must be copied into a concatenation; write home: dram"):
            ran(network | {"tensors": {name: {"home": "l2"}}})


def test_the_command_line_says_it_in_one_line(tmp_path):
    file = tmp_path / "n.yaml"
    file.write_text(yaml.safe_dump(chain(a_output="l3")))
    done = CliRunner().invoke(app, ["run", "edge_npu_l2", str(file)])
    assert isinstance(done.exception, WorkloadError)
    assert "\n" not in str(done.exception)


def recurrent(**said):
    """Return a step of a recurrent layer: h' = u x + w h, with y = v h'; h is what the step before left."""

    def linear(name, c, k, source):
        return {"name": name, "kind": "linear", "n": 1, "c": c, "k": k, "inputs": [source]}

    return {
        "name": "step", "isolated": False, "inputs": ["x", "h"],
        "layers": [
            linear("u", 32, 64, "x"), linear("w", 64, 64, "h"),
            {"name": "sum", "kind": "elementwise", "op": "add", "shape": [1, 64], "operand_shapes": [[1, 64]] * 2,
             "inputs": ["u.output", "w.output"]},
            linear("v", 64, 16, "sum.output"),
        ],
        "tensors": {"h": said},
    }  # fmt: skip


def test_a_state_lives_over_the_whole_run_in_dram_unless_a_home_is_said():
    by_itself = ran(recurrent(state=True)).schedule
    assert {kept.storage for kept in by_itself.kept} == {"u.output", "w.output", "sum.output"}
    there = ran(recurrent(state=True, home="l2")).schedule
    (state,) = (kept for kept in there.kept if kept.storage == "h")
    assert (state.first, state.last) == (0, 3)
    assert by_itself.dram_bits - there.dram_bits == 8 * 64
    for kept in there.kept:
        if kept is not state:
            assert (
                kept.address_bits >= state.address_bits + state.bits
                or kept.address_bits + kept.bits <= state.address_bits
            )


def test_an_input_that_is_no_state_has_no_home_in_a_buffer():
    with pytest.raises(WorkloadError, match="'h' cannot be at home in 'l2': it is an input of the network"):
        ran(recurrent(home="l2"))


def test_a_plan_keeps_a_state_only_where_the_network_says_so(tmp_path):
    file = tmp_path / "step.yaml"
    for said, kept in (({"state": True}, False), ({"state": True, "home": "chip"}, True), ({}, False)):
        file.write_text(yaml.safe_dump(recurrent(**said)))
        assert ("h" in accelsim.plan(str(file), capacity_kib=1).residency.places) == kept
    file.write_text(yaml.safe_dump(recurrent(state=1)))
    with pytest.raises(ConfigError, match=r"tensors.h.state"):
        accelsim.load_network(str(file))
