"""Pruning, weight sharing, Huffman sizes and the pipeline of the three."""

import csv
import io
import itertools
import json
import runpy
from pathlib import Path

import numpy as np
import onnx_graphs
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from accelsim.cli import app, main
from accelsim.config.yamlfile import parse as parse_yaml
from accelsim.errors import WorkloadError
from accelsim.operands.files import load_operands, read_npz, save_npz
from accelsim.passes import huffman, sharing
from accelsim.passes.compress import Settings, compress
from accelsim.passes.density import read_density
from accelsim.passes.profile import assigned
from accelsim.passes.prune import prune
from accelsim.passes.sharing import Shared, decode, share
from accelsim.workload.load import load_network
from accelsim.workload.pattern import parse
from accelsim.workload.yaml_network import build

ROOT = Path(__file__).parents[1]

NET = """\
name: small
isolated: true
layers:
  - {name: conv, kind: conv2d, c: 8, k: 6, h: 5, w: 5, r: 3, s: 3, bias: true}
  - {name: fc, kind: linear, c: 40, k: 20, weight: {bits: 6}}
  - {name: act, kind: elementwise, op: relu, shape: [1, 20]}
"""


@pytest.fixture
def net():
    return build(parse_yaml(NET, "net.yaml"))


def one_layer(shape, bits=8, **said):
    k, c = shape
    weight = {"bits": bits} | said
    layer = f"{{name: fc, kind: linear, c: {c}, k: {k}, weight: {json.dumps(weight)}}}"
    return build(parse_yaml(f"name: n\nisolated: true\nlayers:\n- {layer}\n", "n.yaml"))


def profile(tmp_path, text):
    path = tmp_path / "d.yaml"
    path.write_text(f"layers: {text}\n")
    return read_density(path)


# ------------------------------------------------------------------------------------------------ pruning

reals = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).standard_normal((12, 10)))


