"""Zero patterns of seeded tensors: where zeros fall, and that a pattern never changes how many there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.config.yamlfile import parse as parse_yaml
from accelsim.errors import ConfigError, WorkloadError
from accelsim.operands import streams
from accelsim.operands.handle import Operand, of
from accelsim.passes.density import read_density, with_density
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.load import load_network
from accelsim.workload.pattern import Pattern, parse
from accelsim.workload.shapes import Conv2d, Linear
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import build

PATTERNS = ("bernoulli", "clustered:0.5", "clustered:1", "rows:0.5", "rows:1.5", "balanced:8")


def weight(shape, density, pattern, name="w"):
    return Operand(Tensor(name, shape, 8, True, density, True, pattern=pattern))


def activation(shape, density, pattern, batch=1):
    return Operand(Tensor("a", shape, 8, True, density, pattern=pattern), batch=batch)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("density", [0.04, 0.3, 0.75])
def test_a_pattern_keeps_the_density(pattern, density):
    share = weight((400, 300), density, pattern).mask.mean()
    assert abs(share - density) < 5 * (density * (1 - density) / 120_000) ** 0.5


@pytest.mark.parametrize("pattern", [*PATTERNS, "nm:4"])
def test_at_the_ends_nothing_is_left_to_a_pattern(pattern):
    assert not weight((12, 8, 3, 3), 0.0, pattern).mask.any()
    assert weight((12, 8, 3, 3), 1.0, pattern).mask.all()


def test_bernoulli_is_the_stream_it_always_was():
    mask = Operand(Tensor("pinned", (1, 100, 1000), 8, True, 0.25)).mask
    np.testing.assert_array_equal(mask.ravel(), streams.nonzero_mask(0, "pinned", 0, 100_000, 0.25))
    assert int(mask.sum()) == 25131  # as in test_operands.py


@pytest.mark.parametrize(
    ("pattern", "ones", "where"),
    [
        # written down once: a different number means that runs with this pattern would change
        ("clustered:0.5", 1131, 59033), ("rows:0.5", 1132, 41060), ("nm:4", 1280, 62062), ("balanced:8", 1200, 19476),
    ],
)  # fmt: skip
def test_the_bytes_of_a_pattern_never_change(pattern, ones, where):
    mask = weight((40, 30, 2, 2), 0.25, pattern, "pinned").mask.ravel()
    assert (int(mask.sum()), int(np.flatnonzero(mask).sum()) % 65521) == (ones, where)


def test_clustered_channels_have_two_levels_with_the_given_correlation():
    density, s = 0.3, 0.5
    shares = np.sort(weight((2000, 40), density, f"clustered:{s}").mask.mean(axis=0))
    np.testing.assert_allclose(shares[-12:], density + s * (1 - density), atol=0.06)  # floor(0.3 x 40) = 12 channels
    np.testing.assert_allclose(shares[:-12], density - s * density, atol=0.06)
    # correlation of two elements of a channel: variance of the channel densities over d (1 - d)
    assert shares.var() / (density * (1 - density)) == pytest.approx(s**2, abs=0.03)


def test_fully_clustered_channels_are_there_or_zero():
    shares = weight((50, 40, 3, 3), 0.25, "clustered:1").mask.mean(axis=(0, 2, 3))
    assert sorted(shares.tolist()) == [0.0] * 30 + [1.0] * 10
    assert sorted(activation((1, 8, 5, 5), 0.5, "clustered:1").mask.mean(axis=(0, 2, 3))) == [0.0] * 4 + [1.0] * 4


def test_row_densities_are_log_normal_with_the_given_spread():
    shares = weight((600, 20_000), 0.05, "rows:0.5").mask.mean(axis=1)
    assert np.log(shares).std() == pytest.approx(0.5, abs=0.02)
    even = weight((600, 20_000), 0.05, "bernoulli").mask.mean(axis=1)
    assert np.log(even).std() < 0.04


def test_rows_that_would_pass_one_are_full_and_the_rest_keeps_the_mean():
    shares = weight((200, 2000), 0.6, "rows:2").mask.mean(axis=1)
    assert (shares == 1).sum() > 20
    assert shares.mean() == pytest.approx(0.6, abs=0.005)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 3), st.sampled_from([(2, 4), (1, 4), (4, 8), (1, 2)]))
@settings(max_examples=40, deadline=None)
def test_n_of_m_holds_in_every_group_of_channels(rows, channels, window, nm):
    n, m = nm
    mask = weight((rows, channels, window, window), n / m, f"nm:{m}").mask
    for start in range(0, channels, m):
        group = mask[:, start : start + m]
        assert (group.sum(axis=1) == min(n, group.shape[1])).all()


def test_n_of_m_needs_a_density_that_makes_a_whole_n():
    with pytest.raises(WorkloadError, match=r"tensor 'w': a density of 0.3 keeps 1.2 of every 4 elements; give a mult"):
        _ = weight((4, 8), 0.3, "nm:4").mask


def test_every_pe_has_the_same_number_of_non_zeros_when_balanced():
    mask = weight((64, 50), 0.13, "balanced:16").mask
    counts = [int(mask[pe::16].sum()) for pe in range(16)]
    assert counts == [26] * 16  # 0.13 x 4 rows x 50
    assert len({int(weight((64, 50), 0.13, "bernoulli").mask[pe::16].sum()) for pe in range(16)}) > 1


def test_more_pes_than_rows_leave_some_empty():
    assert weight((3, 10), 0.5, "balanced:8").mask.sum(axis=1).tolist() == [5, 5, 5]


@pytest.mark.parametrize("pattern", ["clustered:0.7", "rows:1", "nm:4", "balanced:4"])
def test_an_image_is_the_same_in_every_batch(pattern):
    one = activation((1, 8, 6, 6), 0.5, pattern).mask
    three = activation((3, 8, 6, 6), 0.5, pattern, batch=3).mask
    np.testing.assert_array_equal(three[:1], one)
    assert not np.array_equal(three[1], three[0])


def test_values_are_zero_where_the_mask_is_false():
    operand = weight((16, 8), 0.5, "nm:4")
    np.testing.assert_array_equal(operand.values != 0, operand.mask)


def test_effective_macs_follow_the_pattern():
    conv = Conv2d(1, 8, 4, 5, 5, 3, 3)
    x = Tensor("x", (1, 8, 5, 5), 8, True, 0.5, pattern="clustered:1")
    w = Tensor("w", conv.weight_shape, 8, True, 1.0, True)
    view = LayerView("l", conv, (x,), (w,), (Tensor("y", conv.output_shape, 8),))
    assert of(view).effective_macs == conv.macs // 2


def follower(conv, density, ratio, input_density, pattern="bernoulli"):
    x = Tensor("x", conv.input_shapes[0], 8, True, input_density, pattern=pattern)
    w = Tensor("w", conv.weight_shape, 8, True, density, True, pattern=f"follows:{ratio:g}")
    return LayerView("l", conv, (x,), (w,), (Tensor("y", conv.output_shape, 8),))


@pytest.mark.parametrize("ratio", [0.2, 1, 2.5])
def test_filters_that_follow_are_so_many_times_as_dense_where_the_input_is_not_zero(ratio):
    operands = of(follower(Linear(1, 600, 800), 0.2, ratio, 0.3))
    met = operands.input.mask[0]
    mask = operands.weight.mask
    assert mask.mean() == pytest.approx(0.2, abs=0.005)
    assert mask[:, met].mean() / mask[:, ~met].mean() == pytest.approx(ratio, rel=0.05)
    assert operands.effective_macs == int(mask[:, met].sum())


def test_a_channel_that_is_zero_at_times_lies_in_between_and_filters_of_a_group_follow_its_channels():
    conv = Conv2d(n=2, c=12, k=400, h=16, w=16, r=3, s=3, groups=2)
    operands = of(follower(conv, 0.3, 4, 0.5, "clustered:0.6"))
    share = operands.input.mask.mean(axis=(0, 2, 3))
    expected = 0.3 * (1 + 3 * share) / (1 + 3 * share).mean()
    mask = operands.weight.mask  # (400, 6, 3, 3)
    found = np.concatenate([mask[:200].mean(axis=(0, 2, 3)), mask[200:].mean(axis=(0, 2, 3))])
    assert expected.max() > 1.5 * expected.min()
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_filters_follow_an_input_that_is_given():
    view = follower(Linear(1, 10, 500), 0.3, 100, 1.0)
    x = np.array([[0, 0, 5, 0, 1, 0, 0, 0, 0, 0]])
    shares = of(view, given={"x": x}).weight.mask.mean(axis=0)
    assert (shares[[2, 4]] > 0.9).all()  # two of ten channels cannot hold 0.3 of all alone
    assert shares.mean() == pytest.approx(0.3, abs=0.02)


def test_only_filters_follow(tmp_path):
    view = follower(Linear(1, 10, 5), 0.3, 2, 1.0)
    with pytest.raises(WorkloadError, match=r"tensor 'w' has pattern 'follows:2', and it is no filters that meet"):
        _ = Operand(view.weight).mask
    text = NET.replace("'clustered:0.5'", "'follows:2'")
    wrong = r"layer 'fc': has zeros by 'follows:2' in tensor 'fc.input', which is no filters; only filters of a conv"
    with pytest.raises(ConfigError, match=wrong):
        build(parse_yaml(text, "net.yaml"))


@pytest.mark.parametrize("text", ["bernoulli", "clustered:0.25", "rows:0.5", "nm:4", "balanced:64", "follows:0.5"])
def test_a_pattern_reads_what_it_writes(text):
    assert str(parse(text)) == text


def test_a_pattern_has_a_kind_and_a_number():
    assert parse("rows:0.50") == Pattern("rows", 0.5)
    assert parse("nm:4").count == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("banded:3", "'banded:3' is no pattern of zeros; use bernoulli"),
        ("bernoulli:1", "takes no parameter"),
        ("rows", "needs a number; give rows:<number from 0 to 4>"),
        ("rows:-1", "out of range"),
        ("rows:nan", "out of range"),
        ("clustered:1.5", "number from 0 to 1"),
        ("nm:2.5", "whole number"),
        ("balanced:0", "out of range"),
        ("follows", "needs a number; give follows:<number from 0.01 to 100>"),
        ("follows:0", "out of range; give follows:<number from 0.01 to 100>"),
    ],
)
def test_a_pattern_that_is_none_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)


NET = """\
name: net
isolated: true
layers:
  - {name: fc, kind: linear, c: 8, k: 4, weight: {density: 0.5, pattern: 'nm:4'}}
