"""The forgiving readers of SCALE-Sim's files: what it reads, what it stops at, and what was odd."""

from pathlib import Path

import pytest

from accelsim.errors import ConfigError, WorkloadError
from accelsim.replicas import scalesim
from accelsim.replicas.scalesim.layer import Layer, layers
from accelsim.replicas.scalesim.sparse import prune

DATA = Path(__file__).parent / "data" / "scalesim"
HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"


@pytest.fixture
def read(tmp_path):
    def reader(*lines, header=HEADER, gemm=False):
        path = tmp_path / "net.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return scalesim.read_topology(path, gemm=gemm)

    return reader


def sizes(row):
    return (
        row.ifmap_h,
        row.ifmap_w,
        row.filter_h,
        row.filter_w,
        row.channels,
        row.filters,
        row.stride_h,
        row.stride_w,
    )


def kinds(topology):
    return [(note.kind, note.line, note.stops) for note in topology.notes]


def test_a_plain_row_is_read_without_a_note(read):
    topology = read("  conv1 , 27, 27 ,5,5, 96,256,1,")
    (row,) = topology.rows
    assert (row.name, row.line, sizes(row)) == ("conv1", 2, (27, 27, 5, 5, 96, 256, 1, 1))
    assert topology.notes == ()
    assert (row.out_h, row.out_w, row.same_out) == (23, 23, (27, 27))


def test_a_gemm_row_becomes_the_convolution_scalesim_makes_of_it(read):
    topology = read("g, 10, 20, 30,", header="Layer, M, N, K,", gemm=True)
    assert sizes(topology.rows[0]) == (10, 30, 1, 30, 1, 20, 1, 1)


def test_a_comment_after_the_last_comma_is_dropped_in_silence(read):
    topology = read("pw, 28, 28, 1, 1, 64, 64, 1,#pointwise")
    assert topology.notes == ()


@pytest.mark.parametrize(
    ("line", "kind", "stops"),
    [
        ("a,8,8,3,3,2,4,1", "not_readable", True),
        ("a,8.0,8,3,3,2,4,1,", "float", True),
        ("a\t8\t8\t3\t3\t2\t4\t1", "not_readable", True),
        ("a,8,8,3,3,2,4,1,2:4", "dropped_sparsity", False),
        ("a,8,8,3,3,2,4,1,x", "dropped_field", False),
        ("a,8,8,3,3,2,4,1,,,6,6,36", "not_readable", True),
        ("a,8,8,3,3,2,4,1,7,2:4,", "extra_column", False),
    ],
)
def test_an_odd_row_is_read_by_position_with_a_note(read, line, kind, stops):
    topology = read(line)
    assert sizes(topology.rows[0]) == (8, 8, 3, 3, 2, 4, 1, 1)
    assert (kind, 2, stops) in kinds(topology)


def test_sparsity_is_the_column_after_the_stride(read):
    assert read("a,8,8,3,3,2,4,1,2:4,").rows[0].n_of_m == (2, 4)
    assert read("a,8,8,3,3,2,4,1,").rows[0].n_of_m == (1, 1)


def test_a_sparsity_without_the_trailing_comma_is_lost_as_in_scalesim(read):
    assert read("a,8,8,3,3,2,4,1,2:4").rows[0].n_of_m == (1, 1)


def test_a_row_scalesim_stops_at_keeps_its_sparsity(read):
    assert read("a,8.0,8,3,3,2,4,1,2:4,").rows[0].n_of_m == (2, 4)


def test_a_stride_per_dimension_is_taken_where_the_header_says_so(read):
    topology = read("a,9,9,3,3,2,4,1,2,", header=HEADER.replace("Strides", "Stride height, Stride width"))
    assert sizes(topology.rows[0])[6:] == (1, 2)
    assert kinds(topology) == [("not_readable", 2, True)]


def test_a_column_called_stride_behind_another_column_is_no_stride_width(read):
    topology = read("a,9,9,3,3,2,4,1,16,2,", header=HEADER + " Batch Size, Stride note,")
    assert sizes(topology.rows[0])[6:] == (1, 1)
    assert topology.rows[0].batch == 16
    assert ("extra_column", 2, False) in kinds(topology)


def test_a_batch_column_is_kept_and_told(read):
    topology = read("a,9,9,3,3,2,4,1,16,", header=HEADER + " Batch Size,")
    assert topology.rows[0].batch == 16
    assert ("batch", 2, False) in kinds(topology)


def test_rows_without_values_and_titles_are_skipped(read):
    topology = read("", ",,,,,,,", "Alexnet,", "a,8,8,3,3,2,4,1,")
    assert [row.line for row in topology.rows] == [5]
    assert kinds(topology) == [("empty_row", 3, True), ("title", 4, True)]


