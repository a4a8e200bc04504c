"""Every width and sign on every machine that takes bits: values equal NumPy's, and fewer bits are never slower."""

from dataclasses import replace

import numpy as np
import pytest
from bit_serial_runs import MACHINES, run

import accelsim
from accelsim.errors import WorkloadError
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Linear

DATA_DEPENDENT = ("pragmatic", "pragmatic, recoded", "laconic", "stripes, trimmed", "loom, trimmed")
LINEAR = {"stripes": (True, False), "loom": (True, True), "unpu": (False, True)}


def numbers(rng, shape, bits, signed):
    """Return numbers of a width, the extremes among them."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    drawn = rng.integers(low, high + 1, shape)
    drawn.flat[0], drawn.flat[-1] = low, high
    return drawn


@pytest.mark.parametrize("signs", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("name", MACHINES)
def test_products_are_exact_at_every_pair_of_widths(name, signs):
    rng = np.random.default_rng(len(name))
    accepted = 0
    for a in range(1, 17):
        for w in range(1, 17):
            x, y = numbers(rng, (2, 5), a, signs[0]), numbers(rng, (3, 5), w, signs[1])
            accepted += run(name, x, y, (a, signs[0]), (w, signs[1])) is not None
    assert accepted == (254 if name == "bismo" else 256) or (name == "bismo" and accepted > 150)


@pytest.mark.parametrize("name", ["dadiannao", "stripes", "loom", "laconic", "bitfusion", "unpu"])
def test_weights_of_one_bit_may_be_plus_and_minus_one(name):
    rng = np.random.default_rng(1)
    assert run(name, rng.integers(-128, 128, (2, 7)), rng.choice([-1, 1], (3, 7)), b=(1, True)) is not None


def test_the_overlay_has_no_plus_one_in_one_signed_bit():
    with pytest.raises(WorkloadError, match=r"layer 'layer': tensor 'weight': the value 1 .* declare 2 bits"):
        run("bismo", [[1, 1]], [[1, -1]], b=(1, True))


@pytest.mark.parametrize("name", MACHINES)
def test_a_value_that_does_not_fit_is_named_with_the_width_that_would(name):
    with pytest.raises(WorkloadError, match=r"layer 'layer': tensor 'input': the value 9 .* declare 5 bits"):
        run(name, [[9, 1]], [[1, 1]], a=(4, True))


@pytest.mark.parametrize("name", [n for n in MACHINES if n not in DATA_DEPENDENT])
def test_fewer_bits_are_never_slower_on_dense_machines(name):
    x, w = np.zeros((3, 20)), np.zeros((5, 20))
    for fixed in (4, 8):
        over_a = [run(name, x, w, (a, True), (fixed, True)) for a in range(1, 17)]
        over_w = [run(name, x, w, (fixed, True), (b, True)) for b in range(1, 17)]
        for activities in (over_a, over_w):
            cycles = [activity.compute_cycles for activity in activities if activity is not None]
            assert cycles == sorted(cycles)


@pytest.mark.parametrize("name", ["dadiannao", "stripes", "loom", "bitfusion", "unpu", "bismo"])
def test_fewer_bits_are_never_slower_with_memory_and_a_chosen_mapping(name):
    arch, network = accelsim.load_arch(name), accelsim.load_network("bitfusion_lenet5")
    cycles = []
    for bits in range(1, 9):
        narrow = {key: replace(tensor, bits=bits) for key, tensor in network.tensors.items()}
        cycles.append(accelsim.simulate(arch, network.with_tensors(narrow), batch=1, layers="conv1").cycles)
    assert cycles == sorted(cycles)


@pytest.mark.parametrize(("name", "serial"), LINEAR.items())
def test_serial_machines_are_linear_in_the_bits_that_pass_serially(name, serial):
    x, w = np.zeros((2, 12)), np.zeros((2, 12))
    base = run(name, x, w, (2, True), (2, True)).compute_cycles
    for bits in (4, 8, 16):
        for at, grows in enumerate(serial):
            widths = [(2, True), (2, True)]
            widths[at] = (bits, True)
            assert run(name, x, w, *widths).compute_cycles == base * (bits // 2 if grows else 1)


def test_the_overlay_is_linear_in_the_product_of_bits():
    x, w = np.zeros((4, 64)), np.zeros((4, 64))
    cycles = {(a, b): run("bismo", x, w, (a, True), (b, True)).compute_cycles - 9 for a in (1, 4) for b in (1, 8)}
    assert cycles == {(a, b): 4 * 2 * a * b for a in (1, 4) for b in (1, 8)}


def test_trimmed_and_chasing_machines_are_never_slower_than_the_layers_width():
    rng = np.random.default_rng(3)
    for bits in (3, 8, 16):
        x, w = numbers(rng, (4, 9), bits, True), numbers(rng, (4, 9), bits, True)
        stripes = run("stripes", x, w, (bits, True), (bits, True)).compute_cycles
        assert run("stripes, trimmed", x, w, (bits, True), (bits, True)).compute_cycles <= stripes
        assert run("pragmatic", x, w, (bits, True), (bits, True), shift_bits=4).compute_cycles <= stripes


PACKED = {"params.word_bits": 1}
"""In place of the 16-bit words that these machines store by default."""


@pytest.mark.parametrize(
    ("name", "packed"),
    [("bitfusion", {}), ("loom", {}), ("unpu", {}), ("bismo", {}), ("systolic_ws", {}), ("tpu_v1", {}),
     ("stripes", PACKED), ("dadiannao", PACKED), ("pragmatic", PACKED)],
)  # fmt: skip
def test_traffic_and_storage_follow_the_bits(name, packed):
    shape = Linear(n=4, c=512, k=512)

    def seen(a, w, out):
        # under 'cycles' wider operands may be better off with other tiles, which are fetched more or less often
        arch = accelsim.load_arch(name, [("mapping.objective", "dram")])
        for key, value in packed.items():
            arch = arch.replace(key, value)
        layer, own = make_layer("fc", shape)
        bits = zip(("fc.input", "fc.weight", "fc.output"), (a, w, out), strict=True)
        tensors = own | {tensor: replace(own[tensor], bits=b) for tensor, b in bits}
        (done,) = accelsim.simulate(arch, Network("n", (layer,), tensors, isolated=True)).layers
        if not done.simulated:
            return None
        flows = {(f.tensor, f.direction): f.bits for f in done.traffic if f.boundary == "dram"}
        return flows["input", "read"], flows["weight", "read"], flows["output", "write"]

    assert seen(8, 8, 8) is not None
    base, inputs, weights, outputs = seen(4, 4, 4), seen(8, 4, 4), seen(4, 8, 4), seen(4, 4, 8)
    assert inputs[0] * base[1] == 2 * base[0] * inputs[1]
    assert weights[1] == 2 * base[1]
    assert outputs[2] == (base[2] if name == "bismo" else 2 * base[2])  # the overlay's results are 32 bits
