"""NVDLA: rules by hand, tables of its RTL, and the one line that each mistake gives."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app, main
from accelsim.engine import Machine, drawing
from accelsim.engines.nvdla import engine, kernel, reference
from accelsim.engines.nvdla.params import Mapping, Params
from accelsim.engines.nvdla.plan import slice_bytes, work_of
from accelsim.engines.nvdla.registers import registers
from accelsim.engines.nvdla.sample import sample
from accelsim.errors import ConfigError, MappingError
from accelsim.layer import machine_view
from accelsim.memory.dram import DramModel
from accelsim.operands import handle
from accelsim.operands.golden import golden
from accelsim.report import document, words
from accelsim.validate import rtl
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear, Pool

SMALL = {"channels": 8, "kernels": 8, "banks": 32, "bank_kib": 4}


def view_of(shape, bits=8):
    inputs = tuple(Tensor(f"in{i}", dims, bits) for i, dims in enumerate(shape.input_shapes))
    weight = getattr(shape, "weight_shape", None)
    weights = (Tensor("w", weight, bits, weight=True),) if weight else ()
    return LayerView("layer", shape, inputs, weights, (Tensor("out", shape.output_shape, 16),))


def run(shape, machine="nvdla_small", values=False, bits=8, **mapping):
    arch = accelsim.load_arch(machine)
    view = view_of(shape, bits)
    operands = handle.of(view, 1)
    plan = engine.ENGINE.plan(view, operands, arch.units[0].params, Mapping(**mapping), machine_view(arch))
    activity = engine.ENGINE.run(plan, operands if values else None)
    activity.check(engine.ENGINE.units(arch.units[0].params))
    return (activity, golden(operands)) if values else activity


@pytest.mark.parametrize(
    ("pixels", "stripe", "cut"),
    [(49, 16, [16, 16, 8, 9]), (31, 16, [8, 8, 15]), (32, 16, [16, 16]), (49, 32, [16, 16, 17]), (5, 16, [5])],
)
def test_stripes_cut_the_output_as_one_line(pixels, stripe, cut):
    found = []
    while pixels:
        found.append(int(kernel.stripe_of(pixels, 0, stripe)))
        pixels -= found[-1]
    assert found == cut


def test_stripes_of_an_image_end_with_its_rows():
    left, found = 40, []
    while left:
        found.append(int(kernel.stripe_of(left, 20, 16)))
        left -= found[-1]
    assert found == [16, 4, 16, 4]


@pytest.mark.parametrize(
    ("width", "channels", "entries"), [(24, 55, 48), (32, 76, 80), (8, 36, 10), (13, 64, 26), (1, 8, 1)]
)
def test_lines_in_the_buffer_are_those_of_the_rtl(width, channels, entries):
    """Entries per slice of NVIDIA's own traces on nv_small_256."""
    assert slice_bytes(width, channels, 1, Params(**{**SMALL, "channels": 32})) == 32 * entries


def test_the_account_names_every_cycle():
    details = run(Conv2d(1, 20, 12, 14, 14, 3, 3, pad=(1, 1, 1, 1))).details
    causes = ("mac", "load_wait", "weight_wait", "stripe_floor", "drain_credit", "fill", "end")
    assert (
        sum(details[f"{cause}_cycles"] for cause in causes)
        == run(Conv2d(1, 20, 12, 14, 14, 3, 3, pad=(1, 1, 1, 1))).compute_cycles
    )
    assert details["mac_cycles"] == 196 * 2 * 3 * 9


def test_a_layer_too_large_for_the_buffer_runs_in_bands_that_overlap():
    shape = Conv2d(1, 16, 8, 128, 128, 3, 3, pad=(1, 1, 1, 1))
    found = run(shape)
    assert (
        found.details["hardware_layers"] == 3
    )  # 31 banks hold 62 lines of 2 KiB, and a band reads two more than it makes
    halves = [run(Conv2d(1, 16, 8, 45, 128, 3, 3, pad=(1, 1, 0, 1))).compute_cycles for _ in range(1)]
    assert found.compute_cycles < 3 * halves[0]


def test_groups_that_fill_a_block_of_channels_share_a_hardware_layer():
    depthwise, wanted = run(Conv2d(1, 20, 20, 6, 6, 3, 3, groups=20), values=True)
    assert depthwise.details["hardware_layers"] == 3
    np.testing.assert_array_equal(depthwise.values, wanted)
    # 8 kernels of 8 channels of which one is the kernel's own
    assert depthwise.accounts["macs"]["padding"] > 6 * depthwise.performed_macs


