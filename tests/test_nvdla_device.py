"""NVDLA before a DRAM device: what its port asks for, in which order, what a layer takes when the device answers."""

from fractions import Fraction

import numpy as np
import pytest

import accelsim
from accelsim.config.dram import standard as standards
from accelsim.engine import Machine
from accelsim.engines.nvdla import asked, plan
from accelsim.engines.nvdla import kernel as k
from accelsim.engines.nvdla.params import Mapping
from accelsim.engines.nvdla.sample import sample
from accelsim.memory.device import kernel as device_kernel
from accelsim.memory.device.channel import Device, Requests, serve
from accelsim.memory.device.door import Ends
from accelsim.memory.dram import DramModel
from accelsim.simulation import load_arch, load_network
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d

BANDED = "kind: conv2d, c: 24, h: 30, w: 31, k: 20, r: 3, s: 3, pad: 1, n: 2"
LAYERS = {
    "one": "kind: conv2d, c: 16, h: 4, w: 5, k: 8, r: 1, s: 1",
    "banded": BANDED,
    "grouped": "kind: conv2d, c: 24, h: 9, w: 9, k: 24, r: 3, s: 3, groups: 12",
    "matrix": "kind: linear, c: 300, k: 500",
    "pool": "kind: pool, op: max, n: 3, c: 20, h: 14, w: 14, r: 3, s: 3, stride: 2",
    "add": "kind: elementwise, op: add, shape: [2, 16, 20, 20], operands: 2",
    "lrn": "kind: normalization, op: lrn, shape: [1, 16, 12, 12], size: 5",
}


def run(tmp_path, layer, device="ddr4-2400", name="nvdla_small", sets=(), **options):
    (tmp_path / "n.yaml").write_text(f"name: n\nisolated: true\nlayers:\n- {{name: x, {LAYERS[layer]}}}\n")
    arch = load_arch(name, [("memory.dram.device", device), *sets])
    return accelsim.simulate(arch, load_network(str(tmp_path / "n.yaml")), requests=True, **options).layers[0]


@pytest.mark.parametrize("name", ["nvdla_small", "nvdla_full"])
@pytest.mark.parametrize("layer", LAYERS)
def test_its_accounts_close_and_its_requests_alone_come_to_the_same_counts(tmp_path, layer, name):
    for device in ("ddr4-2400", "hbm2-2000"):
        found = run(
            tmp_path, layer, device, name, sets=(("params.bank_kib", 8),) if layer == "banded" else (), check=True
        )
        d, one = found.dram, Device(standards.load(device), 1)
        tx = one.standard.organisation.tx_bytes
        assert found.simulated, found.reason
        assert found.checked
        assert d["coupling"] == "beats"
        for account in found.accounts.values():
            assert sum(account.causes.values()) == account.units * found.cycles
        assert (found.dram_read_bits, found.dram_write_bits) == (
            8 * tx * d["read_transactions"], 8 * tx * d["write_transactions"]
        )  # fmt: skip
        clock, address, write = found.requests.T
        assert np.all(np.diff(clock) >= 0)
        alone = serve(one, Requests(address, write.astype(bool), clock))
        assert (alone.cycles, int(alone.channel[:, device_kernel.LAST].max())) == (
            d["taken_clock"],
            d["last_data_clock"],
        )
        assert found.cycles * 1000 >= d["last_data_clock"] * one.standard.timing.tck_ps


