"""Chains of matrix-vector units: by hand, stepped cycle by cycle, and the search shared with the replica."""

import json
import random

import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim.cli import app, main
from accelsim.explore import folding
from accelsim.explore.folding import Stage, follow
from accelsim.replicas import finn
from accelsim.workload.shapes import Conv2d


def run(*args):
    done = CliRunner().invoke(app, ["search", "folding", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def document(*args):
    return json.loads(run(*args, "--format", "json"))


def test_two_layers_by_hand():
    first = Stage("a", Conv2d(1, 1, 1, 1, 4, 1, 1), 4, 8)
    second = Stage("b", Conv2d(1, 1, 1, 1, 4, 1, 2), 6, 8)
    found = follow([first, second])
    assert (found.interval, found.latency, found.settled, found.one_by_one) == (6, 8, 8, 10)
    assert found.buffer_bits == (0, 3 * 8)


def stepped(stages, images):
    """Step all units cycle by cycle: ends of images, and the most pixels that wait in front of each."""
    interval = max(s.cycles for s in stages)
    sizes = [(s.conv.e, s.conv.f) for s in stages]
    todo = [[(n, e, f) for n in range(images) for e in range(h) for f in range(w)] for h, w in sizes]
    busy, now, made = [0] * len(stages), 0, [{} for _ in stages]
    held, most, ends = [set() for _ in stages], [0] * len(stages), {}

    def window(i, pixel):
        conv, (n, e, f) = stages[i].conv, pixel
        if not i:
            return []
        if sizes[i - 1] != (conv.h, conv.w):
            return [(n, y, x) for y in range(sizes[i - 1][0]) for x in range(sizes[i - 1][1])]
        ys = [e * conv.stride[0] + r - conv.pad[0] for r in range(conv.r)]
        xs = [f * conv.stride[1] + s - conv.pad[1] for s in range(conv.s)]
        return [(n, y, x) for y in ys for x in xs if 0 <= y < conv.h and 0 <= x < conv.w]

    def past(i, pixel, done):
        """Whether the last window that begins at or before a pixel, along each axis, is done."""
        conv, (n, y, x) = stages[i].conv, pixel
        if sizes[i - 1] != (conv.h, conv.w):
            return done == (n, *(size - 1 for size in sizes[i]))
        e = max(e for e in range(conv.e) if e * conv.stride[0] - conv.pad[0] <= y)
        f = max(f for f in range(conv.f) if f * conv.stride[1] - conv.pad[1] <= x)
        return done == (n, e, f)

    while any(todo):
        started = []
        for i, left in enumerate(todo):
            if not left:
                continue
            ready = left[0][0] * interval <= now and all(p in made[i - 1] for p in window(i, left[0]))
            if busy[i] or ready:
                started.append(i)
        now += 1
        for i in started:
            busy[i] += 1
            if busy[i] == stages[i].cycles // (sizes[i][0] * sizes[i][1]):
                busy[i], done = 0, todo[i].pop(0)
                made[i][done] = now
                ends[i, done[0]] = now
                held[i] = {p for p in held[i] if not past(i, p, done)}
                if i + 1 < len(stages) and not any(past(i + 1, done, other) for other in made[i + 1]):
                    held[i + 1].add(done)
        most = [max(a, len(b)) for a, b in zip(most, held, strict=True)]
    return ends, most


def test_a_unit_ends_an_image_before_it_begins_the_next():
    """Padding leaves the second layer three outputs after its last input: 18 cycles, and the next comes at 15."""
    first = Stage("a", Conv2d(1, 1, 1, 4, 1, 1, 1), 12, 1)
    second = Stage("b", Conv2d(1, 1, 1, 4, 1, 3, 1, pad=(2, 0, 2, 0)), 12, 1)
    third = Stage("c", Conv2d(1, 1, 1, 6, 1, 1, 1, stride=(5, 1)), 2, 1)
    found = follow([first, second, third])
    ends, most = stepped([first, second, third], 8)
    assert (found.latency, found.settled, ends[1, 0], ends[1, 1]) == (19, 19, 18, 30)
    assert found.buffer_bits == (0, *most[1:])


@pytest.mark.parametrize("seed", range(40))
def test_chains_are_those_that_are_stepped(seed):
    draw = random.Random(seed)
    h, w, stages = draw.randint(5, 8), draw.randint(5, 8), []
    for i in range(draw.randint(1, 3)):
        r, s = draw.randint(1, min(3, h)), draw.randint(1, min(3, w))
        pad = tuple(draw.randint(0, size - 1) for size in (r, s, r, s)) if seed % 2 else (r - 1, s - 1, r - 1, s - 1)
        conv = Conv2d(1, 1, 1, h, w, r, s, stride=(draw.randint(1, 2), draw.randint(1, 2)), pad=pad)
        cost = draw.randint(1, 6) if seed % 2 else max(1, 150 // (conv.e * conv.f))  # of one length, or of any
        stages.append(Stage(f"c{i}", conv, conv.e * conv.f * cost, 1))
        h, w = conv.e, conv.f
    if draw.random() < 0.5:
        stages.append(Stage("fc", Conv2d(1, h * w, 1, 1, 1, 1, 1), draw.randint(1, 60), h * w))
    found = follow(stages)
    ends, most = stepped(stages, 8)
    last = len(stages) - 1
    assert ends[last, 0] == found.latency
    assert ends[last, 7] - 7 * found.interval == found.settled
    assert found.buffer_bits == (0, *most[1:])


def test_the_released_foldings_have_their_intervals():
    cnv, lfc = document("finn_cnv", "cnv_w1a1"), document("finn_lfc", "lfc_w1a1")
    assert (cnv["interval_cycles"], lfc["interval_cycles"]) == (32768, 512)
    assert (cnv["multipliers"], lfc["multipliers"]) == (2272, 6272)
    assert (round(cnv["images_per_s"], 1), lfc["images_per_s"]) == (3051.8, 195312.5)
    # rows stream: an image takes less than the sum of its layers, and a chain of whole layers does not
    assert cnv["interval_cycles"] < cnv["latency_cycles"] < cnv["one_by_one_cycles"] == 223_940
    assert lfc["latency_cycles"] == lfc["one_by_one_cycles"] == 416 + 3 * 512


@pytest.mark.parametrize(("multipliers", "interval"), [(2272, 28224), (8380, 8192), (8379, 9216)])
def test_the_search_of_a_machine_is_that_of_the_replica(multipliers, interval, tmp_path):
    path = tmp_path / "found.yaml"
    found = document("mvtu", "cnv_w1a1", "--multipliers", multipliers, "-o", path)
    units = finn.best(finn.read("cnv_w1a1"), multipliers)
    mine = [(x["pe"], x["simd"], x["cycles"]) for x in found["layers"] if x["multipliers"]]
    assert mine == [(unit.pe, unit.simd, unit.cycles) for unit in units]
    assert found["interval_cycles"] == finn.initiation_interval(units) == interval
    assert found["multipliers"] <= multipliers
    # what was written is that machine, and runs
    ran = accelsim.simulate(str(path), "cnv_w1a1")
    assert ran.complete
    assert {x.name: x.compute_cycles for x in ran.layers} == {x["layer"]: x["cycles"] for x in found["layers"]}
    assert yaml.safe_load(path.read_text())["base"] == "mvtu"


def test_the_table_says_what_waits_and_how_long_an_image_takes():
    lines = run("finn_cnv", "cnv_w1a1").splitlines()
    assert lines[-2] == "3,051.8 images/s at 100 MHz"
    assert lines[-1].endswith("223,940 if nothing overlaps")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["finn_cnv", "alexnet"], "network 'alexnet': its layers are a table"),
        (["mvtu", "cnv_w1a1"], "layer 'conv1' shares unit 'mvtu' with another; give each layer a unit of its own"),
        (["yodann", "cnv_w1a1"], "machine 'yodann' has no unit that folds layer 'conv1'"),
        (["eyeriss", "cnv_w1a1"], "machine 'eyeriss' has no unit that folds layer 'conv1'"),
        (["mvtu", "cnv_w1a1", "--multipliers", "8"], "--multipliers: 8 multipliers for 9 layers"),
        (["mvtu", "cnv_w1a1", "-o", "x.yaml"], "-o: without a search there is no machine to write"),
        (["mvtu", "cnv_w1a1", "--multipliers", "99", "-o", "x.csv"], "x.csv: the file must end in .yaml"),
        (["mvtu", "net:resnet50", "--multipliers", "9999"], "does not read"),
        (["finn_cnv", "cnv_w1a1", "--set", "units.conv2.params.pe=7"],
         "layer 'conv2': pe takes 7 of 64 rows, which it does not divide; fold otherwise, or pad them to 70"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(args, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["search", "folding", *args])
    (line,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    assert line.startswith("error: ")
    assert words in line


def test_a_layer_that_joins_others_is_no_chain():
    net = accelsim.load_network("net:resnet50")
    with pytest.raises(accelsim.errors.WorkloadError, match="does not read"):
        folding.views_of(net)
