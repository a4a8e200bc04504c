"""The loops of tiled layers in reports, drawn as one would by hand."""

import json
from dataclasses import replace

import pytest

import accelsim
from accelsim.report import nests, run_page
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report

NETWORK = """\
name: two
source: made up for tests
isolated: true
layers:
  - {name: a, kind: conv2d, c: 6, h: 9, w: 9, k: 10, r: 3, s: 3, groups: 2, pad: 1}
  - {name: b, kind: pool, op: max, h: 9, w: 9, c: 10, r: 3, s: 3}
"""
PINNED = "a: {groups: 1, n: 1, e: 4, f: 9, k: 5, c: 2, order: kmc}"
BY_HAND = """\
DRAM holds weights 270, inputs 726, outputs 810
for groups in 2 x 1
| for e in 3 x 4, the last 1
| | for c in 2 x 2, the last 1
| | | chip holds weights 90, inputs 132, outputs 180
| | | work on k 5, c 2, e 4, f 9, r 3, s 3
"""
"""Two groups of 3 channels onto 5; 9 x 9 outputs reach 11 x 11 inputs, padding included; a tile's 4 rows reach 6."""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nests")
    (folder / "two.yaml").write_text(NETWORK)
    (folder / "pinned.yaml").write_text(PINNED)
    network = accelsim.load_network(str(folder / "two.yaml"))
    return accelsim.simulate(accelsim.load_arch("edge_npu"), network, mapping=folder / "pinned.yaml")


def test_a_tiled_layer_is_drawn_with_its_order_its_edges_and_what_the_chip_holds(result):
    conv, pool = result.simulated
    assert nests.drawn(conv) == BY_HAND
    assert nests.drawn(pool) is None


def test_report_and_page_show_the_loops(result):
    assert f"`a`:\n\n```text\n{BY_HAND}```" in to_markdown(result)
    assert f'<pre class="nest" aria-label="loops of a">{BY_HAND.rstrip()}' in run_page.to_html(result)


def test_a_report_that_is_read_again_is_drawn_alike(result, tmp_path):
    (tmp_path / "report.json").write_text(to_json(result))
    assert nests.drawn(read_report(tmp_path / "report.json").simulated[0]) == BY_HAND


@pytest.mark.parametrize(
    ("key", "value"), [("groups", 0), ("h", "many"), ("stride", [0, 1]), ("k", None), ("pad", [1])]
)
def test_a_shape_that_makes_no_sense_is_not_drawn(result, key, value):
    shape = json.loads(json.dumps(dict(result.simulated[0].shape))) | {key: value}
    assert nests.drawn(replace(result.simulated[0], shape=shape)) is None


@pytest.mark.parametrize("mapping", [{}, {"m": 3}, {"order": "xyz"}, {"k": 0}])
def test_a_mapping_that_is_no_tiling_is_not_drawn(result, mapping):
    layer = result.simulated[0]
    whole = {**layer.mapping, **mapping} if mapping.keys() & layer.mapping.keys() else mapping
    assert nests.drawn(replace(layer, mapping=whole)) is None
