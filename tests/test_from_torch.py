"""Networks straight from PyTorch, where it is installed."""

import subprocess
import sys

import pytest

import accelsim
from accelsim.errors import ConfigError


def test_without_pytorch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError) as refused:
        accelsim.from_torch(object(), ())
    assert str(refused.value) == "from_torch needs PyTorch; pip install torch onnxscript"


def test_pytorch_is_imported_only_when_it_is_asked_for():
    code = "import sys, accelsim; accelsim.from_torch; assert not {'torch', 'onnx'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def torch():
    found = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    return found


def convolutions(torch):
    """Return a module and its inputs: convolutions, a sum, a linear layer."""
    nn = torch.nn

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer1 = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
            self.layer2 = nn.Conv2d(8, 8, 1)
            self.fc = nn.Linear(8 * 6 * 6, 5)

        def forward(self, x):
            y = self.layer1(x)
            return self.fc((y + self.layer2(y)).flatten(1))

    return Small().eval(), (torch.zeros(2, 3, 6, 6),)


def perceptron(torch):
    nn = torch.nn
    return nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 4), nn.Softmax(-1)).eval(), (torch.zeros(3, 7),)


def encoder(torch):
    return torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval(), (torch.zeros(1, 5, 16),)


@pytest.mark.parametrize("make", [convolutions, perceptron, encoder])
def test_it_is_the_network_of_the_exported_file(torch, make, tmp_path):
    module, inputs = make(torch)
    torch.onnx.export(module, inputs, tmp_path / "m.onnx", dynamo=True, verbose=False)
    file = accelsim.load_network(str(tmp_path / "m.onnx"))
    network = accelsim.from_torch(module, inputs, name="m")
    assert (network.layers, network.tensors, network.batch) == (file.layers, file.tensors, file.batch)
    assert {name: network.values[name].tolist() for name in network.values} == {
        name: file.values[name].tolist() for name in file.values
    }


def test_an_exported_program_brings_its_own_inputs(torch):
    module, inputs = convolutions(torch)
    program = torch.export.export(module, inputs)
    assert accelsim.from_torch(program).layers == accelsim.from_torch(module, inputs).layers


def test_sizes_that_the_export_leaves_open_are_given_by_name(torch):
    module, inputs = perceptron(torch)
    network = accelsim.from_torch(module, inputs, {"batch": 11}, export={"dynamic_shapes": ({0: "batch"},)})
    assert network.batch == 11
    assert network.macs == 11 * (7 * 9 + 9 * 4)


def test_what_pytorch_cannot_export_is_one_line(torch):
    module, _ = perceptron(torch)
    with pytest.raises(ConfigError, match=r"^PyTorch cannot export 'Sequential' \(.*\); mend the module or inputs$"):
        accelsim.from_torch(module, (torch.zeros(3, 8),))
