"""Files and commands of the BitFusion and ANT replicas."""

import json
import subprocess
import sys

import numba
import pytest
from click.testing import CliRunner

from accelsim.cli.replica_ant2022 import command as ant_command
from accelsim.cli.replica_bitfusion2018 import command as bitfusion_command
from accelsim.errors import ConfigError, UserError
from accelsim.replicas.bitfusion2018 import ant, machine, model, networks
from accelsim.replicas.bitfusion2018.baseline import against_eyeriss
from accelsim.replicas.bitfusion2018.values import Network


class TestFiles:
    TEXT = """name: mine
source: a test
batch: 2
layers:
  - {name: a, kind: conv, kernel: 3, output_side: 8, in_channels: 4, out_channels: 8,
     weight_bits: 2, activation_bits: 4}
  - {name: b, kind: fc, in_channels: 16, out_channels: 8, weight_bits: 2, activation_bits: 4}
"""

    def load(self, folder, text):
        path = folder / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return networks.load(str(path))

    def test_a_file_of_the_same_format_runs(self, tmp_path):
        net = self.load(tmp_path, self.TEXT)
        assert [layer.name for layer in net.layers] == ["a", "b"]
        result = model.simulate(net, machine.load())
        assert result.cycles == sum(layer.cycles for layer in result.layers) > 0
        assert against_eyeriss(result) is None

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "weight_bits: 2,",
                "weight_bits: 2, kernle: 3,",
                "6: layers.0.kernle: unknown key; did you mean 'kernel'?",
            ),
            ("weight_bits: 2,", "", "5: layers.0.weight_bits: missing key; add 'weight_bits: ...'"),
            ("kernel: 3", "kernel: 0", "5: layers.0.kernel: 0 is too small; must be at least 1"),
            ("kernel: 3", "kernel: '3'", "5: layers.0.kernel: '3' is of the wrong type"),
            (
                "kind: fc,",
                "kind: fc, kernel: 3,",
                "7: layers.1: a fully connected layer with kernel 3; leave kernel out",
            ),
            ("kind: fc,", "kind: fc, im2col: true,", "7: layers.1: a fully connected layer with im2col; leave"),
            ("kind: conv,", "kind: conv, tokens: 2,", "5: layers.0: a convolution with tokens 2; leave tokens out"),
            ("name: b", "name: a", "1: two layers are called 'a'; rename one"),
            ("batch: 2", "precisions: {x: 3x4}\nbatch: 2", "3: precisions: the bit widths depend on the design"),
        ],
    )
    def test_a_mistake_in_a_file_is_one_line_with_its_place(self, tmp_path, old, new, message):
        with pytest.raises(ConfigError) as caught:
            self.load(tmp_path, self.TEXT.replace(old, new))
        assert f"mine.yaml:{message}" in str(caught.value)

    def test_runs_of_precisions_must_cover_the_layers(self, tmp_path):
        path = tmp_path / "n.yaml"
        text = self.TEXT.replace(", weight_bits: 2, activation_bits: 4", "")
        path.write_text(text + "precisions: {ant: 1x8 1x4, short: 1x8, odd: 8}\n", encoding="utf-8")
        assert [x.weight_bits for x in networks.load(str(path), precision="ant").layers] == [8, 4]
        for design, message in (("short", "1 widths for 2 layers"), ("odd", "'8' is no run"), ("no", "has no 'no'")):
            with pytest.raises(ConfigError, match=message):
                networks.load(str(path), precision=design)

    @pytest.mark.parametrize("name", ["vgg7", "bitfusion_vgg7", "VGG-7"])
    def test_a_packaged_name_may_carry_the_prefix_or_the_papers_spelling(self, name):
        assert networks.load(name).name == "vgg7"

    def test_a_network_is_a_frozen_value(self):
        net = networks.load("rnn")
        assert isinstance(net, Network)
        with pytest.raises(ValueError, match="frozen"):
            net.batch = 3


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="minutes without compiled kernels")
class TestCommands:
    def run(self, command, *arguments):
        return CliRunner().invoke(command, list(arguments), standalone_mode=False)

    def test_json_has_the_documented_shape(self):
        found = self.run(bitfusion_command, "cifar10", "--set", "dram_bits_per_cycle=192", "--format", "json")
        whole = json.loads(found.output)
        assert whole["totals"]["cycles"] == 3_293_704
        assert whole["machine"]["dram_bits_per_cycle"] == 192
        assert len(whole["layers"]) == 9
        keys = {"name", "cycles", "stall_cycles", "dram_read_bits", "dram_write_bits", "sram_bits", "energy_nj"}
        assert all(keys | {"tiling", "order"} <= set(layer) for layer in whole["layers"])
        assert sum(layer["cycles"] for layer in whole["layers"]) == whole["totals"]["cycles"]
        assert whole["eyeriss_baseline"]["speed_up"] == pytest.approx(13.406, abs=6e-4)

    def test_the_table_ends_in_the_published_comparison(self):
        output = self.run(bitfusion_command, "bitfusion_rnn").output
        assert "394,583" in output
        assert output.rstrip().endswith("2.657x faster, 5.143x less energy")

    def test_another_batch_or_a_file_is_not_compared_with_the_shipped_totals(self, tmp_path):
        assert "Eyeriss" not in self.run(bitfusion_command, "rnn", "--batch", "1").output
        path = tmp_path / "rnn.yaml"
        path.write_text((networks.BITFUSION_NETWORKS / "rnn.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        assert "Eyeriss" not in self.run(bitfusion_command, str(path)).output

    def test_mistakes_reach_the_caller_as_user_errors(self):
        for arguments in (["alexnt"], ["rnn", "--set", "rowz=3"], ["rnn", "--set", "rows"], ["no/such.yaml"]):
            assert isinstance(self.run(bitfusion_command, *arguments).exception, UserError), arguments

    def test_ant_compares_all_designs_or_details_one(self):
        table = self.run(ant_command, "resnet18").output
        assert [line.split()[0] for line in table.splitlines()[1:]] == ant.names()
        one = json.loads(self.run(ant_command, "resnet18", "--design", "ant_ws", "--format", "json").output)
        assert (one["replica"], one["machine"]["name"], len(one["layers"])) == ("ant2022", "ant_ws", 21)

    def test_help_and_loading_need_no_numba(self):
        code = (
            "import sys; import accelsim.cli.replica_bitfusion2018, accelsim.cli.replica_ant2022;"
            "from accelsim.replicas.bitfusion2018 import machine, ant, baseline; machine.load(); ant.load('ant_os');"
            "sys.exit('numba' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
