"""The figures in every cell of every report, against a run whose numbers are typed in and worked out by hand."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console
from typed_result import BLOCK, CONV1, CONV2, POOL, sparse_result, typed_result

from accelsim.passes.compress import CompressedLayer, Compression
from accelsim.report import compression, facts, points, run_page, series, sweep_page, words
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.rows import to_csv
from accelsim.report.table import ResultView
from accelsim.results import TrafficRow, UnitAccount

TIE = "\N{NO-BREAK SPACE}"


def printed(result, width=160):
    out = io.StringIO()
    Console(file=out, width=width).print(ResultView(result))
    return out.getvalue()


def line_of(text, name):
    """Return the words of the line that begins with a layer's name; bars hold no blanks."""
    return next(line.split() for line in text.splitlines() if line.startswith(f"{name} "))


# --- the terminal


def test_the_terminals_table_shows_each_layers_figures():
    text = printed(typed_result())
    heads = [line.split() for line in text.splitlines() if "cycles" in line and "energy" in line]
    assert heads[0][-2:] == ["energy", "bound"]
    # MACs, cycles, share of time, occupancy, bar, stalls, MB read and written, uJ
    rows = {name: line_of(text, name) for name in ("conv1", "conv2", "pool", "block.1")}
    bars = {name: next(i for i, cell in enumerate(row) if "█" in cell) for name, row in rows.items()}
    before = {name: row[1 : bars[name]] for name, row in rows.items()}
    after = {name: row[bars[name] + 1 :] for name, row in rows.items()}
    assert before == {
        "conv1": ["conv2d", "600", "k", "100,000", "20", "60"],
        "conv2": ["conv2d", "1", "M", "300,000", "60", "33"],
        "pool": ["pool", "50,000", "10", "50"],
        "block.1": ["conv2d", "200", "k", "25,000", "5.0", "40"],
    }
    assert after == {
        "conv1": ["20", "0.200", "0.050", "2.20", "compute"],
        "conv2": ["60", "1.00", "0.200", "10.0", "DRAM", "stall"],
        "pool": ["0", "0.100", "0.010", "1.00", "compute"],
        "block.1": ["0", "0.030", "0.010", "0.400", "imbalance"],
    }


def test_the_terminals_total_sums_the_layers():
    # stalls: 200,000 of 500,000 cycles; occupancy: 60 % of a fifth of the time, 1/3 of 60 %,
    # 50 % of 10 %, 40 % of 10 %
    total = next(line for line in printed(typed_result()).splitlines() if line.startswith("PARTIAL total"))
    assert total.split()[2:] == ["2", "M", "500,000", "41", "40", "1.36", "0.280", "14.0"]


# --- sentences of the totals


def test_the_totals_name_every_sum():
    assert dict(words.totals(typed_result())) == {
        "time": "500,000 cycles = 2.5 ms at 200 MHz",
        # 4,000,000 operations in 2.5 ms; for 14 uJ
        "rate": "2 M MACs; 0.0016 TOPS; 0.286 TOPS/W",
        "MACs": "2 M dense: 1.85 M with a non-zero weight, 1.7 M with a non-zero input, 1.58 M with both, "
        "1.95 M performed",
        # 1.2 + 1.8 Mbit of values, 0.4 + 0.6 Mbit of index, for 16 Mbit
        "stored": "weights 0.5 MB (25 % index) for 2.00 MB",
        # cycles: memory 20,000 + 180,000; busy 50,000 + 100,000 + 25,000 + 2 x 10,000; imbalance 2 x 15,000;
        # padding 25,000; outside 20,000; ramps 20,000; zeros 10,000
        "spent on": "DRAM stall 40 %, busy 39 %, imbalance 6.0 %, padding 5.0 %, outside the tile 4.0 %, "
        "fill and drain 4.0 %, busy on a zero 2.0 %",
        # busy and busy on a zero, as above
        "units": "occupancy 41 %, utilisation 39 %",
        "DRAM": "read 1.36 MB, write 0.28 MB",
        # 13,080,000 of DRAM, 500,000 of the multipliers, 300,000 of the buffer, 120,000 of the lanes
        "energy": "14 uJ: dram 93 %, macs 3.6 %, glb.inputs 2.1 %, lanes 0.9 % (priced by 45nm)",
        # 14 uJ in 2.5 ms; the dearest layer by its own time
        "power": "mean 5.6 mW, peak over 1.00 us 6.667 mW (each layer at its mean)",
        # 14 uJ x 2.5 ms
        "EDP": "35 nJ s",
        # 2,000,000 of 2,500,000 MACs; 11,900,000 of 15,000,000 bits
        "coverage": "80 % of MACs, 5 of 6 layers, 79 % of the tensor bits in DRAM",
        "area": "0.75 mm2",
    }


