"""layers.csv and report.md."""

import csv
import io
import re
from dataclasses import replace

import pytest
import yaml
from report_samples import ALEXNET, ARCH, alexnet, conv, every_cause, network, partial_alexnet, resnet50

from accelsim.report.markdown import to_markdown
from accelsim.report.rows import to_csv


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_one_row_per_layer_whether_simulated_or_not():
    result = partial_alexnet()
    found = read(to_csv(result))
    assert [row["layer"] for row in found] == [layer.name for layer in result.layers]
    assert {row["simulated"] for row in found} == {"true", "false"}


@pytest.mark.parametrize("sample", [alexnet, resnet50, every_cause])
def test_shares_of_the_causes_sum_to_one_and_energies_to_the_total(sample):
    for row in read(to_csv(sample())):
        assert sum(float(v) for k, v in row.items() if k.startswith("share_")) == pytest.approx(1)
        energy = sum(float(v) for k, v in row.items() if k.startswith("energy_") and k.endswith("_pj"))
        assert energy == pytest.approx(float(row["total_energy_pj"]))


def test_csv_has_a_column_for_every_cause_whatever_the_machine():
    shares = [k for k in read(to_csv(alexnet()))[0] if k.startswith("share_")]
    assert len(shares) == 11
    assert shares == [k for k in read(to_csv(every_cause()))[0] if k.startswith("share_")]


def test_csv_and_markdown_are_the_same_bytes_twice():
    assert to_csv(resnet50()) == to_csv(resnet50())
    assert to_markdown(resnet50()) == to_markdown(resnet50())


def test_a_hostile_layer_name_survives_csv_and_breaks_no_markdown_table():
    name = 'a,"b"|c\n*d* <b>'
    result = network([replace(conv(*ALEXNET[0]), name=name), conv(*ALEXNET[1])])
    assert read(to_csv(result))[0]["layer"] == name.replace("\n", "\\n"), "a line per layer"
    lines = to_markdown(result).splitlines()
    table = lines[lines.index("## Layers") + 2 :]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table[:4]}
    assert bars == {13}


def test_markdown_says_partial_wherever_totals_stand():
    text = to_markdown(partial_alexnet())
    for heading in ("# alexnet on systolic\\_ws, batch 1 (PARTIAL)", "## Totals (PARTIAL)", "## Layers (PARTIAL)"):
        assert heading in text.splitlines()
    assert "PARTIAL" not in to_markdown(alexnet())
    assert "## Totals (products only)" in to_markdown(alexnet())
    assert "## Totals\n" in to_markdown(resnet50())


def test_markdown_lists_every_reason_for_not_simulating():
    text = to_markdown(partial_alexnet())
    assert "| no unit of systolic\\_ws runs pool layers | 1 | pool1 |" in text
    assert "relu\\_fc8" in text
    assert "## Not simulated" not in to_markdown(resnet50())


def test_markdown_carries_the_resolved_configuration():
    block = to_markdown(alexnet()).split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(block) == ARCH


def test_markdown_of_a_network_that_did_not_run_at_all():
    layers = [replace(layer, simulated=False, reason="too big") for layer in alexnet().layers]
    text = to_markdown(network(layers))
    assert "too big" in text
    assert "0 of 8 layers" in text