def test_image_mode_computes_what_direct_mode_does_in_fewer_packages():
    shape = Conv2d(1, 3, 8, 20, 20, 7, 7, stride=(2, 2))
    direct, wanted = run(shape, values=True)
    image, _ = run(shape, values=True, image=True)
    np.testing.assert_array_equal(direct.values, wanted)
    np.testing.assert_array_equal(image.values, wanted)
    assert direct.details["mac_cycles"] == 49 * 49  # one block of channels at 49 taps
    assert image.details["mac_cycles"] == 49 * 4 * 7  # 28 channels of a row of the filter are 4 blocks


def test_words_of_16_bits_take_half_the_kernels_and_two_multipliers():
    shape = Linear(1, 64, 32)
    narrow, wide = (run(shape, "nvdla_full", bits=bits).accounts["macs"] for bits in (8, 16))
    assert (narrow["busy"], wide["busy"]) == (64 * 32, 2 * 64 * 32)


def test_wide_kernels_have_two_multipliers_each():
    with pytest.raises(ConfigError, match="32 kernels of 16 bits take the multipliers of 64 of 8 bits, there are 32"):
        accelsim.load_arch("nvdla_full", [("params.wide_kernels", 32)])


@pytest.mark.parametrize(
    ("shape", "mapping", "said"),
    [
        (Linear(1, 40000, 8), {}, "1 lines of 40,000 bytes and 320,000 bytes of weights do not fit 32 banks of 4,096"),
        (Conv2d(1, 8, 8, 9, 9, 3, 3), {"data_banks": 20, "weight_banks": 13},
         "20 banks for data and 13 for weights, the convolution buffer has 32; let them sum to at most that"),
        (Conv2d(1, 64, 8, 64, 64, 3, 3), {"bands": 1}, "under this mapping; raise params.banks"),
        (Conv2d(1, 5, 8, 9, 9, 3, 3), {"image": True}, "image mode takes up to 4 channels, without groups or dilation"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_line(shape, mapping, said):
    with pytest.raises(MappingError) as caught:
        run(shape, **mapping)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_layers_whose_banks_are_split_otherwise_do_not_overlap():
    found = {point.name: point for point in rtl.packaged("nvdla_pairs.csv")}
    alone = found["soloB"].ours
    assert found["pairB"].ours < 2 * alone - 4000
    assert found["pairC"].ours > found["soloA"].ours + 0.99 * alone


def test_a_pool_in_strips_reads_what_they_share_twice():
    shape = Pool("max", 1, 8, 7, 5, 1, 4, stride=(2, 2), pad=(0, 1, 0, 0))
    assert run(shape, strips=2).compute_cycles - run(shape).compute_cycles == 8 * 7 * (7 - 5)


@pytest.mark.parametrize("network", ["net:resnet50", "net:mobilenet_v1"])
def test_whole_networks_run_on_the_smallest_machine(network):
    result = accelsim.simulate("nvdla_small", network)
    assert result.complete
    for layer in result.layers:
        assert sum(layer.account.values()) == layer.units * layer.cycles


def test_a_table_of_rtl_points_is_compared_row_by_row(tmp_path):
    lines = (rtl.FOLDER / "nvdla_conv.csv").read_text().splitlines()[:4]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["validate", "--rtl", str(tmp_path / "mine.csv"), "--format", "json"])
    found = json.loads(done.output)
    assert (found["points"], len(found["rows"])) == (3, 3)
    assert [(row["cycles"], row["ours"]) for row in found["rows"]] == [(996, 996), (3212, 3212), (3840, 3839)]
    assert found["worst_abs_error"] == pytest.approx(1 / 3840)
    picture = ["validate", "--rtl", str(tmp_path / "mine.csv"), "--plot", str(tmp_path / "mine.png")]
    text = CliRunner().invoke(app, picture, catch_exceptions=False).output
    assert "all " in text
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("weight_banks", "wb"), ":1: the table lacks 'weight_banks'; columns of its kind"),
        (lambda text: text.replace(",996,", ",many,"), ":2: cycles: 'many' is no whole number; give a whole number"),
        (lambda text: text.replace("nv_small", "nv_tiny"), ":2: no machine stands for design 'nv_tiny'; designs:"),
    ],
)
def test_a_table_that_cannot_be_used_is_said_in_one_line(tmp_path, change, said):
    lines = (rtl.FOLDER / "nvdla_conv.csv").read_text().splitlines()[:2]
    (tmp_path / "mine.csv").write_text(change("\n".join(lines)))
    with pytest.raises(ConfigError) as caught:
        rtl.measured(tmp_path / "mine.csv", "mine.csv")
    assert str(caught.value).startswith(f"mine.csv{said}")