def test_rates_of_sparse_products_count_their_multiplications():
    # 80,000 operations in 10 us, for 1.6 uJ
    found = dict(words.totals(sparse_result()))
    assert found["rate"] == "40 k multiplications; 8.00 GFLOP/s; 50.0 GFLOP/s/W (dense: 1 M MACs)"
    assert line_of(printed(sparse_result()), "product")[2:5] == ["40", "k", "10,000"]


@pytest.mark.parametrize(
    ("causes", "bound"),
    [
        ({"busy": 30, "zero": 20, "fill_drain": 40, "padding": 10}, "compute"),  # half is useful
        ({"busy": 20, "zero": 10, "fill_drain": 31, "padding": 39}, "padding"),
        ({"busy": 20, "zero": 60, "fill_drain": 20}, "compute"),  # a zero is no cause to mend
        ({"busy": 50, "fill_drain": 50}, "compute"),
    ],
)
def test_a_layer_is_bound_by_its_largest_loss_if_that_is_more_than_its_useful_work(causes, bound):
    layer = replace(CONV1, stall_cycles=0, accounts={"pes": UnitAccount(1, causes)})
    assert layer.bound_by == bound


def test_bits_across_a_boundary_are_those_of_all_its_buffers():
    rows = [("glb", "input", "read", 1), ("glb.weights", "weight", "read", 20), ("glb.inputs", "input", "write", 300),
            ("glbs", "input", "read", 4000), ("dram", "input", "read", 50_000)]  # fmt: skip
    layer = replace(CONV1, traffic=tuple(TrafficRow(*row) for row in rows))
    assert layer.bits_across("glb") == 321
    assert layer.bits_across("glb", "read") == 21
    assert layer.bits_across("glb.weights") == 20
    assert layer.bits_across("dram", "write") == 0


def test_checked_values_are_counted_over_the_layers_that_ran():
    result = typed_result()
    checked = replace(result, layers=(replace(CONV1, checked=True), replace(CONV2, checked=True), *result.layers[2:]))
    assert dict(words.totals(checked))["values"] == "equal to the reference in 2 of 5 layers"


def test_the_worst_layers_are_ranked_by_what_all_that_are_alike_lose():
    # conv2 loses 2,000,000 / 10 cycles, conv1 400,000 / 10, the two blocks 150,000 / 10 each, pool 100,000 / 4
    lost = [facts.lost_cycles(layer) for layer in (CONV1, CONV2, POOL, BLOCK)]
    assert lost == [40_000, 200_000, 25_000, 15_000]
    groups = [[layer.name for layer in group] for group in facts.worst_layers(typed_result())]
    assert groups == [["conv2"], ["conv1"], ["block.0", "block.1"]]


def test_many_small_losses_count_together_before_they_are_found_negligible():
    # a single layer that loses 4,000 of 500,000 cycles is not worth a word; two that are alike are
    account = {"pes": UnitAccount(10, {"busy": 210_000, "imbalance": 40_000})}
    small = [replace(BLOCK, name=name, accounts=account) for name in ("a", "b")]
    result = replace(typed_result(), layers=(CONV1, CONV2, POOL, *small))
    assert [x.name for x in facts.worst_layers(result, 4)[-1]] == ["a", "b"]
    assert "a" not in {x.name for group in facts.worst_layers(replace(result, layers=(CONV1, CONV2, POOL, small[0])))
                       for x in group}  # fmt: skip


def test_layers_with_other_accounts_are_not_alike():
    other = replace(BLOCK, name="block.1", accounts={"pes": UnitAccount(10, {"busy": 90_000, "imbalance": 160_000})})
    result = replace(typed_result(), layers=(CONV1, CONV2, POOL, BLOCK, other))
    assert [[x.name for x in group] for group in facts.worst_layers(result, 5)][-2:] == [["block.1"], ["block.0"]]


