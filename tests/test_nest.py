"""Loop nests of many levels: published counts, counts by hand, and the brute-force twin."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import pytest
from nests import random_nest, random_tiling

from accelsim.activity import Flow
from accelsim.errors import MappingError
from accelsim.mapping import loopnest
from accelsim.memory.dram import DramModel
from accelsim.tiled import brute
from accelsim.tiled.draw import WIDTH, draw
from accelsim.tiled.encode import counted
from accelsim.tiled.nest import Cut, Factor, Level, Mapping, Nest, Problem, Words, factors
from accelsim.tiled.two_levels import two_levels
from accelsim.workload.shapes import Conv2d

THREE = (Level("DRAM"), Level("GLB", (64,)), Level("RF"))


class Case(NamedTuple):
    """A run of Timeloop: mapping as one text per level, and its counts (None: the tensor is not kept there)."""

    problem: Problem
    mapping: tuple[str, str, str]
    cycles: int
    dram: tuple[int, ...]
    glb: tuple[int | None, ...]
    rf: tuple[int | None, ...]


TIMELOOP = {
    "mm_ws": Case(Problem(p=16, c=8, m=8), ("M2 C2 P2", "P8 [C4 M4] WIO", "WO"), 64,
                  (64, 256, 256, 128), (64, 256, 256, 128), (64, None, 1024, 512)),
    "mm_os": Case(Problem(p=16, c=8, m=8), ("P2 M2", "C8 [P8 M4] WIO", "O"), 32,
                  (128, 128, 128, 0), (128, 256, 128, 0), (None, None, 1024, 896)),
    "mm_rf": Case(Problem(p=16, c=8, m=8), ("P4 M2", "C2 [M4] WIO", "C4 P4 WIO"), 256,
                  (256, 128, 128, 0), (256, 256, 128, 0), (256, 1024, 1024, 896)),
    "conv_row": Case(Problem(r=3, p=16, c=4, m=8), ("P8", "M2 C4 [M4] WIO", "R3 P2 WIO"), 384,
                     (96, 72, 128, 0), (768, 256, 128, 0), (768, 1024, 1536, 1408)),
    "conv_2d": Case(Problem(r=3, s=3, p=8, q=8, c=2, m=4), ("M2 P4", "C2 Q2 [M2 Q2] WIO", "R3 S3 P2 Q2 WIO"), 1152,
                    (72, 400, 256, 0), (288, 1024, 512, 256), (576, 2048, 4608, 4352)),
    "conv_os_shi": Case(Problem(r=3, s=3, p=8, q=8, c=4, m=4), ("M4", "C4 R3 S3 [P8 Q8] WIO", "O"), 144,
                        (144, 400, 256, 0), (144, 9216, 256, 0), (None, None, 9216, 8960)),
    "conv_rs": Case(Problem(r=3, s=3, p=8, q=4, c=4, m=4), ("M2", "Q4 C2 [S3 P4] IO", "M2 C2 P2 R3 WIO"), 384,
                    (576, 240, 128, 0), (None, 1536, 128, 0), (2304, 1536, 4608, 4224)),
    "dw_like": Case(Problem(r=3, s=3, p=8, q=8), ("P4", "Q4 [P2 Q2] WIO", "R3 S3 WIO"), 144,
                    (9, 100, 64, 0), (9, 432, 64, 0), (36, 432, 576, 512)),
    "bypass_w": Case(Problem(p=16, c=8, m=8), ("C2 P2", "M2 P2 [M4] IO", "C4 P4 WIO"), 256,
                     (128, 128, 256, 128), (None, 256, 256, 128), (128, 1024, 1024, 896)),
    "red_spatial": Case(Problem(p=16, c=16, m=4), ("P4", "M2 C2 [C8 M2] WIO", "P4 WIO"), 64,
                        (64, 256, 64, 0), (256, 512, 64, 0), (256, 1024, 1024, 512)),
    "psum_spill": Case(Problem(p=8, c=16, m=8), ("C4 M4 P2", "P4 C2 [M2] WIO", "C2 WIO"), 512,
                       (128, 512, 256, 192), (1024, 512, 256, 192), (1024, 1024, 1024, 960)),
    "fc": Case(Problem(c=64, m=32), ("M4 C4", "M2 C4 [M4] WIO", "C4 WIO"), 512,
               (2048, 256, 32, 0), (2048, 512, 128, 96), (2048, 2048, 2048, 2016)),
}  # fmt: skip
"""timeloop-model v2.0: words read of W and I, updates and accumulating reads of O at DRAM and GLB; of the register
files the fills of W and I instead."""


def of(case, levels=THREE):
    return Nest(case.problem, levels, Mapping.parse(*case.mapping))


@pytest.fixture(params=["kernel", "brute"])
def count(request):
    """Both ways to count."""
    return counted if request.param == "kernel" else brute.counted


@pytest.mark.parametrize("name", TIMELOOP)
def test_counts_are_those_of_timeloop(name, count):
    case = TIMELOOP[name]
    found = count(of(case))
    assert found.cycles == case.cycles
    for level, expected in (("DRAM", case.dram), ("GLB", case.glb), ("RF", case.rf)):
        weights, inputs, outputs = (found.words.get((level, t)) for t in "WIO")
        came = "fills" if level == "RF" else "reads"
        seen = (weights and getattr(weights, came), inputs and getattr(inputs, came), outputs.updates, outputs.reads)
        assert seen == expected, level


@pytest.mark.parametrize(("name", "reads"), [("conv_2d", 768), ("conv_rs", 960), ("dw_like", 208)])
def test_neighbours_read_the_words_of_overlapping_boxes_once(name, reads, count):
    case = TIMELOOP[name]
    plain = count(of(case))
    found = count(of(case, (THREE[0], replace(THREE[1], neighbours=True), THREE[2])))
    assert found.words["GLB", "I"].reads == reads
    assert {k: v for k, v in found.words.items() if k != ("GLB", "I")} == {
        k: v for k, v in plain.words.items() if k != ("GLB", "I")
    }


def test_diagonal_neighbours_want_equal_boxes(count):
    # rows p + r of three output rows and two taps: 0 1 2 and 1 2 3, four different ones
    nest = Nest(Problem(p=3, r=2), (Level("DRAM", (6,)), Level("RF")), Mapping.parse("[P3 R2]", ""))
    assert count(nest).words["DRAM", "I"].reads == 4
    alone = (Level("DRAM", (6,), multicast=False), Level("RF"))
    assert count(replace(nest, levels=alone)).words["DRAM", "I"].reads == 6


IMPERFECT = {
    "edge_p": (Problem(p=7, c=2, m=3), ("P2", "M2 [M2]", "C2 P4"), 28, (6, 14, 21), (10, 14), (10, 28, 21)),
    "edge_halo": (Problem(p=7, r=3, c=2, m=3), ("P2", "M2 [M2]", "C2 P4 R3"), 84, (18, 18, 21), (30, 18),
                  (30, 36, 21)),
    "edge_fc": (Problem(c=11, m=10), ("M2", "C3 [C4]", "M5"), 30, (110, 11, 10), (110, 22), (110, 22, 40)),
}  # fmt: skip
"""Derived over sets of words: cycles, words into the GLB (W I O), leaving it (W I), into the register files (W I O).
edge_p by hand: tiles of 4 and 3 outputs, rounds of two instances and of one: (4 + 4 + 3 + 3) x 2 cycles; the second
instance keeps its weights through the rounds in which it has no work."""


@pytest.mark.parametrize("name", IMPERFECT)
def test_factors_need_not_divide(name, count):
    problem, mapping, cycles, into_glb, from_glb, into_rf = IMPERFECT[name]
    levels = (THREE[0], replace(THREE[1], neighbours=True), THREE[2])
    found = count(Nest(problem, levels, Mapping.parse(*mapping)))
    words = found.words
    assert found.cycles == cycles
    assert (words["GLB", "W"].fills, words["GLB", "I"].fills, words["GLB", "O"].drains) == into_glb
    assert (words["GLB", "W"].reads, words["GLB", "I"].reads) == from_glb
    assert (words["RF", "W"].fills, words["RF", "I"].fills, words["RF", "O"].drains) == into_rf


def test_the_worked_example(count):
    # conv P8 R3 C2 M4, tiles of two rows: 8 words of input, then 4 new ones per tile
    found = count(Nest(Problem(p=8, r=3, c=2, m=4), THREE, Mapping.parse("P4", "M2 [M2]", "C2 P2 R3")))
    assert (found.cycles, found.macs, found.used) == (96, 192, 2)
    assert found.words["DRAM", "W"] == Words(0, 24, box=24)
    assert found.words["DRAM", "I"].reads == 8 + 4 + 4 + 4
    assert found.words["DRAM", "O"] == Words(0, 0, updates=32, box=32)
    assert found.words["GLB", "O"] == Words(0, 0, updates=32, drains=32, box=8)


RELEASED = Problem(c=3, m=32, r=3, s=3, p=112, q=112, stride=(2, 2))


def test_an_output_stationary_design_released_with_timeloop():
    # timeloop-accelergy-exercises 2d55108, simple_output_stationary: an irrelevant loop inside the sliding one
    levels = (Level("DRAM"), Level("GLB", (16,), halo="refetch"), Level("spad"), Level("weights"), Level("inputs"),
              Level("outputs"))  # fmt: skip
    cuts = Mapping.parse("P2 Q8 M2", "Q14 R3 [M16] WI", "C3 P4 S3 O", "P14 W", "I", "O")
    found = counted(Nest(RELEASED, levels, cuts))
    words = found.words
    assert (found.cycles, found.macs) == (677_376, 10_838_016)
    assert (words["DRAM", "W"].reads, words["DRAM", "I"].reads) == (13_824, 157_296)
    assert words["DRAM", "O"].updates == 401_408
    assert (words["GLB", "W"].reads, words["GLB", "I"].reads) == (774_144, 677_376)
    assert (words["spad", "O"].updates, words["spad", "O"].reads) == (10_838_016, 10_436_608)
    assert words["weights", "W"].fills == 774_144


def test_a_weight_stationary_design_released_with_timeloop():
    levels = (Level("DRAM"), Level("GLB", (12,)), Level("spad"), Level("weights"), Level("inputs"), Level("outputs"))
    cuts = Mapping.parse("Q14", "S3 P2 M8 [M4 C3] WIO", "R3 Q2 P2 W", "P28 Q4 W", "I", "O")
    found = counted(Nest(RELEASED, levels, cuts))
    words = found.words
    assert found.cycles == 903_168
    assert (words["DRAM", "W"].reads, words["DRAM", "I"].reads) == (864, 151_875)
    assert words["DRAM", "O"].updates == 401_408
    assert (words["GLB", "W"].reads, words["GLB", "I"].reads) == (24_192, 2_709_504)
    assert (words["GLB", "O"].updates, words["GLB", "O"].reads) == (3_612_672, 3_211_264)
    assert words["weights", "W"].fills == 24_192
    assert (words["outputs", "O"].updates, words["outputs", "O"].reads) == (10_838_016, 9_633_792)


@pytest.mark.parametrize("block", range(10))
def test_random_nests_are_counted_as_by_brute_force(block):
    for seed in range(25 * block, 25 * block + 25):
        nest = random_nest(seed)
        assert counted(nest) == brute.counted(nest), (seed, nest)


def test_todays_tilings_are_the_case_of_two_levels():
    dram = DramModel(Fraction(1), 0, 1)
    for seed in range(300):
        nest = random_tiling(seed)
        flows = loopnest.dram_traffic(nest.schedule(lambda tile: 1), dram)
        moved = {(tensor, way): flows.get(Flow("dram", tensor, way), 0)
                 for tensor in ("input", "weight", "output", "psum") for way in ("read", "write")}  # fmt: skip
        words = counted(two_levels(nest.conv, nest.tiling)).words
        assert words["DRAM", "I"].reads == moved["input", "read"], (seed, nest)
        assert words["DRAM", "W"].reads == moved["weight", "read"], (seed, nest)
        assert words["DRAM", "O"].updates == moved["output", "write"] + moved["psum", "write"], (seed, nest)
        assert words["DRAM", "O"].reads == moved["psum", "read"], (seed, nest)


def test_words_in_the_padding_do_not_move(count):
    # five output rows over three rows of image and a ring of padding: tiles of two rows reach rows 0-2, 1-2 and none
    conv = Conv2d(n=1, c=1, k=1, h=3, w=1, r=3, s=1, pad=(2, 0, 2, 0))
    mapping = Mapping.parse("P3", "P2 R3")
    fetched = {}
    for halo in ("keep", "refetch"):
        nest = Nest(Problem.of_conv(conv), (Level("DRAM"), Level("GLB", halo=halo)), mapping)
        fetched[halo] = count(nest).words["DRAM", "I"].reads
    # under the outputs 0 1, 2 3 and 4: rows -2..1, 0..3 and 2..4 of the image, of which 0 1, 0 1 2 and 2 exist
    assert fetched == {"refetch": 2 + 3 + 1, "keep": 3}


def test_a_tile_at_the_edge_stays_while_the_loops_inside_have_no_second_chunk(count):
    # weights 0 1, 2 3, then 4 alone; the pixel goes on between: (2 + 2) + (2 + 2), then 1, which stays
    nest = Nest(Problem(m=5, p=2), (Level("DRAM"), Level("GLB")), Mapping.parse("M2 P2 M2", "M2"))
    assert count(nest).words["GLB", "W"].fills == 9


def test_a_tensor_kept_nowhere_inside_is_read_in_every_cycle(count):
    nest = Nest(Problem(p=4, m=3), (Level("DRAM"), Level("RF")), Mapping.parse("M3 P4", "WO"))
    assert count(nest).words["DRAM", "I"].reads == 12
    assert count(replace(nest, mapping=Mapping.parse("M3 P4", "WIO"))).words["DRAM", "I"].reads == 12
    assert count(replace(nest, mapping=Mapping.parse("P4 M3", "WIO"))).words["DRAM", "I"].reads == 4


def test_a_layer_of_a_hundred_million_steps_costs_no_more_than_a_small_one():
    # the same counts hold where every loop is a thousand times longer: products of sums, nothing is walked
    small = Nest(Problem(p=10, m=10, c=10), THREE[:2], Mapping.parse("C10 M10 P10", ""))
    large = Nest(Problem(p=10**4, m=10**4, c=10**4), THREE[:2], Mapping.parse("C10000 M10000 P10000", ""))
    assert counted(small).words["DRAM", "I"].reads == 10**3
    assert counted(large).words["DRAM", "I"].reads == 10**12
    assert counted(large).words["DRAM", "O"].reads == 10**12 - 10**8


@pytest.mark.parametrize(
    ("nest", "message"),
    [
        (Nest(Problem(p=5), THREE[:2], Mapping.parse("P2", "P2")),
         "the factors of P reach 4 of 5; raise one of them"),
        (Nest(Problem(p=5), THREE[:2], Mapping.parse("P5")),
         "1 cuts for 2 levels; give one per level"),
        (Nest(Problem(p=5), THREE[:2], Mapping.parse("P5 WO", "")),
         "level 'DRAM' keeps WO; it must keep W, I and O"),
        (Nest(Problem(m=80), THREE[1:], Mapping.parse("[M80]", "")),
         "level 'GLB': 80 instances along axis 0 of its mesh, it has 64; spread less"),
        (Nest(Problem(m=2), THREE[1:], Mapping.parse("[M2@1]", "")),
         "level 'GLB': 2 instances along axis 1 of its mesh, it has 1; spread less"),
        (Nest(Problem(p=2**31, q=2**31), THREE[:2], Mapping.parse(f"P{2**31} Q{2**31}", "")),
         "the counts of this nest exceed 64-bit integers; split the layer"),
    ],
)  # fmt: skip
def test_an_illegal_nest_says_what_is_wrong(nest, message):
    with pytest.raises(MappingError) as caught:
        counted(nest)
    assert str(caught.value) == message


def test_a_tile_that_does_not_fit_names_level_tensor_need_and_room():
    # 4 input rows of 3 under 2 outputs at 8 bits, 3 weights, 2 outputs at 16: 32 + 24 + 32 bits, half of 160
    levels = (Level("DRAM"), Level("GLB", bits=160, buffering=2))
    nest = Nest(Problem(p=4, r=3), levels, Mapping.parse("P2", "P2 R3"))
    bits = {"W": 8, "I": 8, "O": 16}
    with pytest.raises(MappingError, match="level 'GLB': a tile takes 88 bits, 32 of them I; there is room for 80"):
        nest.check(bits)
    replace(nest, levels=(levels[0], replace(levels[1], bits=176))).check(bits)
    replace(nest, mapping=Mapping.parse("P2", "P2 R3 WO")).check(bits)


def test_a_mapping_is_written_as_one_text_per_level():
    assert factors("P4 M2@1") == (Factor("P", 4), Factor("M", 2, 1))
    assert Mapping.parse("M2 C4 [M4 S3@1] WO", "", "-") == Mapping(
        (Cut(factors("M2 C4"), factors("M4 S3@1"), "WO"), Cut(), Cut(keeps=""))
    )
    with pytest.raises(MappingError, match="'K4' is no loop; write a dimension, one of GNMCPQRS, and a factor: P4"):
        factors("K4")


DRAWN = """\
DRAM holds weights 18, inputs 18, outputs 21
  weights: 18 go down
  inputs: 18 go down
  outputs: 21 arrive