@given(reals, st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
@settings(max_examples=30, deadline=None)
def test_pruning_keeps_exactly_the_largest(weights, density):
    pruned = prune(weights, density)
    order = np.argsort(-np.abs(weights).ravel())
    wanted = np.zeros(120)
    keep = order[: round(120 * density)]
    wanted[keep] = weights.ravel()[keep]
    np.testing.assert_array_equal(pruned.ravel(), wanted)


def test_of_equal_weights_the_earlier_stay():
    assert prune(np.array([[2, -2, 1, 2]]), 0.5).tolist() == [[2, -2, 0, 0]]


def test_zeros_that_are_there_stay_zero():
    assert prune(np.array([[0, 0, 5, 0]]), 0.75).tolist() == [[0, 0, 5, 0]]


@given(st.integers(1, 4), st.integers(1, 11), st.sampled_from([(2, 4), (1, 4), (3, 4), (1, 2)]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_n_of_m_keeps_the_largest_of_every_group_of_channels(k, c, nm, seed):
    n, m = nm
    weights = np.random.default_rng(seed).standard_normal((k, c, 2, 2))
    pruned = prune(weights, n / m, parse(f"nm:{m}"))
    for row, start, r, s in itertools.product(range(k), range(0, c, m), range(2), range(2)):
        before, after = (a[row, start : start + m, r, s].tolist() for a in (weights, pruned))
        kept = sorted(before, key=abs, reverse=True)[:n]
        assert after == [w if w in kept else 0.0 for w in before]


def test_balanced_pruning_gives_every_pe_the_same_and_its_largest():
    weights = np.random.default_rng(1).standard_normal((16, 25))
    weights[3::4] *= 10  # PE 3 holds all that fine-grained pruning would keep
    pruned = prune(weights, 0.2, parse("balanced:4"))
    for pe in range(4):
        mine = np.abs(weights[pe::4]).ravel()
        kept = np.abs(pruned[pe::4]).ravel()
        assert sorted(kept[kept > 0]) == sorted(mine)[-20:]
    assert np.count_nonzero(prune(weights, 0.2)[3::4]) > 60


@pytest.mark.parametrize(
    ("density", "structure", "words"),
    [
        (1.5, "bernoulli", "tensor 'w': 1.5 is no density; give a share from 0 to 1"),
        (-0.1, "bernoulli", "is no density"),
        (0.3, "nm:4", r"tensor 'w': a density of 0.3 keeps 1.2 of every 4 elements"),
        (0.5, "rows:0.5", "tensor 'w': pruning does not make the pattern 'rows:0.5'"),
        (0.5, "clustered:1", "does not make"),
    ],
)
def test_what_cannot_be_pruned_is_refused_with_its_name(density, structure, words):
    with pytest.raises(WorkloadError, match=words):
        prune(np.ones((4, 8)), density, parse(structure), "w")
    with pytest.raises(WorkloadError, match="'w' holds NaN"):
        prune(np.array([[np.nan]]), 0.5, name="w")


# ------------------------------------------------------------------------------------------------ sharing


def test_every_weight_has_its_nearest_centroid_and_codes_are_few():
    weights = np.random.default_rng(0).standard_normal((50, 60)) * (np.random.default_rng(1).random((50, 60)) < 0.3)
    shared = share(weights, 4)
    assert shared.codebook.size <= 16
    there = weights != 0
    np.testing.assert_array_equal(shared.codes == 0, ~there)
    distance = np.abs(weights[there][:, None] - shared.codebook[1:])
    np.testing.assert_allclose(np.abs(weights - shared.decode())[there], distance.min(axis=1))
    assert np.diff(shared.codebook[1:]).min() > 0


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_one_code_is_kept_for_zero(bits):
    shared = share(np.linspace(1, 2, 400).reshape(20, 20), bits)
    assert (shared.codebook.size, int(shared.codes.max())) == (2**bits, 2**bits - 1)
    assert shared.codebook[0] == 0


def test_separate_clusters_are_found_with_their_means():
    rng = np.random.default_rng(2)
    clusters = [centre + 0.01 * rng.standard_normal(200) for centre in (-3.0, -1.0, 1.2)]
    weights = rng.permutation(np.concatenate(clusters)).reshape(20, 30)
    np.testing.assert_allclose(share(weights, 2).codebook, [0, *(c.mean() for c in clusters)])


def test_sharing_beats_an_even_spread_of_the_same_size():
    weights = np.random.default_rng(3).standard_normal((100, 100))
    shared = share(weights, 3)
    even = np.linspace(weights.min(), weights.max(), 7)
    spread = even[np.abs(weights[..., None] - even).argmin(axis=-1)]
    assert ((weights - shared.decode()) ** 2).sum() < 0.6 * ((weights - spread) ** 2).sum()


def test_weights_with_few_values_keep_them():
    weights = np.array([[5, -7, 0, 5], [0, 0, 100, -7]])
    shared = share(weights, 2)
    assert shared.codebook.tolist() == [0, -7, 5, 100]
    np.testing.assert_array_equal(shared.decode(), weights)


def test_a_large_layer_is_clustered_by_a_seeded_sample(monkeypatch):
    monkeypatch.setattr(sharing, "SAMPLE", 500)
    weights = np.random.default_rng(4).standard_normal((100, 100))
    one, again, other = share(weights, 3, 0, "w"), share(weights, 3, 0, "w"), share(weights, 3, 1, "w")
    np.testing.assert_array_equal(one.codebook, again.codebook)
    assert not np.array_equal(one.codebook, other.codebook)
    assert ((weights - one.decode()) ** 2).mean() < 0.1


def test_a_layer_of_zeros_has_an_empty_codebook():
    shared = share(np.zeros((3, 3)), 4)
    assert (shared.codebook.tolist(), int(shared.codes.sum())) == ([0], 0)


def test_codes_outside_the_codebook_are_refused():
    with pytest.raises(WorkloadError, match="tensor 'fc': code 3 is outside its codebook; its codes are 0 to 2"):
        decode(np.array([0, 3]), np.array([0, 4, 5]), "fc")
    with pytest.raises(WorkloadError, match="code -1 is outside"):
        Shared(np.array([-1]), np.array([0, 1])).decode()


# ------------------------------------------------------------------------------------------------ Huffman


def best_size(counts):
    """Return the least size over all prefix codes: every assignment of lengths that Kraft's inequality allows."""
    present = [n for n in counts if n]
    if len(present) < 2:
        return 0
    options = itertools.product(range(1, len(present)), repeat=len(present))
    return min(
        sum(n * bits for n, bits in zip(present, lengths, strict=True))
        for lengths in options
        if sum(2.0**-bits for bits in lengths) <= 1
    )


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6))
@settings(max_examples=80, deadline=None)
def test_no_prefix_code_is_shorter(counts):
    counts = np.array(counts)
    lengths = huffman.code_lengths(counts)
    assert huffman.size_bits(counts) == best_size(counts.tolist())
    assert ((lengths == 0) == (counts == 0)).all() or np.count_nonzero(counts) == 1


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=300))
@settings(max_examples=60, deadline=None)
def test_a_huffman_code_is_complete_and_within_one_bit_of_the_entropy(counts):
    counts = np.array(counts)
    lengths = huffman.code_lengths(counts)
    size, bound = huffman.size_bits(counts), huffman.entropy_bits(counts)
    assert bound - 1e-6 <= size <= bound + counts.sum()
    if np.count_nonzero(counts) > 1:
        assert sum(2.0 ** -int(bits) for bits in lengths[counts > 0] if bits < 1000) == pytest.approx(1)