def test_a_sentence_weighs_all_layers_that_are_alike_and_says_what_dram_alone_takes():
    result = typed_result()
    conv2, conv1, blocks = (words.why(result, group) for group in facts.worst_layers(result))
    assert conv2.startswith(
        "conv2 (60 % of all cycles): its DRAM traffic alone takes 97 % of its cycles; 80.0 bits/cycle"
    )
    assert conv2.endswith("the machine has 32.0")
    assert conv1.startswith("conv1 (20 % of all cycles): 20 % of its ")
    assert blocks.startswith(
        "block.0 and 1 alike (10 % of all cycles): 60 % of their pe-cycles wait for the slowest peer"
    )


def test_roofs_and_intensities_come_from_the_account_and_the_traffic():
    # conv1: 6 MACs per cycle while 60 % of its units work; 600,000 MACs for 250,000 bytes; 0.8 GB/s at 200 MHz
    result = typed_result()
    assert facts.compute_roof(CONV1) == pytest.approx(10)
    assert facts.intensity(CONV1) == pytest.approx(2.4)
    assert facts.dram_bits_per_cycle(result) == pytest.approx(32)
    assert facts.share(CONV2, "memory") == pytest.approx(0.6)
    found = {point.label: point for point in series.points(result)}
    assert set(found) == {"conv1", "conv2", "block.0 +1"}
    conv1, blocks = found["conv1"], found["block.0 +1"]
    assert (conv1.rate, conv1.cycles, conv1.lost_cycles, conv1.bound_by) == (6.0, 100_000, 40_000, "compute")
    assert (blocks.rate, blocks.cycles, blocks.lost_cycles, blocks.layers) == (8.0, 50_000, 30_000, 2)
    assert blocks.intensity == pytest.approx(5.0)


# --- files


def test_markdown_shows_each_layers_figures():
    text = to_markdown(typed_result())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head = next(row for row in rows if row[0] == "layer")
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows if len(row) == len(head)}
    shown = ("MACs", "cycles", "occupancy", "stalls", "DRAM read MB", "DRAM write MB", "energy uJ", "bound by")
    assert {name: tuple(found[name][key] for key in shown) for name in ("conv1", "conv2", "pool", "block.1")} == {
        "conv1": ("600,000", "100,000", "60 %", "20 %", "0.2", "0.05", "2.20", "compute"),
        "conv2": ("1,000,000", "300,000", "33 %", "60 %", "1.00", "0.2", "10.0", "DRAM stall"),
        "pool": ("0", "50,000", "50 %", "0 %", "0.1", "0.01", "1.00", "compute"),
        "block.1": ("200,000", "25,000", "40 %", "0 %", "0.03", "0.01", "0.4", "imbalance"),
    }


def test_markdown_counts_the_layers_behind_each_reason():
    softmax = typed_result().layers[-1]
    layers = (CONV1, softmax, replace(softmax, name="softmax2"), replace(softmax, name="lrn", reason="too wide"))
    lines = to_markdown(replace(typed_result(), layers=layers)).splitlines()
    assert "| no unit runs softmax layers | 2 | softmax, softmax2 |" in lines
    assert "| too wide | 1 | lrn |" in lines


def test_csv_holds_each_layers_figures():
    conv1, conv2, pool = list(csv.DictReader(io.StringIO(to_csv(typed_result()))))[:3]
    whole = {
        "macs": "600000", "nonzero_weight_macs": "550000", "nonzero_input_macs": "520000", "effective_macs": "480000",
        "performed_macs": "590000", "start_cycle": "0", "cycles": "100000", "compute_cycles": "80000",
        "stall_cycles": "20000", "dram_read_bits": "1600000", "dram_write_bits": "400000",
        "stored_weight_value_bits": "1200000", "stored_weight_index_bits": "400000", "stored_input_value_bits": "",
        "bound_by": "compute",
    }  # fmt: skip
    assert {key: conv1[key] for key in whole} == whole
    parts = {
        "occupancy": 0.6, "utilization": 0.5, "mapping_efficiency": 0.8, "total_energy_pj": 2_200_000,
        "needed_dram_bits_per_cycle": 40, "share_busy": 0.5, "share_zero": 0.1, "share_unmapped": 0.2,
        "share_memory": 0.2, "share_padding": 0, "energy_macs_pj": 150_000, "energy_glb.inputs_pj": 50_000,
        "energy_dram_pj": 2_000_000, "energy_lanes_pj": 0,
    }  # fmt: skip
    assert {key: float(conv1[key]) for key in parts} == pytest.approx(parts)
    assert (conv2["start_cycle"], conv2["bound_by"], conv2["share_memory"]) == ("100000", "memory", "0.6")
    assert (pool["share_padding"], pool["energy_lanes_pj"], pool["macs"]) == ("0.5", "120000.0", "0")