def test_a_first_line_that_is_a_layer_is_lost_as_in_scalesim(read):
    topology = read("b,8,8,3,3,2,4,1,", header="a,8,8,3,3,2,4,1,")
    assert [row.name for row in topology.rows] == ["b"]
    assert kinds(topology) == [("header", 1, False)]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    (tmp_path / "net.csv").write_text(f"\ufeff{HEADER}\r\na,8,8,3,3,2,4,1,\r\n", encoding="utf-8")
    assert len(scalesim.read_topology(tmp_path / "net.csv").rows) == 1


@pytest.mark.parametrize(
    ("line", "depthwise", "count"),
    [
        ("conv_DP,8,8,3,3,5,1,1,", "expanded", 5),
        ("ADPATER,8,8,3,3,5,2,1,", "expanded", 5),
        ("conv2_dw,8,8,3,3,1,1,1,", "one_channel", 1),
        ("conv2,8,8,3,3,1,1,1,#dw", "one_channel", 1),
        ("conv2,8,8,3,3,16,1,1,", "one_filter", 1),
        ("reduce,8,8,1,1,16,1,1,", None, 1),
        ("first,8,8,3,3,1,6,1,", None, 1),
    ],
)
def test_the_depthwise_conventions_are_recognised_and_told(read, line, depthwise, count):
    topology = read(line)
    assert topology.rows[0].depthwise == depthwise
    assert [kind for kind, _, _ in kinds(topology)] == ([f"depthwise_{depthwise}"] if depthwise else [])
    assert len(list(layers(topology))) == count


def test_an_expanded_depthwise_row_is_one_channel_per_layer(read):
    assert {layer.channels for layer in layers(read("a_DP,8,8,3,3,5,2,1,"))} == {1}


def test_a_stride_that_does_not_fit_adds_a_window_partly_outside(read):
    topology = read("a,224,224,7,7,3,64,2,")
    assert (topology.rows[0].out_h, topology.rows[0].stride_fits) == (110, False)
    assert topology.notes[0].text == "the stride does not fit: 110x110 windows, the last partly outside the ifmap"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,8,8,3,3,2,B,1,", "net.csv:2: Num Filter: 'B' is not a whole number; write a whole number"),
        ("a,8,8,3,,2,4,1,", "net.csv:2: Filter Width: is blank; write a whole number"),
        ("a,8,8.5,3,3,2,4,1,", "net.csv:2: IFMAP Width: '8.5' is not a whole number; write a whole number"),
        ("a,8,8,9,3,2,4,1,", "net.csv:2: a: a 9x3 filter on a 8x8 ifmap; enlarge the ifmap by the padding"),
        ("a,8,8,3,3,2,4,0,", "net.csv:2: a: 0 is out of range; use 1 to 2147483647"),
        ("a,8,8,3,3,2,4,99999999999,", "net.csv:2: a: 99999999999 is out of range"),
        ("a,10,20,30,", "net.csv:2: 3 numbers where a convolution needs 7; give IFMAP Height, IFMAP Width"),
        ("", "net.csv: no layers; the first line is a header and is never read"),
    ],
)
def test_a_row_that_cannot_be_understood_is_one_line_with_its_place(read, line, message):
    with pytest.raises(WorkloadError) as caught:
        read(line)
    assert message in str(caught.value)


def test_a_table_of_convolutions_is_not_taken_for_gemms(read):
    with pytest.raises(WorkloadError, match="without --gemm"):
        read("a,8,8,3,3,2,4,1,", gemm=True)


def test_a_depthwise_row_of_too_many_channels_is_not_expanded(read):
    topology = read("a_DP,8,8,3,3,2000000000,1,1,")
    with pytest.raises(WorkloadError, match="2000000000 layers"):
        list(layers(topology))


def test_a_layer_beyond_64_bits_is_refused(read):
    topology = read("a,2000000000,2000000000,1,1,2000000000,2000000000,1,")
    with pytest.raises(WorkloadError, match="64 bits"):
        list(layers(topology))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80abc"])
def test_a_binary_file_is_refused(tmp_path, content):
    (tmp_path / "net.csv").write_bytes(content)
    with pytest.raises(WorkloadError, match="not a text file"):
        scalesim.read_topology(tmp_path / "net.csv")
    with pytest.raises(ConfigError, match="not a text file"):
        scalesim.read_config(tmp_path / "net.csv")


CONFIG = (DATA / "configs" / "ws_4x16_user.cfg").read_text()


