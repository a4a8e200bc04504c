"""Numbers and sentences of the report, against what a person would write."""

from dataclasses import replace

import pytest
from report_samples import ALEXNET, ARCH, alexnet, conv, every_cause, network, resnet50

from accelsim.report import facts, words
from accelsim.results import UnitAccount


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.0123"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234567, "1,234,567"),
        (2e-5, "2.0e-05"),
    ],
)
def test_numbers_have_three_digits_and_thousands(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0, "0 %"),
        (0.0001, "<0.1 %"),
        (0.0123, "1.2 %"),
        (0.0999, "10 %"),
        (0.71, "71 %"),
        (0.9999, "99.9 %"),
        (1, "100 %"),
    ],
)
def test_percentages_never_round_to_nothing_or_to_all(ratio, text):
    assert words.percent(ratio) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.0001, "<0.001"), (0.29, "0.290"), (12.34, "12.3")])
def test_narrow_numbers_have_at_most_three_decimals(value, text):
    assert words.small(value) == text


def stalled(needed):
    layer = replace(
        conv(*ALEXNET[5]),
        name="fc6",
        cycles=100,
        compute_cycles=29,
        stall_cycles=71,
        accounts={"pes": UnitAccount(10, {"busy": 290, "memory": 710})},
        needed_bits_per_cycle={"dram": needed},
    )
    arch = ARCH | {"memory": {"dram": {"standard": "ddr3", "gb_per_s": 0.2}}}
    return network([layer], arch=arch), layer


def test_a_stalled_layer_names_the_bandwidth_it_needs_and_the_one_it_has():
    # 0.2e9 B/s x 8 / 200e6 Hz = 8 bits per cycle.
    result, layer = stalled(12.3)
    assert words.why(result, [layer]) == (
        "fc6 (100 % of all cycles): 71 % of its cycles wait for DRAM; 12.3 bits/cycle would hide all but its first "
        "load and last store, the machine has 8.00"
    )


def test_stalls_that_no_bandwidth_hides_are_said_to_be_so():
    result, layer = stalled(4.0)
    assert words.why(result, [layer]).endswith(
        "71 % of its cycles wait for DRAM: its first load and last store, behind which there is nothing to compute"
    )


def test_every_cause_has_a_sentence_of_its_own():
    result = every_cause()
    lost = [layer for layer in result.layers if layer.name.split("conv_")[1] not in ("busy", "zero")]
    sentences = {words.why(result, [layer]).split(": ", 1)[1].lstrip("0123456789 %") for layer in lost}
    assert len(sentences) == len(lost) == 9
    assert not any("are lost to" in s and "bank" not in s for s in sentences)


def test_the_worst_layers_are_those_that_lose_most_cycles_not_the_longest():
    def layer(name, cycles, lost):
        account = UnitAccount(10, {"busy": 10 * (cycles - lost), "unmapped": 10 * lost})
        return replace(conv(*ALEXNET[0]), name=name, cycles=cycles, primary="p", accounts={"p": account})

    result = network([layer("long", 1000, 50), layer("fine", 500, 0), layer("short", 100, 100), layer("tiny", 40, 2)])
    assert [[found.name for found in group] for group in facts.worst_layers(result)] == [["short"], ["long"]]
    assert facts.lost_cycles(result.layers[0]) == 50


def test_time_shares_weigh_layers_by_their_cycles_not_by_their_units():
    many = replace(conv(*ALEXNET[0]), cycles=100, primary="p", accounts={"p": UnitAccount(1000, {"busy": 100_000})})
    few = replace(conv(*ALEXNET[1]), cycles=300, primary="p", accounts={"p": UnitAccount(1, {"memory": 300})})
    assert facts.time_shares(network([many, few])) == {"busy": 0.25, "memory": 0.75}


def test_the_compute_roof_is_what_the_units_could_do():
    # A 32 x 32 array does 1024 MACs per cycle, whatever share of it a layer uses.
    assert [facts.compute_roof(layer) for layer in alexnet().layers] == pytest.approx([1024] * 8)


def test_a_machine_without_a_named_bandwidth_has_none():
    assert facts.dram_bits_per_cycle(alexnet(arch={"name": "x"})) is None
    assert words.machine(alexnet(arch={"name": "x", "engine": "eie"})) == "eie, 200 MHz"


def test_what_is_not_modelled_is_said_in_short():
    items = ("Bias: its values are not added.", "Leakage.", "not in table t: clock tree", "not in table t: refresh")
    assert words.not_modelled(alexnet(not_modelled=items)) == "Bias; Leakage; not in table t: clock tree, refresh"


def test_layers_that_are_alike_are_one_of_the_worst_together():
    result = resnet50()
    stage4 = [layer for layer in result.layers if "stage4" in layer.name and "conv1" in layer.name]
    assert stage4 in facts.worst_layers(result, 20)
    cycles = sum(layer.cycles for layer in stage4)
    assert words.why(result, stage4).startswith(
        f"resnetv17_stage4_block0_conv1_fwd and 2 alike ({100 * cycles / result.cycles:.1f} % of all cycles): "
        "47 % of their pe-cycles go to filling and draining"
    )
