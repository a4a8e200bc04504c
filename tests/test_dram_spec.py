"""A DRAM device in a machine file: what it stands for, what stands aside, what is refused."""

import json

import pytest

import accelsim
from accelsim.cli import main
from accelsim.config.arch import parse_set
from accelsim.errors import ConfigError
from accelsim.layer import machine_view
from accelsim.simulation import load_arch

DEVICE = "memory.dram.device"


def with_device(tmp_path, more="", base="systolic_ws"):
    path = tmp_path / "m.yaml"
    path.write_text(f"base: {base}\nmemory:\n  dram: {{device: ddr4-2400, channels: 2{more}}}\n")
    return str(path)


def test_a_device_stands_for_its_own_peak_latency_and_transaction(tmp_path):
    dram = load_arch(with_device(tmp_path)).memory.dram
    assert (dram.standard, dram.burst_bits, dram.capacity_gib) == ("ddr4", 512, 16.0)
    assert dram.gb_per_s == pytest.approx(2 * 64 / (4 * 0.833))
    assert dram.latency_ns == pytest.approx((16 + 16) * 0.833)
    model = machine_view(load_arch(with_device(tmp_path))).dram
    assert model.bits_per_cycle == 2 * 512 * 10**6 / load_arch("systolic_ws").clocks_mhz["core"] / (4 * 833)


def test_none_returns_to_the_simple_model_whose_values_stood_aside(tmp_path):
    plain = load_arch("systolic_ws")
    for arch in (
        load_arch(with_device(tmp_path), [(DEVICE, "none")]),
        load_arch("systolic_ws", [(DEVICE, "ddr4-2400")]).replace(DEVICE, "none"),
        load_arch(with_device(tmp_path), [(DEVICE, None)]),
        load_arch(with_device(tmp_path)).replace(DEVICE, "hbm2-2000").replace(DEVICE, "none"),
    ):
        assert arch.config["memory"] == plain.config["memory"]
        assert arch.memory == plain.memory
    aside = load_arch(with_device(tmp_path)).config["memory"]["dram"]["simple"]
    assert aside["gb_per_s"] == plain.memory.dram.gb_per_s


@pytest.mark.parametrize("base", ["systolic_ws", "eyeriss"])
def test_the_sources_of_values_go_where_the_values_go(tmp_path, base):
    whole = load_arch(base).config["sources"]
    before = {key: text for key, text in whole.items() if key.startswith("memory.dram")}
    aside = load_arch(with_device(tmp_path, base=base)).config["sources"]
    assert before
    for key, text in before.items():
        assert aside[key.replace("memory.dram", "memory.dram.simple")] == text
        assert key not in aside
    back = load_arch(with_device(tmp_path, base=base), [(DEVICE, "none")]).config["sources"]
    assert {key: text for key, text in back.items() if key in before} == before


def test_a_device_without_a_base_returns_to_its_own_values(tmp_path):
    text = (accelsim.config.packaged.folder("arch_configs") / "systolic_ws.yaml").read_text()
    whole = load_arch("systolic_ws").config | {"sources": {}}
    whole["memory"] = {"dram": {"device": "ddr4-2400"}}
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps(whole))
    assert text
    arch = load_arch(str(path), [(DEVICE, "none")])
    assert arch.memory.dram.device is None
    assert arch.memory.dram.gb_per_s == pytest.approx(64 / (4 * 0.833))


def test_a_resolved_configuration_is_a_machine_file(tmp_path):
    arch = load_arch(with_device(tmp_path))
    path = tmp_path / "again.yaml"
    path.write_text(json.dumps(arch.config))
    assert load_arch(str(path)).memory == arch.memory
    assert load_arch(str(path), [(DEVICE, "hbm2-2000")]).memory.dram.standard == "hbm2"
    assert load_arch(str(path), [(DEVICE, "none")]).memory == load_arch("systolic_ws").memory


@pytest.mark.parametrize(
    ("sets", "key", "words"),
    [
        ([(DEVICE, "ddr4-240")], "device", "no DRAM standard is called 'ddr4-240'; did you mean 'ddr4-2400'?"),
        ([("memory.dram.gb_per_s", 10)], "gb_per_s",
         "is the device's own: 2 x ddr4-2400 has gb_per_s 38.4154, latency_ns 26.656, burst_bits 512; drop 'gb_per_s'"),
        ([("memory.dram.latency_ns", 10)], "latency_ns", "is the device's own"),
        ([("memory.dram.burst_bits", 64)], "burst_bits", "is the device's own"),
        ([("memory.dram.channels", 3)], "channels", "3 channels: addresses have whole bits; give a power of two"),
        ([("memory.dram.channels", 0)], "channels", "0 channels: addresses have whole bits"),
        ([("memory.dram.channels", "two")], "channels", "'two' is of the wrong type"),
        ([("memory.dram.mapping", "RoBaRaCh")], "mapping", "does not cover the address: 7 of 7 bits of Co are missing"),
        ([("memory.dram.mapping", "RoBaRaCoXx")], "mapping", "no address mapping is called"),
        ([("memory.dram.page", "half")], "page", "'half' is not a known value"),
        ([("memory.dram.queue", 0)], "queue", "0 is too small"),
        ([("memory.dram.capacity_gib", 17)], "capacity_gib", "17 GiB are more than the 16 of 2 x ddr4-2400"),
        ([(DEVICE, 4)], "device", "4 is no name of a DRAM standard"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_at_its_key(tmp_path, sets, key, words):
    with pytest.raises(ConfigError) as caught:
        load_arch(with_device(tmp_path), sets)
    assert caught.value.key == f"memory.dram.{key}"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_written_beside_a_device_are_refused_with_file_and_line(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_arch(with_device(tmp_path, ", gb_per_s: 5"))
    assert str(caught.value).startswith(f"{tmp_path}/m.yaml:3: memory.dram.gb_per_s: is the device's own")


def test_channels_without_a_device_are_refused():
    with pytest.raises(ConfigError, match="'channels' is a DRAM device's, and there is none; add 'device'"):
        load_arch("systolic_ws", [("memory.dram.channels", 2)])


@pytest.mark.parametrize("device", [[f"{DEVICE}=ddr4-2400"], []])
def test_a_network_beyond_the_capacity_is_one_line_and_exit_2(capsys, device):
    asked = [word for text in (*device, "memory.dram.capacity_gib=0.01") for word in ("--set", text)]
    with pytest.raises(SystemExit) as ended:
        main(["run", "systolic_ws", "alexnet", "--format", "json", *asked])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("error: memory.dram.capacity_gib: the tensors of 'alexnet' take 0.05")
    assert said.err.count("\n") == 1


def test_the_schema_asks_for_the_simple_values_or_a_device():
    from accelsim.config.schema import DramSpec

    schema = DramSpec.model_json_schema()
    assert schema["anyOf"] == [{"required": ["standard", "gb_per_s"]}, {"required": ["device"]}]
    assert "required" not in schema


def test_the_simple_configuration_shows_nothing_of_devices():
    assert set(load_arch("systolic_ws").config["memory"]["dram"]) == {
        "standard", "gb_per_s", "latency_ns", "burst_bits"
    }  # fmt: skip
    assert parse_set(f"{DEVICE}=none") == (DEVICE, "none")