for P in 2 x 4, the last 3
| GLB holds weights 18, inputs 12, outputs 12
|   weights: 18 come in, 30 go down
|   inputs: 18 come in, 84 go down
|   outputs: 21 arrive, 21 leave
| for M in 2 x 2, the last 1
| | spread M in 2 x 1 on axis 1
| | | RF holds weights 6, outputs 4
| | |   weights: 30 come in, 126 go down
| | |   outputs: 105 added to, 126 arrive, 21 leave
| | | for C in 2 x 1
| | | | for P in 4 x 1
| | | | | for R in 3 x 1
| | | | | | multiply and add
"""


def test_a_nest_is_drawn_loop_by_loop():
    levels = (THREE[0], Level("GLB", (2, 2)), THREE[2])
    nest = Nest(Problem(p=7, r=3, c=2, m=3), levels, Mapping.parse("P2", "M2 [M2@1]", "C2 P4 R3 WO"))
    assert draw(nest, counted(nest)) == DRAWN
    assert draw(nest) == "".join(line + "\n" for line in DRAWN.splitlines() if ":" not in line)


def test_a_deep_nest_with_large_counts_is_drawn_in_eighty_columns():
    names = [f"a level with quite a long name, the {i}th" for i in range(12)]
    cuts = tuple(Cut(factors("P2 M2"), factors("C2"), "WIO" if i % 3 == 0 else "") for i in range(12))
    levels = tuple(Level(name, (2,)) for name in names)
    nest = Nest(Problem(p=4000, m=4096, c=4096), levels, Mapping(cuts))
    lines = draw(nest, counted(nest)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert sum(" in 2 x " in line for line in lines) == 36


def test_the_value_types_load_no_numba():
    code = (
        "import sys, accelsim.tiled.nest, accelsim.tiled.draw, accelsim.tiled.brute; sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