def test_json_holds_each_layers_figures_and_their_sums():
    report = json.loads(to_json(typed_result()))
    conv1 = report["layers"][0]
    figures = {
        "macs": 600_000, "nonzero_weight_macs": 550_000, "nonzero_input_macs": 520_000, "effective_macs": 480_000,
        "performed_macs": 590_000, "cycles": 100_000, "compute_cycles": 80_000, "stall_cycles": 20_000,
        "dram_cycles": 62_500, "occupancy": 0.6, "utilization": 0.5, "mapping_efficiency": 0.8,
        "dram_read_bits": 1_600_000, "dram_write_bits": 400_000, "dram_bits_touched": 1_500_000,
        "total_energy_pj": 2_200_000, "bound_by": "compute",
        "buffers": {"glb.inputs": {"capacity_bits": 8192, "peak_bits": 2048}},
        "stored": {"weight": {"dense_bits": 8_000_000, "value_bits": 1_200_000, "index_bits": 400_000}},
    }  # fmt: skip
    assert {key: conv1[key] for key in figures} == figures
    assert report["layers"][1]["start_cycle"] == 100_000
    totals = {
        "cycles": 500_000, "time_s": 2.5e-3, "macs": 2_000_000, "nonzero_weight_macs": 1_850_000,
        "nonzero_input_macs": 1_700_000, "effective_macs": 1_580_000, "performed_macs": 1_950_000,
        "total_energy_pj": 14e6, "edp_pj_s": 35_000, "dram_read_bits": 10_880_000, "dram_write_bits": 2_240_000,
        "occupancy": 0.41, "utilization": 0.39, "tops": 1.6e-3, "tops_per_w": 4 / 14,
        "effective_tops": 1.264e-3, "effective_tops_per_w": 3.16 / 14, "area_mm2": 0.75,
    }  # fmt: skip
    assert {key: report["totals"][key] for key in totals} == pytest.approx(totals)
    assert report["totals"]["energy_pj"] == {
        "macs": 500_000, "glb.inputs": 300_000, "dram": 13_080_000, "lanes": 120_000
    }  # fmt: skip
    assert report["totals"]["coverage"] == pytest.approx({"macs": 0.8, "layers": 5 / 6, "dram_bits": 119 / 150})
    assert report["totals"]["stored"]["weight"] == {
        "dense_bits": 16_000_000, "value_bits": 3_000_000, "index_bits": 1_000_000
    }  # fmt: skip


# --- the page


def cells(text, layer):
    """Return head -> text of a layer's row of the page; of bars, their length and what their parts say."""
    page = re.search(r'<table class="wide" id="layers">(.*?)</thead>(.*)', text, re.DOTALL)
    heads = re.findall(r"<th scope=\"col\"[^>]*>(?:<button[^>]*>)?([^<]*)", page[1])
    row = next(r for r in page[2].split("<tbody id=")[1:] if f">{layer}</button>" in r).split("</tr>")[0]
    found = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
    return dict(zip(heads, found, strict=True))