def test_powers_of_two_meet_the_entropy_bound():
    counts = np.array([1, 1, 2, 4, 8])
    assert huffman.code_lengths(counts).tolist() == [4, 4, 3, 2, 1]
    assert huffman.size_bits(counts) == huffman.entropy_bits(counts) == 30
    assert huffman.table_bits(counts) == 5 * 3


# ------------------------------------------------------------------------------------------------ pipeline


def test_the_sizes_of_a_small_layer_are_those_counted_by_hand():
    weights = {"fc.weight": np.array([[0, 3, 0, 0], [0, 0, 3, -5]])}
    (layer,) = compress(one_layer((2, 4)), settings=Settings(2, 1), given=weights).layers
    # runs of 1, 4 and 0 zeros; a 1-bit index spans 2, so two padding entries: runs 1 1 1 0 0, codes 2 0 0 2 1
    assert (layer.nonzeros, layer.entries, layer.padding_entries, layer.codes) == (3, 5, 2, 2)
    assert layer.dense_bits == 8 * 32
    assert layer.pruned_bits == 5 * (32 + 1)
    assert layer.shared_bits == 5 * (2 + 1) + 2 * 8
    assert layer.coded_bits == 8  # two, one and two: words of 1, 2 and 2 bits
    assert layer.index_coded_bits == 5
    assert layer.table_bits == 2 * 8 + 3 * 2 + 2 * 1
    assert layer.ratio == 256 / (8 + 5 + 24)


def test_a_layer_without_zeros_stores_no_index():
    (layer,) = compress(one_layer((4, 4)), settings=Settings(8, 4)).layers
    assert (layer.density, layer.index_bits, layer.index_coded_bits, layer.entries) == (1.0, 0, 0, 16)


def test_a_layer_of_zeros_stores_nothing():
    (layer,) = compress(one_layer((2, 4)), given={"fc.weight": np.zeros((2, 4))}).layers
    assert (layer.nonzeros, layer.entries, layer.bits - layer.table_bits) == (0, 0, 0)


def test_totals_are_sums_and_every_stage_is_smaller(net, tmp_path):
    done = compress(net, profile(tmp_path, "{'*': {weight: 0.2}}"), Settings(4, 4))
    assert [layer.name for layer in done.layers] == ["conv", "fc"]
    for layer in done.layers:
        assert layer.density == pytest.approx(0.2, abs=0.002)
        assert layer.dense_bits > layer.pruned_bits > layer.shared_bits
    assert done.total("dense_bits") == 32 * (8 * 6 * 9 + 800)
    assert done.ratio == done.total("dense_bits") / sum(layer.bits for layer in done.layers)


def test_coded_sizes_respect_the_entropy_of_what_they_code(tmp_path):
    net = one_layer((40, 50))
    done = compress(net, profile(tmp_path, "{fc: {weight: 0.3}}"), Settings(3, 3))
    counts = np.unique(done.weights["fc"][done.weights["fc"] != 0], return_counts=True)[1]
    layer = done.layers[0]
    assert layer.padding_entries == 0 or layer.entries > counts.sum()
    padded = np.append(counts, layer.padding_entries)
    assert huffman.entropy_bits(padded) <= layer.coded_bits <= huffman.entropy_bits(padded) + layer.entries


def test_widths_default_to_eight_for_convolutions_and_five_for_linear_layers(net):
    assert [layer.code_bits for layer in compress(net).layers] == [8, 5]


def test_seeded_weights_are_those_of_a_run_until_they_are_pruned():
    net = one_layer((20, 30), bits=4, density=0.25, pattern="nm:4")
    done = compress(net, settings=Settings(4, 4))
    from accelsim.operands.handle import Operand

    np.testing.assert_array_equal(done.weights["fc"], Operand(net.tensors["fc.weight"]).values)
    assert done.layers[0].origin == "seeded"


def test_a_profile_says_how_to_prune(net, tmp_path):
    done = compress(net, profile(tmp_path, "{conv: {weight: 0.5 nm:4}, fc: {weight: 0.25}}"), Settings(5, 5))
    for start in (0, 4):
        assert (np.count_nonzero(done.weights["conv"][:, start : start + 4], axis=1) == 2).all()
    balanced = compress(net, profile(tmp_path, "{fc: {weight: 0.25}}"), Settings(5, 5, structure=parse("balanced:5")))
    assert [int(np.count_nonzero(balanced.weights["fc"][pe::5])) for pe in range(5)] == [40] * 5


