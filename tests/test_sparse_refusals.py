"""What a sparse machine cannot run or take is refused in one line that names the layer and the reason."""

import numpy as np
import pytest

import accelsim
from accelsim.cli import main
from accelsim.errors import ConfigError, WorkloadError

CONV = "{name: layer, kind: conv2d, c: 32, k: 8, h: 6, w: 6, r: 3, s: 3}"
FC = "{name: layer, kind: linear, c: 32, k: 8}"
POOL = "{name: layer, kind: pool, op: max, n: 1, c: 4, h: 6, w: 6, r: 2, s: 2}"
MATMUL = "{name: layer, kind: matmul, batch: 1, m: 4, n: 4, k: 4}"


def network(folder, layer):
    path = folder / "net.yaml"
    path.write_text(f"name: net\nsource: made up\nisolated: true\nlayers:\n  - {layer}\n")
    return accelsim.load_network(str(path))


def status(*words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return stopped.value.code


@pytest.mark.parametrize(
    ("machine", "layer", "reason"),
    [
        ("eie", CONV, "EIE multiplies a matrix by vectors: it has no conv2d unit"),
        ("ese", CONV, "it has no conv2d unit"),
        ("scnn", FC, "SCNN runs convolutions, not linear layers"),
        ("dcnn", FC, "DCNN runs convolutions, not linear layers"),
        ("snapea", FC, "SnaPEA runs convolutions with a ReLU, not linear layers"),
        ("cnvlutin", POOL, "neuron lanes have no pool unit"),
        ("cambricon_x", MATMUL, "the PEs hold synapses, which a matmul layer does not have"),
        ("cambricon_x", POOL, "which a pool layer does not have"),
        ("diannao", POOL, "it has no pool unit"),
        ("nullhop", CONV.replace("r: 3", "r: 6").replace("h: 6", "h: 20").replace("r: 6", "r: 9"), "exceeds 7 x 7"),
        ("nullhop", FC, "linear"),
    ],
)
def test_a_layer_that_an_engine_cannot_run_is_named_with_the_reason(tmp_path, machine, layer, reason):
    net = network(tmp_path, layer)
    with pytest.raises(WorkloadError, match=r"layer 'layer' cannot run: ") as refused:
        accelsim.simulate(machine, net, unsupported="error")
    assert reason in refused.value.problem
    skipped = accelsim.simulate(machine, net).layers[0]
    assert not skipped.simulated
    assert reason in skipped.reason


def test_the_command_names_the_reason_of_the_selected_layer(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status("run", "scnn", "alexnet", "--layers", "fc6") == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "error: no layer of 'alexnet' ran on 'scnn': layer 'fc6': SCNN runs convolutions, not linear layers"
    )
    assert not list(tmp_path.iterdir())


MACHINES = [("eie", FC), ("scnn", CONV), ("dcnn_opt", CONV), ("cnvlutin", CONV), ("cambricon_x", FC), ("diannao", FC),
            ("nullhop", CONV), ("snapea", CONV)]  # fmt: skip


@pytest.mark.parametrize(("machine", "layer"), MACHINES)
def test_operands_of_the_wrong_shape_or_width_are_refused_with_the_layers_name(tmp_path, machine, layer):
    net = network(tmp_path, layer)
    shape = net.tensors["layer.weight"].shape
    for values, words in (
        (
            np.ones((*shape[:-1], shape[-1] + 1), int),
            r"w\.npz: array 'layer.weight' is \(8, .* tensor is \(8, 32",
        ),
        (np.full(shape, 1 << 17), r"tensor 'layer.weight': values \S+ do not fit"),
    ):
        np.savez(tmp_path / "w.npz", **{"layer.weight": values})
        with pytest.raises(WorkloadError, match=words):
            accelsim.simulate(machine, net, operands=tmp_path / "w.npz")


@pytest.mark.parametrize(("machine", "layer"), MACHINES)
@pytest.mark.parametrize("density", [-0.01, 1.01, ".nan"])
def test_a_density_outside_0_to_1_is_refused_with_the_layers_name(tmp_path, machine, layer, density):
    net = network(tmp_path, layer)
    profile = tmp_path / "d.yaml"
    profile.write_text(f"layers:\n  layer: {{weight: {density}}}\n")
    with pytest.raises(ConfigError, match=r"d\.yaml:2: layers\.layer\.weight: "):
        accelsim.simulate(machine, net, density=profile)


@pytest.mark.parametrize(("machine", "layer"), MACHINES)
def test_operands_wider_than_the_machine_are_named(tmp_path, machine, layer):
    precision = tmp_path / "p.yaml"
    precision.write_text("layers:\n  layer: {input: 17}\n")
    result = accelsim.simulate(machine, network(tmp_path, layer), precision=precision)
    assert result.layers[0].reason == "'layer.input' has 17 bits, the multipliers take 16"


def test_codes_outside_the_codebook_are_refused_with_the_layers_name(tmp_path):
    net = network(tmp_path, FC)
    np.savez(tmp_path / "w.npz", **{"layer.weight": np.arange(256).reshape(8, 32) % 17})
    (tmp_path / "p.yaml").write_text("layers:\n  layer: {weight: 16}\n")
    said = r"layer 'layer': its weights take 16 non-zero values, a codebook of 4 bits holds 15"
    with pytest.raises(WorkloadError, match=said):
        accelsim.simulate("eie", net, operands=tmp_path / "w.npz", precision=tmp_path / "p.yaml")


def test_a_run_that_is_refused_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "w.npz", **{"fc8.weight": np.ones((1000, 4095), int)})
    assert status("run", "eie", "alexnet", "--layers", "fc8", "--operands", "w.npz", "-o", "out") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]