def test_the_pages_table_shows_each_layers_figures():
    text = run_page.to_html(typed_result())
    shown = (
        "cycles",
        "time %",
        "occupancy %",
        "stall %",
        "DRAM read MB",
        "DRAM write MB",
        "energy uJ",
        "MACs",
        "bound by",
    )
    found = {name: cells(text, name) for name in ("conv1", "conv2", "pool", "block.1")}
    assert {name: tuple(row[key] for key in shown) for name, row in found.items()} == {
        "conv1": ("100,000", "20", "60", "20", "0.200", "0.050", "2.20", "600,000", "compute"),
        "conv2": ("300,000", "60", "33", "60", "1.00", "0.200", "10.0", "1,000,000", "DRAM stall"),
        "pool": ("50,000", "10", "50", "0", "0.100", "0.010", "1.00", "", "compute"),
        "block.1": ("25,000", "5.0", "40", "0", "0.030", "0.010", "0.400", "200,000", "imbalance"),
    }
    # bars are as long as the layer's share of the largest: conv2 has most cycles and most energy
    assert [re.search(r"--part:([\d.]+)%", row["cycles by cause"])[1] for row in found.values()] == [
        "33.33", "100.0", "16.67", "8.33"
    ]  # fmt: skip
    assert [re.search(r"--part:([\d.]+)%", row["energy by component"])[1] for row in found.values()] == [
        "22.0", "100.0", "10.0", "4.0"
    ]  # fmt: skip


def test_the_pages_details_show_accounts_energies_and_buffers():
    text = run_page.to_html(typed_result())
    row = next(r for r in text.split("<tbody id=")[1:] if ">conv1</button>" in r)
    lines = {
        head: re.findall(r"<td class=\"n\">([^<]*)", rest)
        for head, rest in re.findall(r'<th scope="row">([^<]*)</th>((?:<td class="n">[^<]*</td>)*)', row)
    }
    assert lines["busy"] == ["500,000", "50 %"]
    assert lines["busy on a zero"] == ["100,000", "10 %"]
    assert lines["outside the tile"] == ["200,000", "20 %"]
    assert lines["dram"] == ["2.00", "91 %"]
    assert lines["macs"] == ["0.15", "6.8 %"]
    assert lines["dram input read"] == ["400,000"]
    assert lines["dram output write"] == ["400,000"]
    assert lines["glb.inputs"] == ["8,192", "2,048", "25 %"]
    assert "600,000 dense, 480,000 effective, 590,000 performed" in row
    assert "from 0: 80,000 + 20,000 of DRAM stalls" in row
    assert "dram bits/cycle 40.0, glb.inputs bits/cycle 112" in row


def test_the_pages_roofline_stands_at_the_layers_rates_and_the_machines_roofs():
    from accelsim.report.roofline_page import roofline

    result = typed_result()
    plot = roofline(result, {layer.name: layer.name for layer in result.layers})
    at = dict(zip(plot.ids, plot.places, strict=True))
    # MACs per byte, MACs per cycle
    wanted = {"conv1": (2.4, 6.0), "conv2": (1_000_000 / 1_200_000, 10 / 3), "block.0": (5.0, 8.0)}
    assert {name: at[name] for name in wanted} == {n: (plot.x.at(x), plot.y.at(y)) for n, (x, y) in wanted.items()}
    dram = next(line for line in plot.lines if line["label"].startswith("DRAM"))
    assert dram["label"] == "DRAM: 32.0 bits/cycle"
    # 4 bytes a cycle: the roof meets the highest compute roof of 20 MACs per cycle at 5 MACs per byte
    ends = re.fullmatch(r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)", dram["d"]).groups()
    assert (float(ends[2]), float(ends[3])) == (plot.x.at(5.0), plot.y.at(20.0))


# --- points of pictures and of a sweep's page


@pytest.mark.parametrize(
    ("name", "largest", "shown", "title"),
    [
        ("dram_bits", 13.12e6, 1.64, "DRAM traffic (MB)"),
        ("dram_read_bits", 10.88e6, 1.36, "DRAM reads (MB)"),
        ("dram_write_bits", 2.24e6, 280.0, "DRAM writes (kB)"),
        ("total_energy_pj", 14e6, 14.0, "energy (uJ)"),
        ("time_s", 2.5e-3, 2.5, "time (ms)"),
        ("edp_pj_s", 35_000, 35.0, "energy-delay product (nJ s)"),
        ("cycles", 500_000, 500.0, "cycles (k)"),
        ("occupancy", 0.4, 40.0, "occupancy (%)"),
    ],
)
def test_axes_name_the_unit_of_what_they_show(name, largest, shown, title):
    factor, found = points.scale(name, largest)
    assert found == title
    assert largest * factor == pytest.approx(shown)