def test_a_table_that_is_not_there_ends_with_status_2(capsys):
    with pytest.raises(SystemExit) as done:
        main(["validate", "--rtl", "nowhere.csv"])
    assert done.value.code == 2
    assert capsys.readouterr().err.startswith("error: nowhere.csv: no table can be read here")


def test_results_of_a_systolic_array_leave_after_its_registers():
    found = [point for point in rtl.packaged("axis_systolic.csv") if point.ours is not None]
    assert len(found) == 187
    assert all(point.ours == point.cycles for point in found)
    assert accelsim.simulate("systolic_os_8", "squeezenet1_1").layers[0].details["results_not_drained"] > 0
    assert "results_not_drained" not in accelsim.simulate("axis_systolic", "squeezenet1_1").layers[0].details


def test_the_split_that_is_chosen_leaves_nothing_over():
    arch = accelsim.load_arch("nvdla_small")
    work = work_of(view_of(Conv2d(1, 16, 8, 28, 28, 3, 3)), arch.units[0].params, Mapping(), machine_view(arch).dram)
    assert work.split == (4, 28)  # 28 x 28 x 16 bytes of data


def drawn(seed):
    """Return a layer of many stripes and beats, so that what repeats is counted at once, and its machine."""
    rng = np.random.default_rng(seed)
    draw = drawing(rng)
    params = sample(rng).params | {"wide_kernels": None, "bank_kib": draw(1, 2), "credits": draw(6, 40)}
    r, s = (1, 1) if draw(0, 1) else (draw(1, 3), draw(1, 3))
    pad = (draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1))
    most = (12, 40)[draw(0, 1)]
    shape = Conv2d(1, draw(1, most), draw(1, most), draw(6, 18), draw(6, 18), r, s, 1, (draw(1, 2), draw(1, 2)), pad)
    # about as many beats on their way as the latency takes
    params["outstanding_beats"], latency = draw(20, 30), draw(10, 40)
    rate = Fraction(8 * params["port_bytes"], 1) * Fraction(7, draw(5, 11))
    return shape, Params(**params), Machine({}, DramModel(rate, latency, 8))


def test_rates_of_many_digits_are_exact():
    shape, params, machine = drawn(3)
    for text in ("3.14159265358979", "25.600999999999999", "0.000123456789012345"):
        slow = machine._replace(dram=machine.dram._replace(bits_per_cycle=8 * Fraction(text)))
        view = view_of(shape if float(text) > 1 else Conv2d(1, 3, 2, 2, 2, 1, 1))
        operands = handle.of(view, 1)
        ours = engine.ENGINE.run(engine.ENGINE.plan(view, operands, params, Mapping(), slow))
        if float(text) > 1:
            assert ours.same_integers(reference.reference(view, operands, params, Mapping(), slow)) == []
        else:
            beats = ours.traffic["dram", "weight", "read"] + ours.traffic["dram", "input", "read"]
            assert ours.compute_cycles > beats / slow.dram.bits_per_cycle
    view = view_of(shape)
    fine = machine._replace(dram=machine.dram._replace(bits_per_cycle=Fraction(10**20 + 1, 10**20)))
    with pytest.raises(MappingError, match=r"round memory\.dram\.gb_per_s"):
        engine.ENGINE.plan(view, handle.of(view, 1), params, Mapping(), fine)


@pytest.mark.parametrize("seed", [*range(10), 37, 127, 846, 1793])
def test_what_repeats_is_counted_as_the_stepping_reference_does(seed):
    shape, params, machine = drawn(seed)
    view = view_of(shape)
    operands = handle.of(view, 1)
    plan = engine.ENGINE.plan(view, operands, params, Mapping(), machine)
    stepped = reference.reference(view, operands, params, Mapping(), machine)
    assert engine.ENGINE.run(plan).same_integers(stepped) == []


def test_an_unvalidated_machine_says_so_in_lists_reports_and_json():
    listed = CliRunner().invoke(app, ["list", "arch"]).output.splitlines()
    marked = {line.split()[0] for line in listed if "unvalidated:" in line}
    assert marked == {"nvdla_full", "nvdla_large"}
    assert "unvalidated: the RTL of this configuration" in CliRunner().invoke(app, ["show", "nvdla_large"]).output
    result = accelsim.simulate("nvdla_large", "squeezenet1_1")
    assert words.title(result).endswith("unvalidated)")
    assert json.loads(document.to_json(result))["arch"]["unvalidated"].startswith("the RTL of this configuration")
    assert "unvalidated" not in accelsim.simulate("nvdla_small", "squeezenet1_1").arch
    # a variant of such a machine is one too
    assert "unvalidated" in accelsim.load_arch("nvdla_full", [("params.banks", 8)]).config