tensors:
  fc.input: {density: 0.5, pattern: 'clustered:0.5'}
"""


def test_networks_in_yaml_declare_patterns_and_keep_them():
    net = build(parse_yaml(NET, "net.yaml"))
    assert (net.tensors["fc.weight"].pattern, net.tensors["fc.input"].pattern) == ("nm:4", "clustered:0.5")
    assert net.tensors["fc.output"].pattern == "bernoulli"
    assert build(parse_yaml(dump(net), "again.yaml")) == net
    with pytest.raises(ConfigError, match=r"net.yaml:4: layers.0.weight.pattern: .mn:4. is no pattern of zeros"):
        build(parse_yaml(NET.replace("nm:4", "mn:4"), "net.yaml"))


@pytest.mark.parametrize("suffix", ["yaml", "csv"])
def test_density_profiles_declare_patterns(tmp_path, suffix):
    text = {
        "yaml": "layers:\n  fc6: {weight: 0.09 rows:0.5, input: 0.4}\n  fc7: {weight: 0.1}\n",
        "csv": "layer,weight_density,input_density\nfc6,0.09 rows:0.5,0.4\nfc7,0.1,\n",
    }
    path = tmp_path / f"d.{suffix}"
    path.write_text(text[suffix])
    tensors = with_density(load_network("alexnet"), read_density(path)).tensors
    assert (tensors["fc6.weight"].density, tensors["fc6.weight"].pattern) == (0.09, "rows:0.5")
    assert (tensors["fc6.input"].density, tensors["fc6.input"].pattern) == (0.4, "bernoulli")
    assert (tensors["fc7.weight"].density, tensors["fc7.weight"].pattern) == (0.1, "bernoulli")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1.5 rows:0.5", "2: layers.fc6.weight: 1.5 is too large; must be at most 1.0"),
        ("0.5 rows:9", "2: layers.fc6.weight: pattern 'rows:9' is out of range; give rows:<number from 0 to 4>"),
        ("half rows:1", "2: layers.fc6.weight: 'half' is of the wrong type; must be a number"),
    ],
)
def test_a_wrong_pattern_in_a_profile_names_its_line(tmp_path, value, words):
    path = tmp_path / "d.yaml"
    path.write_text(f"layers:\n  fc6: {{weight: {value}}}\n")
    with pytest.raises(ConfigError) as caught:
        read_density(path)
    assert str(caught.value) == f"{path}:{words}"


def test_a_balanced_share_is_rounded_to_the_nearest_number():
    # each of two PEs holds three elements; 0.9 of them are 2.7
    assert np.count_nonzero(weight((2, 3), 0.9, "balanced:2").mask, axis=1).tolist() == [3, 3]
    assert np.count_nonzero(weight((2, 3), 0.8, "balanced:2").mask, axis=1).tolist() == [2, 2]


def test_the_rows_of_a_balanced_activation_are_its_channels_in_every_image():
    mask = activation((3, 4, 1, 10), 0.5, "balanced:2", batch=3).mask
    # PE 0 has channels 0 and 2, PE 1 channels 1 and 3: ten of the twenty elements each, image by image
    for pe in range(2):
        assert np.count_nonzero(mask[:, pe::2], axis=(1, 2, 3)).tolist() == [10, 10, 10]