def test_a_result_becomes_a_point_with_its_figures():
    (point,) = points.of_results([typed_result()]).points
    wanted = {"cycles": 500_000, "dram_bits": 13_120_000, "dram_read_bits": 10_880_000, "area_mm2": 0.75}
    assert {name: point.figures[name] for name in wanted} == wanted
    assert point.cycles_by_cause["memory"] == pytest.approx(200_000)
    assert point.cycles_by_cause["imbalance"] == pytest.approx(30_000)


def shown_point(label, **figures):
    return points.Shown(
        label, "net", {"machine": label}, figures, {"dram": 30.0, "macs": 10.0}, {"busy": 3.0, "zero": 1.0}
    )


def test_of_many_points_the_first_and_those_of_the_least_edp_are_kept():
    found = [
        shown_point(name, edp_pj_s=edp, total_energy_pj=pj)
        for name, edp, pj in (("base", 9.0, 9.0), ("a", 5.0, 1.0), ("b", 2.0, 4.0), ("c", 3.0, 3.0))
    ]
    assert [point.label for point in points.best(found, 3)] == ["base", "b", "c"]


def test_a_sweeps_page_shows_shares_in_tenths_of_a_percent_and_marks_the_front():
    shown = [shown_point("a", cycles=1e6, area_mm2=2.0), shown_point("b", cycles=2e6, area_mm2=3.0)]
    found = sweep_page.Sweep("t", "s", "p", points.Compared(shown), None, (), ("cycles", "area_mm2"), {}, {}, {}, ())
    text = sweep_page.to_html(found, lambda points, names: [0])
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    columns = {column["name"]: column["values"] for column in data["columns"]}
    assert columns["front"] == ["front", ""]
    assert columns["cycles (M)"] == [1, 2]
    assert sorted(columns["energy by component"][0]) == [250, 750]
    assert sorted(columns["cycles by cause"][0]) == [250, 750]


# --- compressed networks


def compressed(name, elements, nonzeros, entries, pruned_bits, shared_bits, coded, index, table):
    return CompressedLayer(
        name, "conv2d", "file", elements, nonzeros, None, 8, 4, 10, entries, entries - nonzeros, 32 * elements,
        pruned_bits, shared_bits, coded, index, table,
    )  # fmt: skip


COMPRESSION = Compression(
    "net",
    (
        compressed("a", 1000, 250, 300, 12_000, 4_800, 1_500, 400, 100),
        compressed("b", 3000, 500, 700, 36_000, 20_200, 4_500, 1_200, 2_300),
    ),
    {},
)


def test_compressed_layers_have_their_sizes_and_the_dense_size_over_each():
    # a: 32,000 bits dense, 2,000 in the end; b: 96,000 and 8,000
    found = compression.rows(COMPRESSION)
    assert [row["bits"] for row in found] == [2_000, 8_000]
    assert [row["pruned_ratio"] for row in found] == pytest.approx([32 / 12, 96 / 36])
    assert [row["shared_ratio"] for row in found] == pytest.approx([32 / 4.8, 96 / 20.2])
    assert [row["ratio"] for row in found] == [16, 12]
    total = compression.totals(COMPRESSION)
    sums = {"elements": 4_000, "nonzeros": 750, "entries": 1_000, "padding_entries": 250, "bits": 10_000}
    assert {name: total[name] for name in sums} == sums
    assert total["density"] == 0.1875
    assert (total["pruned_ratio"], total["ratio"]) == (pytest.approx(128 / 48), 12.8)
    assert total["shared_ratio"] == 5.12


def test_the_table_of_a_compressed_network_shows_bytes():
    out = io.StringIO()
    Console(file=out, width=160).print(compression.CompressionView(COMPRESSION))
    rows = {
        line.split()[0]: " ".join(line.split()[1:])
        for line in out.getvalue().splitlines()
        if line[:2] in ("a ", "b ", "to")
    }
    # weights, where from, density, code + index, padding, then bytes dense, pruned, shared and coded, and the ratio
    assert rows["a"] == "1 k file 0.25 8 + 4 16.7 % 4 kB 1.5 kB 600 B 250 B 16x"
    assert rows["b"] == "3 k file 0.167 8 + 4 28.6 % 12 kB 4.5 kB 2.52 kB 1 kB 12x"
    assert rows["total"] == "4 k 0.188 25 % 16 kB 6 kB 3.12 kB 1.25 kB 12.8x"