def test_real_weights_are_scaled_to_their_width_and_none_becomes_zero():
    weights = np.array([[1e-6, -0.5, 1.0, 0.0]], dtype=np.float32)
    done = compress(one_layer((1, 4)), given={"fc.weight": weights})
    assert done.weights["fc"].tolist() == [[1, -64, 127, 0]]
    assert done.weights["fc"].dtype == np.int8


def test_integers_keep_their_scale():
    done = compress(one_layer((1, 4)), given={"fc.weight": np.array([[1, -5, 10, 0]])})
    assert done.weights["fc"].tolist() == [[1, -5, 10, 0]]


def test_unsigned_weights_use_their_whole_width():
    done = compress(one_layer((1, 3), signed=False), given={"fc.weight": np.array([[255, 0, 3]])})
    assert done.weights["fc"].tolist() == [[255, 0, 3]]


@pytest.mark.parametrize(
    ("weights", "said", "words"),
    [
        (np.array([[-1.0, 2.0]]), {"signed": False}, "'fc.weight' is unsigned but has negative weights"),
        (np.array([[np.inf, 2.0]]), {}, "'fc.weight' holds NaN or infinity"),
        (np.array([[300, 2]]), {}, "'fc.weight': values 0..300 do not fit 8 bits signed"),
        (np.array([[1.0, 2.0]]), {"bits": 1}, "'fc.weight': 1 bit holds no shared weights"),
    ],
)
def test_weights_that_cannot_be_shared_are_refused_with_their_name(weights, said, words):
    with pytest.raises(WorkloadError, match=words):
        compress(one_layer((1, 2), **said), given={"fc.weight": weights})


def test_a_network_without_filters_is_refused():
    net = build(parse_yaml("name: n\nisolated: true\nlayers:\n- {name: m, kind: matmul, m: 2, n: 2, k: 2}\n", "n.yaml"))
    with pytest.raises(WorkloadError, match="network 'n' has no layer with filters"):
        compress(net)


def test_onnx_initialisers_are_compressed(tmp_path):
    weights = np.random.default_rng(0).standard_normal((6, 4, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="body")]
    net = onnx_graphs.imported(tmp_path, nodes, {"x": (1, 4, 6, 6)}, constants=[("w", weights)])
    done = compress(net, profile(tmp_path, "{body: {weight: 0.25}}"), Settings(3, 4))
    (layer,) = done.layers
    assert (layer.origin, layer.nonzeros) == ("network", 54)
    kept = np.abs(weights) >= np.sort(np.abs(weights).ravel())[-54]
    np.testing.assert_array_equal(done.weights["body"] != 0, kept)
    np.testing.assert_array_equal(np.sign(done.weights["body"]), np.sign(weights) * kept)
    assert len(np.unique(done.weights["body"])) <= 8
    assert np.abs(done.weights["body"]).max() == 127


def test_filters_that_two_layers_share_are_compressed_once(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["y"])]
    net = onnx_graphs.imported(tmp_path, nodes, {"x": (1, 4)}, constants=[("w", np.eye(4, dtype=np.float32))])
    assert len(compress(net).layers) == 1


# ------------------------------------------------------------------------------------------------ files and command


def run(*args):
    done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_an_archive_keeps_its_bytes_and_is_read_by_run(net, tmp_path):
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    done = compress(net, profile(tmp_path, "{'*': {weight: 0.3}}"))
    for path in paths:
        save_npz(path, done.arrays())
    assert paths[0].read_bytes() == paths[1].read_bytes()
    bits = {name: 8 if tensor.bits is None else tensor.bits for name, tensor in net.tensors.items()}
    from dataclasses import replace

    wide = net.with_tensors({name: replace(t, bits=bits[name]) for name, t in net.tensors.items()})
    read = load_operands(paths[0], wide)
    np.testing.assert_array_equal(read["conv.weight"], done.weights["conv"])
    assert -32 <= read["fc.weight"].min() < 0 < read["fc.weight"].max() <= 31


