"""What ``list`` says of networks without loading them."""

import subprocess
import sys

import pytest

from accelsim.config import packaged
from accelsim.workload import listing, load, nets


def test_the_kept_lines_are_what_the_networks_themselves_give(monkeypatch, tmp_path):
    kept = listing.entries()
    monkeypatch.setattr(listing, "FILE", tmp_path / "none")
    assert kept == listing.entries()


def test_no_network_is_loaded_to_list_them(monkeypatch):
    def loaded(name):
        pytest.fail(f"{name} is new or changed: run python -m accelsim.workload.listing")

    monkeypatch.setattr(load, "load_network", loaded)
    monkeypatch.setattr(nets, "whole_network", loaded)
    assert {name for name, _ in listing.entries()} == {*packaged.names("workloads"), *nets.net_names()}


def test_a_table_that_was_edited_is_loaded_again(monkeypatch, tmp_path):
    text = (packaged.folder("workloads") / "alexnet.yaml").read_text()
    (tmp_path / "alexnet.yaml").write_text(text)
    monkeypatch.setattr(packaged, "folder", lambda kind: tmp_path)
    monkeypatch.setattr(listing, "_table", lambda name: "loaded")
    assert listing.entries()[0] == ("alexnet", "   8 layers,   724 M MACs,    61 M parameters; a table")
    (tmp_path / "alexnet.yaml").write_text(text + "\n")
    assert listing.entries()[0] == ("alexnet", "loaded")


def test_machines_and_engines_are_listed_without_importing_an_engine():
    code = (
        "import sys\nfrom accelsim.cli import app\n"
        "app(['list'], standalone_mode=False)\n"
        "sys.exit(' '.join({'numpy', 'numba', 'onnx', 'accelsim.engine'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Weight-stationary 32 x 32 array with a 32-lane vector unit" in done.stdout
    assert "Gustavson's algorithm" in done.stdout
