"""The table of the survey says what is there, and is renewed with it."""

from pathlib import Path

import pytest

import accelsim
from accelsim.config import packaged
from accelsim.errors import ConfigError
from accelsim.validate import survey
from accelsim.validate.cases import engine_cases

PAGE = Path(accelsim.__file__).parents[1] / "docs" / "survey.md"
SHEETS = (
    "A3", "ANT", "ATT", "BISMO", "BitFusion", "Bit-Pragmatic", "BRein Memory", "Cambricon-X", "Cnvlutin", "DaDianNao",
    "DianNao", "EIE", "ESE", "ExTensor", "Eyeriss", "Eyeriss v2", "FINN", "FLAT", "FuseMax", "Gamma", "Laconic", "Loom",
    "Lu et al.", "MnnFast", "NullHop", "NVDLA", "OuterSPACE", "Park et al.", "RAMANN", "Sanger", "SCNN", "ShiDianNao",
    "SIGMA", "SnaPEA", "SpArch", "SpAtten", "Stripes", "TPU v1", "UNPU", "YodaNN",
)  # fmt: skip


@pytest.mark.skipif(not PAGE.is_file(), reason="not a source tree")
def test_the_page_is_what_the_files_say():
    """Renew it with python -m accelsim.validate.survey."""
    assert PAGE.read_text() == survey.to_markdown()


def test_every_machine_of_the_survey_has_a_row():
    rows = {line.split(" (")[0].removeprefix("| ") for line in survey.to_markdown().splitlines()}
    assert not set(SHEETS) - rows


def test_counts_are_those_of_the_cases():
    row = next(line for line in survey.to_markdown().splitlines() if line.startswith("| FLAT "))
    mine = [x for x in engine_cases()["fused_attention"] if x.arch in ("flat_cloud", "flat_edge", "attention_unfused")]
    by_hand = sum(case.origin == "hand-derived" for case in mine)
    peer = sum(case.origin == "peer" for case in mine)
    assert f"{peer} peer, {by_hand} by hand" in row
    assert by_hand == 2


def test_what_is_not_modelled_says_why():
    rows = [line for line in survey.to_markdown().splitlines() if " | cited | " in line]
    assert any(line.startswith("| ATT ") for line in rows)
    assert all("not modelled: " in line and len(line.split("not modelled: ")[1]) > 20 for line in rows)


def test_a_machine_without_a_row_is_an_error(monkeypatch):
    monkeypatch.setattr(packaged, "names", lambda kind: ["eyeriss", "stray"])
    with pytest.raises(ConfigError, match="'stray' stands in 0 rows"):
        survey.listed()


def test_a_machine_that_arrives_takes_its_row(monkeypatch):
    """Once extensor is packaged, its row no longer says why it is missing."""
    entry = next(e for family in survey.listed().families for e in family.machines if e.name == "ExTensor")
    assert survey.machines_of(entry, (), "extensor", "gamma") == ["extensor"]
