"""What a searched mapping promises whatever the machine: a sample of `benchmarks.monotone`, and what broke before."""

import numpy as np
import pytest

import accelsim
from accelsim.errors import MappingError
from accelsim.layer import Options, simulate_layer
from accelsim.simulation import prepare, task_for
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear
from benchmarks import monotone


@pytest.mark.parametrize("engine", monotone.MACHINES)
def test_a_better_machine_or_half_the_work_never_takes_longer(engine):
    asked = [check for check in monotone.measure(4, seed=3, engines=(engine,)) if not check.rule]
    assert {check.promise for check in asked} == set(monotone.PROMISES)
    assert not [check for check in asked if check.broken]


def test_more_bandwidth_does_not_lead_to_tiles_that_wait_for_the_latency():
    """Estimates without latency chose 40,752 cycles at 12.4 GB/s, after 24,684 at 8.3."""
    sets = {"params.outputs": 5, "params.inputs": 6, "params.accumulator_bits": 7, "params.weight_kib": 21,
            "memory.dram.latency_ns": 1000.0, "memory.dram.burst_bits": 512, "clocks_mhz.core": 1000.0}  # fmt: skip
    layer, tensors = make_layer("a", Conv2d(4, 48, 50, 2, 3, 1, 1, 2, (2, 2)))
    network = Network("n", (layer,), tensors, isolated=True)
    cycles = []
    for rate in (8.2802, 12.4203):
        arch = accelsim.load_arch("diannao", [*sets.items(), ("memory.dram.gb_per_s", rate)])
        cycles.append(accelsim.simulate(arch, network).layers[0].cycles)
    assert cycles[1] <= cycles[0] < 24_684


@pytest.mark.parametrize(
    ("machine", "layer", "best"),
    [("diannao", "conv1", 226_121), ("dadiannao", "conv1", 51_300), ("systolic_ws_128", "block13.depthwise", 67_747),
     ("unpu", "block12.pointwise", 68_360)],
)  # fmt: skip
def test_no_candidate_that_was_simulated_by_hand_is_much_faster(machine, layer, best):
    arch = accelsim.load_arch(machine)
    network = prepare(arch, accelsim.load_network("mobilenet_v1"), None, None, None)
    task = task_for(arch, network, next(x for x in network.layers if x.name == layer), None, {}, "skip")
    found = simulate_layer(arch, task, Options())
    assert found.cycles <= 1.001 * best  # tiles of those lists are not all on this one
    assert "bounds rule out the others" in found.details["mapping_why"]


def test_an_energy_objective_counts_the_buffers_and_the_lookups_of_unpu():
    """AlexNet conv3: the search once took 2.8 times the energy of one of its own candidates."""
    spent = {
        objective: accelsim.simulate(
            accelsim.load_arch("unpu", [("mapping.objective", objective)]), "alexnet", layers="conv3"
        ).total_energy_pj
        for objective in ("energy", "edp", "cycles", "dram")
    }
    assert spent["energy"] <= min(spent.values()) * (1 + 1e-12)
    assert spent["energy"] < 0.9 * max(spent.values())


def test_a_row_stationary_layer_of_two_thousand_million_channels_is_refused_at_once():
    layer, tensors = make_layer("a", Linear(n=1, c=2**31 - 1, k=21))
    with pytest.raises(MappingError, match="passes for a block of outputs"):
        accelsim.simulate(
            accelsim.load_arch("eyeriss"), Network("n", (layer,), tensors, isolated=True), unsupported="error"
        )


def test_counts_beyond_64_bits_are_refused_without_a_warning():
    layer, tensors = make_layer("a", Conv2d(2**20, 2**20, 2**20, 2**10, 2**10, 1, 1))
    network = Network("n", (layer,), tensors, isolated=True)
    with np.errstate(all="raise"), pytest.raises(MappingError, match="exceed 64-bit integers"):
        accelsim.simulate(accelsim.load_arch("diannao"), network, unsupported="error")
