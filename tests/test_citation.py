"""Papers behind machines as BibTeX: what a file says, and nothing else."""

import re

import pytest
from click.testing import CliRunner

from accelsim.citation import CONFERENCES, JOURNALS, Paper, papers
from accelsim.cli import app
from accelsim.config import packaged
from accelsim.simulation import load_arch

NO_PAPER = ("axis_systolic", "edge_npu", "nvdla_", "flat_npu", "fusemax_npu", "spmv_bvcsr", "spmv_blocks")


def test_an_entry_has_what_the_text_says_and_others_for_et_al():
    text = 'sizes after A. B. Doe et al., "Fast: A\n  Machine", ISCA 2018, table 3; only the array'
    (paper,) = papers(text)
    assert paper == Paper(("A. B. Doe", "others"), "Fast: A Machine", "ISCA", 2018)
    assert paper.bibtex().splitlines() == [
        "@inproceedings{doe2018fast,",
        "  author    = {A. B. Doe and others},",
        "  title     = {{Fast: A Machine}},",
        "  booktitle = {International Symposium on Computer Architecture (ISCA)},",
        "  year      = {2018},",
        "}",
    ]


def test_a_journal_is_an_article_with_its_volume():
    (paper,) = papers('H. T. Kung, "Why Systolic Architectures?", IEEE Computer 15(1), 1982; sizes assumed')
    assert paper.bibtex().startswith("@article{kung1982why,")
    assert "  journal   = {IEEE Computer}," in paper.bibtex()
    assert "  volume    = {15},\n  number    = {1},\n  year      = {1982},\n}" in paper.bibtex()


@pytest.mark.parametrize("name", packaged.names("arch_configs"))
def test_every_packaged_machine_names_its_papers_or_says_that_there_is_none(name):
    done = CliRunner().invoke(app, ["show", name, "--bibtex"], catch_exceptions=False)
    if name.startswith(NO_PAPER):
        assert done.output.startswith(f"% {name}: its source names no paper: ")
        return
    source = " ".join(load_arch(name).config["source"].split())
    found = papers(source)
    assert found
    assert source.count('", ') == len(found), "a paper of the source is missing"
    assert done.output == "".join(f"{paper.bibtex()}\n" for paper in found)
    for paper in found:
        assert paper.venue in CONFERENCES or paper.venue in JOURNALS
        assert re.fullmatch(r"[a-z]+\d{4}\w+", paper.key)


def test_an_engine_has_the_papers_of_its_docstring():
    done = CliRunner().invoke(app, ["show", "row_stationary", "--bibtex"], catch_exceptions=False)
    assert done.output.count("@") == 2
    assert "@article{chen2017eyeriss," in done.output