@pytest.fixture
def configure(tmp_path):
    def reader(text):
        (tmp_path / "run.cfg").write_text(text)
        return scalesim.read_config(tmp_path / "run.cfg")

    return reader


def test_a_configuration_is_read_whole(configure):
    config = configure(CONFIG)
    assert (config.rows, config.cols, config.dataflow, config.user_bandwidth) == (4, 16, "ws", True)
    assert (config.ifmap_kib, config.filter_kib, config.ofmap_kib) == (2, 1, 1)
    words = (config.ifmap_words_per_cycle, config.filter_words_per_cycle, config.ofmap_words_per_cycle)
    assert words == (20, 4, 3)
    assert config.sparsity is None


def test_keys_are_read_whatever_their_case(configure):
    assert configure(CONFIG.replace("ArrayHeight", "ARRAYheight")).rows == 4


def test_the_first_bandwidth_feeds_the_ofmap_and_nothing_else(configure):
    config = configure(CONFIG.replace("Bandwidth : 3", "Bandwidth : 7, 8, 9"))
    assert (config.ofmap_words_per_cycle, config.ifmap_words_per_cycle) == (7, 20)
    assert [note.kind for note in config.notes] == ["bandwidth"]


def test_a_v2_file_gets_the_defaults_of_v3_and_a_note(configure):
    config = configure(CONFIG[: CONFIG.index("[layout]")] + "[run_presets]\nInterfaceBandwidth: CALC\n")
    assert (config.ifmap_words_per_cycle, config.ifmap_banks, config.user_bandwidth) == (10, 10, False)
    (note,) = config.notes
    assert (note.kind, note.stops) == ("v2", True)


def test_an_unknown_dataflow_runs_os_as_in_scalesim(configure):
    config = configure(CONFIG.replace("Dataflow : ws", "Dataflow : WS"))
    assert config.dataflow == "os"
    assert "dataflow" in [note.kind for note in config.notes]


def test_keys_that_scalesim_does_not_read_are_told(configure):
    config = configure(CONFIG.replace("Dataflow : ws", "Dataflow : ws\nMemoryBanks: 1"))
    texts = [str(note) for note in config.notes if note.kind == "unread"]
    assert len(texts) == 1
    assert texts[0].endswith("run.cfg:15: [architecture_presets] memorybanks is not read by SCALE-Sim")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("ArrayHeight : 4", "ArrayHeight : four"),
            "run.cfg:5: architecture_presets.ArrayHeight: 'four' is not a",
        ),
        (("ArrayHeight : 4", ""), "run.cfg: architecture_presets.ArrayHeight: missing; add 'ArrayHeight' to"),
        (("ArrayHeight : 4", "ArrayHeight : 0"), "ArrayHeight: '0' is out of range; use 1 to 65536"),
        (("IfmapOffset : 0", "IfmapOffset : -1"), "IfmapOffset: '-1' is out of range; use 0 to 2147483647"),
        (
            ("InterfaceBandwidth : USER", "InterfaceBandwidth : user"),
            "'user' is not a mode; write USER or CALC",
        ),
        (("IfmapSRAMBankBandwidth : 20", "IfmapSRAMBankBandwidth : 21"), "21 words per cycle over 2 banks"),
        (
            ("IfmapCustomLayout : False", "IfmapCustomLayout : perhaps"),
            "layout.IfmapCustomLayout: is neither true nor",
        ),
        (("[general]", "general"), "not an INI file as SCALE-Sim reads it"),
        (("Dataflow : ws", "Dataflow : ws\nDataflow : os"), "not an INI file as SCALE-Sim reads it"),
        (("run_name = ws_4x16_user", "run_name = %(x)s"), "general.run_name: cannot be interpolated"),
        (
            ("SparsitySupport : false\nSparseRep : csr", "SparsitySupport : true\nSparseRep : coo"),
            "'coo' is unknown",
        ),
        (("Bandwidth : 3", "Bandwidth : fast"), "Bandwidth: 'fast' is not a list of whole numbers"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_one_line(configure, change, message):
    assert change[0] in CONFIG
    with pytest.raises(ConfigError) as caught:
        configure(CONFIG.replace(*change, 1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_with_filter_offset_zero_the_first_weight_counts_as_a_zero(configure):
    text = CONFIG.replace("SparsitySupport : false", "SparsitySupport : true")
    config = configure(text.replace("FilterOffset : 10000000", "FilterOffset : 0"))
    pruned = prune(config, Layer(4, 4, 1, 1, 8, 2, 1, 1, n_of_m=(3, 4)))
    assert pruned.table.T.tolist() == [[1, 2, 0, 4, 5, 6], [8, 9, 10, 12, 13, 14]]