def test_registers_are_those_counted_in_the_rtl():
    found = {each.name: each for each in registers(Params(**SMALL))}
    # a cell: 64 bits of pixels, 8 x 5 flags, 2, a result of 19 bits 7.5 times; two sets of 8 weights behind gates
    assert (found["cells"].count, found["cells"].clocked_bits, found["cells"].gated_words) == (8, 64 + 42 + 142, 16)
    # 32 banks of a word to write and two read, 8 + 2 + 1 words where these come together, twice, 2 to write
    assert found["latches"].clocked_bits == 64 * (96 + 22 + 2)


@pytest.mark.parametrize(
    ("shape", "runs"),
    [(Conv2d(1, 8, 8, 6, 6, 1, 1), {"cells", "sdp"}), (Pool("max", 1, 8, 6, 6, 2, 2, (2, 2)), {"pdp"})],
)
def test_the_clock_reaches_what_a_layer_passes(shape, runs):
    layer, tensors = make_layer("l", shape)
    result = accelsim.simulate("nvdla_small", Network("n", (layer,), tensors, isolated=True))
    clocked = {name for name, counts in result.layers[0].events.items() if counts.get("data")}
    assert clocked & {"cells", "sdp", "pdp", "cdp"} == runs


def pair(tmp_path, shapes, banks, read_first=False):
    """Return the result of two layers of one network, on the bench of the table of pairs."""
    (one, tensors), (two, more) = (make_layer(name, shape) for name, shape in zip("ab", shapes, strict=True))
    if read_first:
        two = replace(two, inputs=one.outputs)
        more = {name: tensor for name, tensor in more.items() if not name.endswith("input")}
    lines = [
        f"{name}: {{data_banks: {d}, weight_banks: {w}, bands: 1}}" for name, (d, w) in zip("ab", banks, strict=True)
    ]
    (tmp_path / "banks.yaml").write_text("\n".join(lines))
    arch = accelsim.load_arch("nvdla_small", [("params.overlap_layers", True), ("memory.dram.gb_per_s", 4),
                                              ("memory.dram.latency_ns", 31), *rtl.STOCK.items()])  # fmt: skip
    return accelsim.simulate(arch, Network("pair", (one, two), tensors | more), mapping=tmp_path / "banks.yaml")


A = Conv2d(1, 32, 32, 12, 12, 3, 3, pad=(1, 1, 1, 1))
B = Conv2d(1, 64, 32, 16, 16, 1, 1)


@pytest.mark.parametrize(
    ("shapes", "banks", "rtl_cycles", "overlaps"),
    [((A, A), ((8, 8), (8, 8)), 44121, True), ((B, B), ((8, 8), (8, 8)), 28138, True),
     ((A, B), ((2, 3), (4, 1)), 39655, False)],
)  # fmt: skip
def test_layers_of_a_network_overlap_as_pairs_do_in_the_rtl(tmp_path, shapes, banks, rtl_cycles, overlaps):
    result = pair(tmp_path, shapes, banks)
    saved = result.layers[1].details.get("overlap_cycles", 0)
    assert (saved > 0) == overlaps
    assert abs(result.cycles - saved - rtl_cycles) / rtl_cycles < 0.03
    assert bool(result.notes) == overlaps
    if overlaps:
        assert f"b by {saved:,} cycles; the network takes {result.cycles - saved:,} cycles so" in result.notes[0]
    for layer in result.layers:  # the layers' own figures are those of each alone
        assert sum(layer.account.values()) == layer.units * layer.cycles


def test_a_layer_that_reads_the_one_before_waits_for_it(tmp_path):
    after = Conv2d(1, 32, 32, 12, 12, 3, 3, pad=(1, 1, 1, 1))
    result = pair(tmp_path, (A, after), ((8, 8), (8, 8)), read_first=True)
    assert not result.notes
    assert "overlap_cycles" not in result.layers[1].details


def test_fixed_banks_hold_for_every_layer():
    sets = [("mapping.fixed", {"data_banks": 20, "weight_banks": 4})]
    layers = accelsim.simulate(accelsim.load_arch("nvdla_small", sets), "squeezenet1_1").simulated
    assert {(x.details["data_banks"], x.details["weight_banks"]) for x in layers if x.macs} == {(20, 4)}
    with pytest.raises(MappingError, match=r"mapping\.fixed names 'bank'; known keys: data_banks"):
        accelsim.simulate(accelsim.load_arch("nvdla_small", [("mapping.fixed", {"bank": 1})]), "squeezenet1_1")
