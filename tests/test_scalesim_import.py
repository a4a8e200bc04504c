"""SCALE-Sim's files as networks and machines: what carries over, what is told, what must then be equal."""

import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from scalesim_agreement import ours, replicas, reports, roomy

import accelsim
from accelsim.cli.import_ import command
from accelsim.cli.replica import command as replica
from accelsim.cli.scalesim_beside import beside
from accelsim.config.scalesim.machine import machine
from accelsim.errors import ConfigError, WorkloadError
from accelsim.replicas import scalesim
from accelsim.workload.scalesim.network import load_table
from accelsim.workload.shapes import Linear
from accelsim.workload.yaml_dump import dump

DATA = Path(__file__).parent / "data" / "scalesim"
HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
PACKAGED = sorted(path.parts[-2:] for path in (DATA / "reports").glob("*/*") if "sparse" not in path.parts[-2])


@pytest.fixture
def table(tmp_path):
    def load(*lines, header=HEADER, **options):
        path = tmp_path / "net.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return load_table(path, **options)

    return load


@pytest.fixture
def configured(tmp_path):
    def load(text):
        (tmp_path / "run.cfg").write_text(text)
        config = scalesim.read_config(tmp_path / "run.cfg")
        (tmp_path / "run.yaml").write_text(machine(config).text)
        return config, accelsim.load_arch(str(tmp_path / "run.yaml")), machine(config).notes

    return load


@pytest.mark.parametrize(("topology", "config"), PACKAGED)
def test_a_run_of_the_imported_files_has_the_counts_that_scalesim_printed(topology, config, configured):
    settings, arch, _ = configured((DATA / "configs" / f"{config}.cfg").read_text())
    rows = scalesim.read_topology(DATA / f"{topology}.csv", gemm=None)
    result = accelsim.simulate(roomy(arch), str(DATA / f"{topology}.csv"))
    printed = reports(DATA / "reports" / topology / config, rows)
    assert [ours(layer, settings) for layer in result.layers] == printed


CFG = (DATA / "configs" / "ws_4x16_user.cfg").read_text()


def draw_topology(rng):
    rows = []
    for i in range(6):
        r, s, stride = rng.randint(1, 4), rng.randint(1, 4), rng.randint(1, 3)
        name = f"l{i}_DP" if rng.random() < 0.2 else f"l{i}"
        h, w = r + rng.randint(0, 9), s + rng.randint(0, 9)
        rows.append(f"{name},{h},{w},{r},{s},{rng.randint(1, 9)},{rng.randint(1, 20)},{stride},")
    return rows


def draw_config(rng):
    text = CFG.replace("Dataflow : ws", f"Dataflow : {rng.choice(['os', 'ws', 'is'])}")
    text = text.replace("ArrayHeight : 4", f"ArrayHeight : {rng.randint(2, 9)}").replace("USER", "CALC")
    text = text.replace("ArrayWidth : 16", f"ArrayWidth : {rng.randint(2, 9)}")
    for name, size in (("Ifmap", 2), ("Filter", 1), ("Ofmap", 1)):
        text = text.replace(f"{name}SramSzkB : {size}", f"{name}SramSzkB : {rng.choice([1, 2, 8, 64])}")
    return text


@pytest.mark.parametrize("seed", range(40))
def test_random_files_run_with_the_counts_of_the_replica(seed, table, configured, tmp_path):
    rng = random.Random(seed)
    network = table(*draw_topology(rng))
    config, arch, _ = configured(draw_config(rng))
    topology = scalesim.read_topology(tmp_path / "net.csv")
    expected = replicas(config, topology)
    large = accelsim.simulate(roomy(arch), network).layers
    assert [ours(layer, config) for layer in large] == expected
    # with the scratchpads of the file, every layer that fits half of each is one tile and counts the same
    small = accelsim.simulate(arch, network).layers
    dram = scalesim.run(config, topology)
    for layer, counts, row in zip(small, expected, topology.rows, strict=True):
        printed = [next(dram) for _ in range(row.channels if row.depthwise == "expanded" else 1)]
        if layer.details["tiles"] == 1:
            assert ours(layer, config) == counts
        check_dram(layer, row, config, printed)