def test_the_command_prints_a_table_and_writes_operands_that_run_takes(tmp_path):
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "d.csv").write_text("layer,weight_density\nconv,0.5\nfc,0.25 balanced:4\n")
    out = tmp_path / "w.npz"
    args = ("compress", tmp_path / "net.yaml", "--density", tmp_path / "d.csv", "--bits", 4, "-o", out)
    text = run(*args).output
    assert "total" in text
    assert "4 + 4" not in text  # the index has its default width
    assert "4 + 8" in text
    done = run(
        "run", "systolic_ws", tmp_path / "net.yaml", "--layers", "*c*", "--operands", out, "--check", "--format", "json"
    )
    layers = {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}
    assert layers["fc"]["checked"] is True
    assert layers["fc"]["effective_macs"] == 200
    (tmp_path / "p.yaml").write_text("layers: {conv: {weight: 8}}\n")
    more = ("--precision", tmp_path / "p.yaml", "--check", "--format", "json")
    done = run("run", "eie", tmp_path / "net.yaml", "--layers", "fc", "--operands", out, *more)
    layers = {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}
    assert layers["fc"]["checked"] is True


def test_json_and_csv_hold_the_same_layers_and_nothing_else_is_printed(tmp_path):
    (tmp_path / "net.yaml").write_text(NET)
    args = ("compress", tmp_path / "net.yaml", "-o", tmp_path / "w.npz")
    first, again = (run(*args, "--format", "json").stdout for _ in range(2))
    assert first == again
    document = json.loads(first)
    table = list(csv.DictReader(io.StringIO(run(*args, "--format", "csv").stdout)))
    assert [row["name"] for row in table] == [layer["name"] for layer in document["layers"]] == ["conv", "fc"]
    assert sum(int(row["bits"]) for row in table) == document["totals"]["bits"]
    assert document["totals"]["ratio"] == document["totals"]["dense_bits"] / document["totals"]["bits"]


def test_a_code_table_has_a_length_for_every_symbol_of_the_alphabet_whether_it_occurs_or_not():
    # 5, 0, 1, 1: lengths 1, 0, 2, 2; the longest, 2, takes two bits
    assert huffman.code_lengths(np.array([5, 0, 1, 1])).tolist() == [1, 0, 2, 2]
    assert huffman.table_bits(np.array([5, 0, 1, 1])) == 4 * 2
    # a single symbol has no code word
    assert huffman.table_bits(np.array([0, 7])) == 0


@pytest.mark.parametrize(("density", "kept"), [(0.9, [1, 2, 3]), (0.8, [0, 2, 3]), (0.1, [0, 0, 0])])
def test_pruning_keeps_the_nearest_number_of_weights(density, kept):
    # 2.7, 2.4 and 0.3 of three weights
    assert prune(np.array([1, 2, 3]), density).tolist() == kept


def test_weights_come_from_an_archive(tmp_path, net):
    weights = np.random.default_rng(5).standard_normal((20, 40))
    np.savez(tmp_path / "w.npz", **{"fc.weight": weights})
    (tmp_path / "net.yaml").write_text(NET)
    text = run("compress", tmp_path / "net.yaml", "--weights", tmp_path / "w.npz", "--format", "json").stdout
    assert [layer["origin"] for layer in json.loads(text)["layers"]] == ["seeded", "file"]
    np.testing.assert_array_equal(read_npz(tmp_path / "w.npz", net)["fc.weight"], weights)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--prune", "nm:x"), "error: --prune: pattern 'nm:x' needs a number"),
        (("--density", "d.yaml"), "d.yaml:1: nosuch: network 'small' has no such layer"),
        (("-o", "w.txt"), "error: w.txt: an archive of operands ends in .npz"),
        (("--weights", "bad.npz"), "error: bad.npz: array 'fc.weight' is (40, 20), the layer's tensor is (20, 40)"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, args, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "d.yaml").write_text("layers: {nosuch: {weight: 0.5}}\n")
    np.savez(tmp_path / "bad.npz", **{"fc.weight": np.ones((40, 20))})
    with pytest.raises(SystemExit) as stop:
        main(["compress", "./net.yaml", *args])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in said
    assert len(said.splitlines()) == 1


def test_packaged_networks_have_something_to_compress():
    net = load_network("ese_lstm")
    assert compress(net, settings=Settings(weight_bits=12)).total("elements") == net.filter_params


def test_the_example_knows_the_layers_of_its_networks_and_makes_its_table(net):
    study = runpy.run_path(str(ROOT / "examples" / "deep_compression" / "draw.py"))
    for name in study["PUBLISHED"]:
        network = load_network(name)
        entries = read_density(ROOT / "examples" / "deep_compression" / f"densities_{name}.yaml")
        filters = {layer.weights[0] for layer in network.layers}
        assert assigned(network, entries).keys() == filters
    done = compress(net, given=study["Normals"](net))
    assert {layer.origin for layer in done.layers} == {"file"}
    text = study["table"]({"alexnet": done})
    assert f"alexnet: {done.ratio:.1f}x in total (published, recalled: 35x)" in text
