"""The prototype's figures of three networks on one clock, beside this build's."""

import pytest

import accelsim
from benchmarks import factors


def test_figures_differ_by_shares_of_the_prototypes():
    assert factors.apart((110, 9.0), (100, 10.0)) == pytest.approx([0.1, -0.1])
    assert factors.apart((110, None), (100, None)) == pytest.approx([0.1])


def test_without_the_history_nothing_is_pinned(monkeypatch):
    monkeypatch.setattr(factors, "archive", lambda build: None)
    assert factors.old_mappings() is None


def test_the_machine_is_the_prototypes_with_a_buffer_that_nobody_waits_for():
    arch = factors.machine(4096, 3.2)
    assert (arch.memory.buffers[0].kib, arch.memory.buffers[0].read_bits_per_cycle) == (4096, None)
    assert arch.config["mapping"]["objective"] == "edp"
    bare = accelsim.load_arch("edge_npu")
    assert [unit.params for unit in arch.units] == [unit.params for unit in bare.units]
    assert arch.memory.dram.gb_per_s == 3.2


def test_a_pinned_network_gives_all_figures():
    name = "onnx:squeezenet"
    alone = accelsim.simulate(factors.machine(1024), name, schedule="isolated")
    found = factors.figures(name, {layer.name: layer.mapping for layer in alone.layers})
    assert set(found) >= set(factors.FIGURES)
    assert found["isolated"] == (alone.cycles, pytest.approx(sum(layer.dram_bits for layer in alone.layers) / 8e6))
    assert found == factors.figures(name, None)
    assert found["bound"][0] <= found["two units, 4 MiB"][0] <= found["isolated"][0]