def check_dram(layer, row, config, printed):
    """What fits half of a scratchpad on both sides crosses the DRAM once on both, word for word.

    SCALE-Sim keeps half of a scratchpad less what does not fill a hundredth; it skips pixels that no window touches.
    """
    words = {t: sum(x.bits for x in layer.traffic if x.boundary == "dram" and x.tensor == t) // 8
             for t in ("input", "weight", "output", "psum")}  # fmt: skip
    if layer.details["tiles"] > 1:
        return
    assert words["psum"] == 0
    if max(p.ports[4].words for p in printed) <= 50 * (1024 * config.filter_kib // 100):
        assert words["weight"] == sum(p.ports[4].words for p in printed)
    touched = row.stride_h <= row.filter_h and row.stride_w <= row.filter_w
    if touched and max(p.ports[3].words for p in printed) <= 50 * (1024 * config.ifmap_kib // 100):
        assert words["input"] == sum(p.ports[3].words for p in printed)
    over = sum(p.ports[5].words for p in printed) - words["output"]
    assert over >= 0  # partly filled lines that were forced out are counted as full


def test_a_table_runs_as_it_is_and_gives_what_its_import_gives(tmp_path):
    (tmp_path / "small.yaml").write_text(dump(accelsim.load_network(str(DATA / "small.csv"))))
    direct = accelsim.simulate("systolic_os_8", str(DATA / "small.csv"), check=True)
    imported = accelsim.simulate("systolic_os_8", str(tmp_path / "small.yaml"), check=True)
    assert all(layer.checked for layer in direct.layers)
    assert direct.layers == imported.layers
    assert direct.notes == imported.notes


def test_a_table_of_products_is_known_by_its_header(table):
    network = table("g, 10, 20, 30,", header="Layer, M, N, K,")
    assert network.layers[0].shape == Linear(n=10, c=30, k=20)
    assert table("g, 10, 20, 30,", header="x", gemm=True).layers == network.layers
    with pytest.raises(WorkloadError, match="needs that header, or --gemm"):
        table("g, 10, 20, 30,", header="x")


def test_a_header_in_another_order_is_told_and_read_by_position(table):
    network = table("g, 10, 20, 30,", header="Layer, M, K, N,")
    assert network.layers[0].shape == Linear(n=10, c=30, k=20)
    assert "the header calls the column of N 'k'; columns are read by position" in network.notes[0]


REAL = [
    ("resnet18", "resnet18", 0),
    # block 13 has the stride of 2 that the paper's table prints; the network has 7 x 7 outputs there, not 3 x 3
    ("mobilenet", "mobilenet_v1", (7 * 7 - 3 * 3) * 9 * 1024),
]


@pytest.mark.parametrize(("name", "packaged", "missing"), REAL)
def test_the_layers_that_rows_look_like_are_those_of_the_published_network(name, packaged, missing):
    real = load_table(DATA / f"{name}.csv", real=True)
    assert real.macs + missing == accelsim.load_network(packaged).macs
    shapes = {(s.c, s.k, s.h, s.r, s.groups, s.stride, s.e) for s in (x.shape.as_conv() for x in real.layers)}
    wanted = accelsim.load_network(packaged).layers
    known = {(s.c, s.k, s.h, s.r, s.groups, s.stride, s.e) for s in (x.shape.as_conv() for x in wanted)}
    assert len(shapes - known) == (1 if missing else 0)


def readings(network):
    heads = ("depthwise layers", "missing padding", "padding written into", "padding unclear", "strides that do not")
    return [note for note in network.notes if note.startswith(heads)]


@pytest.mark.parametrize(
    ("rows", "told", "pad", "size"),
    [
        (["a,56,56,3,3,8,8,1,", "b,56,56,1,1,8,8,1,"], "missing padding: a: 56x56, 3x3, stride 1: SCALE-Sim counts "
         "54x54 outputs, the real layer (pad 1) has 56x56 and 1.08 times the products", (1, 1, 1, 1), 56),
        (["a,58,58,3,3,8,8,1,", "b,56,56,1,1,8,8,1,"], "padding written into the sizes: a: 58x58, 3x3, stride 1: "
         "SCALE-Sim counts 56x56 outputs; looks like a 56x56 image with its padding written in: 56x56 outputs",
         (1, 1, 1, 1), 56),
        (["a,114,114,3,3,8,8,2,"], "looks like a 112x112 image", (1, 1, 1, 1), 112),
        (["a,227,227,11,11,3,96,4,"], "looks like a 224x224 image with its padding written in: 55x55",
         (1, 1, 2, 2), 224),
        (["a,230,230,7,7,3,64,2,", "b,56,56,1,1,64,8,1,"], "SCALE-Sim counts 113x113 outputs; looks like a 224x224 "
         "image with its padding written in: 112x112", (3, 3, 3, 3), 224),
        # 16 is a usual size; only the row before tells that it is 14 and its padding
        (["z,14,14,1,1,8,8,1,", "a,16,16,3,3,8,8,1,"], "looks like a 14x14 image", (1, 1, 1, 1), 14),
        (["a,224,224,11,11,3,96,4,", "b,27,27,1,1,96,8,1,"], "padding unclear: a: 224x224, 11x11, stride 4: SCALE-Sim "
         "counts 55x55 outputs; without padding 54x54, with pad 5 56x56: the file does not tell which",
         (0, 0, 3, 3), 224),
        (["a,29,29,1,1,8,8,2,", "b,15,15,1,1,8,8,1,"], None, (0, 0, 0, 0), 29),
        (["a,56,56,1,1,8,8,2,"], "a: SCALE-Sim counts 29x29 outputs, the last partly outside the image; without "
         "padding 28x28", (0, 0, 0, 0), 56),
        (["a,64,300,1,300,1,8,1,"], None, (0, 0, 0, 0), 64),
    ],
)  # fmt: skip
def test_what_a_row_does_not_say_of_padding_is_told_with_the_real_layer(rows, told, pad, size, table):
    notes = readings(table(*rows))
    assert told in notes[0] if told else notes == []
    real = next(layer for layer in table(*rows, real=True).layers if layer.name == "a")
    assert (real.shape.pad, real.shape.h) == (pad, size)


def test_the_three_depthwise_conventions_are_told_and_become_the_same_real_layer(table):
    shapes = {}
    for row in ("a_DP,14,14,3,3,16,1,1,", "a,14,14,3,3,16,1,1,", "a_dw,14,14,3,3,1,1,1,"):
        rows = ("z,14,14,1,1,8,16,1,", row, "b,14,14,1,1,16,8,1,")
        (note,) = [note for note in table(*rows).notes if note.startswith("depthwise layers")]
        shapes[note] = (table(*rows).layers[1].shape, table(*rows, real=True).layers[1].shape)
    counted, real = zip(*shapes.values(), strict=True)
    assert [(s.c, s.k, s.groups) for s in counted] == [(16, 16, 16), (16, 1, 1), (1, 1, 1)]
    assert {(s.c, s.k, s.groups, s.e) for s in real} == {(16, 16, 16, 14)}
    words = " ".join(shapes)
    for part in ("'DP' in the name", "one filter over 16 channels", "one channel of a depthwise layer of 16 channels"):
        assert part in words


def test_what_scalesim_counts_and_what_is_meant_are_both_given(table):
    notes = table("a,56,56,3,3,8,8,1,", "b,56,56,1,1,8,8,1,").notes
    assert "those that SCALE-Sim counts, 1,880,320 products; the layers named above have 2,007,040" in notes[-1]


def test_sparsity_becomes_the_density_of_the_weights(table):
    header = HEADER + " Sparsity,"
    network = table("a,5,5,1,1,8,4,1,2:4,", "b,5,5,1,1,9,4,1,1:3,", "c,5,5,3,3,6,4,1,5:8,", "d,5,5,1,1,8,4,1,9:8,",
                    header=header)  # fmt: skip
    weights = [network.tensors[f"{layer.name}.weight"] for layer in network.layers]
    assert [(w.density, w.pattern) for w in weights] == [
        (0.5, "nm:4"), (1 / 3, "nm:3"), (0.625, "bernoulli"), (1.0, "bernoulli"),
    ]  # fmt: skip
    text = " ".join(network.notes)
    assert "c: 5:8 as a density, spread evenly: 6 channels are no groups of 8" in text
    assert "d: 9:8 keeps no part of the weights; imported dense" in text
    assert "only where SparsitySupport is true" in text
    effective = [layer.effective_macs for layer in accelsim.simulate("systolic_ws_8", network, check=True).layers]
    assert effective[:2] == [network.layers[0].macs // 2, network.layers[1].macs // 3]


def test_a_batch_column_is_a_batch(table):
    rows = ("a,9,9,3,3,2,4,1,16,", "b,9,9,3,3,2,4,1,16,")
    network = table(*rows, header=HEADER + " Batch Size,")
    assert (network.batch, network.layers[0].shape.n, network.batched(32).layers[0].shape.n) == (16, 16, 32)
    mixed = table(rows[0], "b,9,9,3,3,2,4,1,1,", header=HEADER + " Batch Size,")
    assert (mixed.batch, [layer.shape.n for layer in mixed.layers]) == (1, [16, 1])


def test_rows_that_share_a_name_or_have_none_get_one(table):
    network = table("a,9,9,1,1,2,4,1,", "a,9,9,1,1,2,4,1,", ",9,9,1,1,2,4,1,", "a.2,9,9,1,1,2,4,1,")
    assert [layer.name for layer in network.layers] == ["a", "a.2", "line4", "a.2.2"]
    assert "line 3: is called 'a.2' here" in network.notes[0]


def test_line_ends_blanks_and_floats_of_real_files_are_read(tmp_path):
    text = f"\ufeff{HEADER}\r\n\r\n ,,,,\r\nTitle,\r\n\ta , 8.0,8 ,3,3,2,4,1,,,6\r\nb,8,8,3,3,2,4,1"
    (tmp_path / "net.csv").write_bytes(text.encode())
    network = load_table(tmp_path / "net.csv")
    assert [(x.name, x.shape.h, x.shape.k) for x in network.layers] == [("a", 8, 4), ("b", 8, 4)]
    said = " ".join(network.notes)
    for part in ("line 3: a row without values", "line 4: only a name", "line 5: IFMAP Height is a float",
                 "column 11 ('6') is ignored", "line 5, line 6: SCALE-Sim stops at this row"):  # fmt: skip
        assert part in said


def test_a_layer_beyond_our_dimensions_is_one_line_with_its_place(table):
    with pytest.raises(WorkloadError, match=r"net\.csv:2: a_DP: c 2147483647 is too large|k \d+ is too large"):
        table("a_DP,8,8,1,1,2147483647,2,1,")


# machines


def test_a_user_file_becomes_a_machine_of_its_sizes_and_bandwidths(configured):
    _, arch, notes = configured(CFG)
    params = arch.config["params"]
    assert (arch.name, params["rows"], params["cols"], params["dataflow"]) == ("ws_4x16_user", 4, 16, "ws")
    assert (params["input_kib"], params["weight_kib"], params["output_kib"]) == (2, 1, 1)
    assert (params["overlap_folds"], params["operand_bits"]) == (False, 8)
    assert (arch.memory.dram.gb_per_s, arch.memory.dram.latency_ns, arch.memory.dram.burst_bits) == (27, 0, 8)
    assert any("20 + 4 + 3 words per cycle" in note for note in notes)


def test_a_calc_file_never_waits_for_dram(configured):
    _, arch, notes = configured(CFG.replace("USER", "CALC"))
    (layer,) = accelsim.simulate(arch, str(DATA / "small.csv"), layers="pointwise").simulated
    assert layer.stall_cycles <= 2  # the first load and the last store take a cycle each
    assert any("CALC mode has no limit" in note for note in notes)


def test_a_v2_file_feeds_three_ports_from_one_bandwidth(configured):
    text = CFG[: CFG.index("[layout]")] + "[run_presets]\nInterfaceBandwidth: USER\n"
    _, arch, notes = configured(text)
    assert arch.memory.dram.gb_per_s == 9
    assert any("v2" in note for note in notes)


def test_every_key_of_a_file_is_imported_or_named_with_a_reason(configured):
    text = CFG.replace("[layout]", "MemoryBanks : 1\nColour : red\n\n[layout]")
    text += "\n[network_presets]\nTopologyCsvLoc : here.csv\n"
    config, _, notes = configured(text)
    said = " ".join(notes)
    imported = {"run_name", "ArrayHeight", "ArrayWidth", "Dataflow", "InterfaceBandwidth", "Bandwidth",
                "IfmapSramSzkB", "FilterSramSzkB", "OfmapSramSzkB", "IfmapSRAMBankBandwidth",
                "FilterSRAMBankBandwidth"}  # fmt: skip
    keys = {setting.key for setting in config.settings}
    assert imported < keys
    for setting in config.settings:
        named = f"{setting.key} {setting.value}" in said
        assert named is (setting.key not in imported), setting
    assert "not imported: Colour red: unknown to SCALE-Sim 3.0.0 as well" in notes


def test_the_notes_stand_at_the_top_of_the_machine_file(configured, tmp_path):
    config, _, notes = configured(CFG)
    head = machine(config).text.partition("name:")[0].replace("\n#   ", " ")
    assert head.splitlines() == [f"# {note}" for note in notes]


@pytest.mark.parametrize("name", ["\u2603 <&> '\"", "\U0001f600", "1:30", "a\x07b"])
def test_any_run_name_makes_a_file_that_loads(name, configured):
    _, arch, _ = configured(CFG.replace("run_name = ws_4x16_user", f"run_name = {name}"))
    assert arch.name


# command


def imported(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_the_command_imports_tables_and_configurations(tmp_path):
    network = imported(DATA / "resnet18.csv", "-o", tmp_path / "net.yaml")
    assert "21 layers (21 conv2d), 1.47 GMAC" in network.stdout
    assert "note: missing padding: stem: 224x224, 7x7, stride 2" in network.stderr
    real = imported(DATA / "resnet18.csv", "-o", tmp_path / "real.yaml", "--real", "--batch", 2)
    assert "3.63 GMAC" in real.stdout
    found = imported(DATA / "configs/is_32.cfg", "-o", tmp_path / "m.yaml")
    assert found.stdout.startswith(f"{tmp_path / 'm.yaml'}: 32 x 32 is, CALC mode")
    assert accelsim.simulate(str(tmp_path / "m.yaml"), str(tmp_path / "real.yaml")).cycles > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.cfg", "-o", "x.json"], "x.json: a machine file ends in .yaml; choose another name"),
        (["x.csv", "-o", "x.json"], "x.json: a network file ends in .yaml; choose another name"),
        (["x.cfg", "-o", "x.yaml", "--gemm"], "--gemm: is for SCALE-Sim's tables; give a .csv file or drop it"),
        (["x.onnx", "-o", "x.yaml", "--real"], "--real: is for SCALE-Sim's tables; give a .csv file or drop it"),
        (["x.cfg", "-o", "x.yaml", "--batch", "2"], "--batch: a configuration has no batch"),
        (["x.cfg", "-o", "x.yaml"], "x.cfg: no such file or directory"),
        (["x.csv", "-o", "x.yaml"], "no such network file: 'x.csv'"),
        (["x.csv", "-o", "x.yaml", "--gemm"], "x.csv: no such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = imported(*arguments)
    assert str(result.exception).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_banks_that_scalesim_stops_at_do_not_matter_here(tmp_path):
    (tmp_path / "banks.cfg").write_text(CFG.replace("IfmapSRAMBankBandwidth : 20", "IfmapSRAMBankBandwidth : 21"))
    with pytest.raises(ConfigError, match="over 2 banks is not whole"):
        scalesim.read_config(tmp_path / "banks.cfg")
    result = imported(tmp_path / "banks.cfg", "-o", tmp_path / "m.yaml")
    assert "DRAM of 28 GB/s: 21 + 4 + 3 words per cycle" in result.stderr


def test_an_array_larger_than_ours_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "big.cfg").write_text(CFG.replace("ArrayHeight : 4", "ArrayHeight : 8192"))
    result = imported(tmp_path / "big.cfg", "-o", tmp_path / "m.yaml")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == f"{tmp_path / 'big.cfg'}: params.rows: 8192 is too large; must be at most 4096"
    assert not (tmp_path / "m.yaml").exists()


def test_a_configuration_is_no_machine_file_and_says_how_it_becomes_one():
    with pytest.raises(ConfigError, match=r"os_32.cfg: no machine file; 'accelsim import .*os_32.cfg -o machine.yaml'"):
        accelsim.load_arch(str(DATA / "configs/os_32.cfg"))


def test_a_replica_without_folder_or_comparison_has_nothing_to_do():
    result = CliRunner().invoke(replica, ["scalesim", str(DATA / "configs/os_32.cfg"), str(DATA / "alexnet.csv")])
    assert result.exit_code == 2
    assert "give a folder with -o, or --beside, or both" in result.output


def test_figures_side_by_side_are_those_of_the_reports_and_of_a_run(tmp_path):
    config = scalesim.read_config(DATA / "configs/is_8x8_user.cfg")
    topology = scalesim.read_topology(DATA / "small.csv")
    lines = list(beside(config, topology))
    assert len(lines) == 13 * len(topology.rows)
    with (DATA / "reports/small/is_8x8_user/DETAILED_ACCESS_REPORT.csv").open() as file:
        last = file.read().splitlines()[-1].split(", ")
    found = {line.figure: line for line in lines[-13:]}
    figures = ["IFMAP scratchpad reads", "FILTER scratchpad reads", "OFMAP scratchpad writes"]
    figures += ["IFMAP words from DRAM", "FILTER words from DRAM", "OFMAP words to DRAM"]
    for column, figure in zip(range(3, 19, 3), figures, strict=True):
        assert found[figure].scalesim == int(last[column].strip(","))
    (tmp_path / "m.yaml").write_text(machine(config).text)
    layer = accelsim.simulate(str(tmp_path / "m.yaml"), str(DATA / "small.csv")).layers[-1]
    assert found["compute cycles"].accelsim == layer.compute_cycles
    assert found["cycles from first load to last store"].accelsim == layer.cycles