def test_the_port_asks_for_weights_and_data_in_turn_and_keeps_the_last_transaction_of_each(tmp_path):
    """Two surfaces of 4 lines of 5 atoms, 16 beats of weights; weights at 0, data on the next row of 8 KiB."""
    data = [8192 + surface * 4 * 40 + line * 40 + x * 8 for line in range(4) for surface in range(2) for x in range(5)]
    weights = [8 * i for i in range(16)]
    order = [("w", at) for at in weights[:4]]
    for i in range(12):
        order += [("d", data[i]), ("w", weights[4 + i])]
    order += [("d", at) for at in data[12:]]
    held, expected = {}, []
    for stream, at in order:
        if held.get(stream) != at // 64:
            expected.append(at // 64 * 64)
        held[stream] = at // 64
    found = run(tmp_path, "one")
    reads = [int(at) for _, at, write in found.requests if not write]
    assert reads == expected
    clocks = [int(clock) for clock, _, write in found.requests if not write]
    assert clocks[0] == -(-27 * 1000 // 833)  # request_cycles 27 at 1 GHz, a clock of 833 ps
    writes = [int(at) for _, at, write in found.requests if write]
    assert writes == [16384 + 64 * i for i in range(4 * 5 * 8 // 64 + 1)]


def test_a_beat_waits_for_the_device_and_is_asked_for_all_the_same():
    """Latency 5, 3 beats on their way, 2 cycles to the next request. The second one keeps the device for 4 cycles.

    Asked at 10, 11, 12; they come at 15, at 11 + 5 + 4 = 20, a cycle behind it at 21. The fourth one waits for the
    first: asked at 15 + 2 = 17, there at 22.
    """
    machine = Machine({}, DramModel(Fraction(64), 5, 64))
    params = load_arch("nvdla_small").units[0].params.model_copy(
        update={"outstanding_beats": 3, "outstanding_cycles": 2, "port_bytes": 8}
    )  # fmt: skip
    rates = plan.rates_of(params, machine.dram, 8, 4)._replace(limited=1)
    asks = np.zeros((4, k.ASKS), np.int64)
    asks[1, k.BUS] = 4
    clock, history = np.zeros(4, np.int64), np.zeros(3, np.int64)
    assert k.beats(clock, history, rates, asks, 1, 1, 15) == 15
    assert k.beats(clock, history, rates, asks, 0, 3, 15) == 22
    assert asks[:, k.ASKED].tolist() == [10, 11, 12, 17]
    assert asks[:, k.COME].tolist() == [15, 20, 21, 22]
    assert asks[:, k.KIND].tolist() == [1, 0, 0, 0]


class Prompt:
    """A door whose runs are there a latency after they were asked for, but the ``nth`` read, that is ``late``."""

    tx_bits, nth = 512, 3

    def __init__(self, latency, late=0):
        self.latency, self.late = latency, late

    def mark(self):
        return Prompt(self.latency)

    def room(self, name, bits):
        return {"weight": 0, "input": 1 << 20, "output": 1 << 30}[name]

    def serve(self, runs, earliest):
        over = earliest + self.latency
        over[np.flatnonzero(runs.write == 0)[self.nth]] += self.late
        return Ends(earliest, over)


@pytest.mark.parametrize("late", [0, 100])
def test_a_layer_takes_as_much_longer_as_its_latest_beat_is_late(late):
    conv, params = Conv2d(n=1, c=16, h=6, w=6, k=16, r=3, s=3), load_arch("nvdla_small").units[0].params
    weight = Tensor("w", conv.weight_shape, 8, weight=True)
    view = LayerView(
        "x", conv, (Tensor("i", conv.input_shapes[0], 8),), (weight,), (Tensor("o", conv.output_shape, 8),)
    )
    work = plan.work_of(view, params, Mapping(), DramModel(Fraction(64), 40, 64))
    counts, ends = asked.answered(work, [4096], params, Prompt(40, late))
    alone, same = plan.walked(work)
    assert np.array_equal(ends, same)
    assert [counts[i] - alone[i] for i in (k.CYCLES, k.LOAD)] == [late, late]


def test_a_device_that_keeps_no_beat_changes_no_walk():
    """Beats of a walk at their own pace come, and are asked for, as the walk without a device has it."""
    from accelsim.engines.nvdla.engine import ENGINE

    compared = 0
    for seed in range(150):
        drawn = sample(np.random.default_rng(seed))
        if drawn.shape.kind not in ("conv2d", "linear", "matmul"):
            continue
        inputs = (Tensor("i", drawn.shape.input_shapes[0], 8),)
        weight = Tensor("w", getattr(drawn.shape, "weight_shape", None) or drawn.shape.input_shapes[1], 8, weight=True)
        view = LayerView("x", drawn.shape, inputs, (weight,), (Tensor("o", drawn.shape.output_shape, 32),))
        params = ENGINE.params_schema.model_validate(drawn.params)
        mapping = Mapping.model_validate(drawn.mapping or {})
        try:
            work = plan.work_of(view, params, mapping, DramModel(Fraction(24), 9, 64))
        except accelsim.errors.MappingError:
            continue
        count = int(
            (
                np.prod(work.layers[:, [k.LINES, k.SURFACES, k.LINE_BEATS]], axis=1) + work.layers[:, k.WEIGHT_BEATS]
            ).sum()
        )
        asks, counts = np.zeros((count, k.ASKS), np.int64), np.zeros(k.COUNTS, np.int64)
        found = k.walk(work.layers, work.rates._replace(limited=1), counts, asks)
        alone, ends = plan.walked(work)
        assert np.array_equal(found, ends)
        assert np.array_equal(counts, alone)
        assert np.all(asks[:, k.COME] >= asks[:, k.ASKED] + 9)
        assert asks[-1, k.COME] == ends[-1, 4]
        compared += 1
    assert compared > 60


def test_a_layer_that_waits_for_memory_takes_the_devices_time(tmp_path):
    """The port of nv_full takes 64 bytes a cycle, the device gives 19.2: all requests at once take as long."""
    found, one = run(tmp_path, "matrix", name="nvdla_full"), Device(standards.load("ddr4-2400"), 1)
    clock, address, write = found.requests.T
    at_once = serve(one, Requests(address, write.astype(bool), 0 * clock)).channel[0, device_kernel.LAST] * 0.833
    assert at_once < found.cycles < 1.1 * at_once
    assert found.account["memory"] > 0.7 * sum(found.account.values())


def test_images_of_the_post_processing_read_one_after_another_and_take_turns(tmp_path):
    """Two tensors of 2 x 6,400 bytes in turns of 4,096: 64 transactions of each, then 36."""
    found = run(tmp_path, "add")
    reads = [int(at) // 64 for _, at, write in found.requests if not write]
    a, b = reads[0], reads[64]
    each = [*range(a, a + 64), *range(b, b + 64), *range(a + 64, a + 100), *range(b + 64, b + 100)]
    assert reads == [*each, *(at + 100 for at in each)]
    assert found.dram["write_transactions"] == 200
    alone = accelsim.simulate(load_arch("nvdla_small"), load_network(str(tmp_path / "n.yaml"))).layers[0]
    assert found.cycles >= alone.cycles - 100


def test_the_report_says_what_is_approximate(tmp_path):
    run(tmp_path, "one")
    arch = load_arch("nvdla_small", [("memory.dram.device", "ddr4-2400")])
    result = accelsim.simulate(arch, load_network(str(tmp_path / "n.yaml")))
    assert any("beats of a port are approximated" in note for note in result.notes)
    assert not any("does not ask" in note for note in result.notes)


def test_results_leave_evenly():
    assert asked.evenly(10, 20, 4).tolist() == [12, 15, 17, 20]
    assert asked.evenly(10, 20, 0).tolist() == []
