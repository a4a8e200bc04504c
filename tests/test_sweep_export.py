"""Tables of a store: CSV, Parquet and pandas hold the same rows, whatever made them."""

import csv
import io
import sys

import pytest
from sweep_files import SWEEP, table, write

from accelsim.errors import ConfigError
from accelsim.explore.sweep import export, store
from accelsim.explore.sweep import run as sweep

TWO = SWEEP.replace("[2, 4, 8, 16]", "[2, 4, wide]").replace("{from: 2, to: 16, factor: 2}", "[2, 64, 128]")
"""Three points that run; the others break the constraint or have a word for a number."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("export")
    sweep.run(write(path, TWO), path / "s.db", workers=0, keep_layers=True)
    return path


def opened(folder, name="s.db"):
    return store.open_reader(folder / name)


def test_a_frame_holds_what_the_csv_says(folder):
    pytest.importorskip("pandas", reason="the extra 'table' is not installed")
    with opened(folder) as source:
        frame = export.to_pandas(source)
    rows = list(csv.DictReader(io.StringIO(table(folder / "s.db"))))
    assert list(frame.columns) == list(rows[0])
    assert frame["status"].tolist() == [row["status"] for row in rows]
    assert frame["status"].value_counts().to_dict() == {"ok": 3, "illegal": 3, "excluded": 3}
    ran = frame[frame["status"] == "ok"]
    for name in ("cycles", "total_energy_pj", "energy_pj.dram", "area_mm2"):
        assert ran[name].tolist() == [float(row[name]) for row in rows if row["status"] == "ok"], name
        assert frame[name].isna().sum() == 6
        assert frame[name].dtype == float
    assert ran.nsmallest(1, "cycles")[["params.rows", "params.cols"]].values.tolist() == [[2, 64]]


def test_a_frame_of_layers_has_a_row_per_point_and_layer(folder):
    pytest.importorskip("pandas", reason="the extra 'table' is not installed")
    with opened(folder) as source:
        frame = export.to_pandas(source, layers=True)
        totals = export.to_pandas(source)
    assert len(frame) == 3 * 3
    cycles = frame.groupby("point")["cycles"].sum()
    ran = totals[totals["status"] == "ok"].set_index("point")["cycles"]
    assert cycles.to_dict() == ran.to_dict()


def test_parquet_has_the_same_bytes_whatever_the_workers_and_keeps_mixed_axes_as_words(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'table' is not installed")
    sweep.run(write(tmp_path, TWO), tmp_path / "s.db", workers=2)
    for where in (folder, tmp_path):
        with opened(where) as source:
            assert export.write(source, where / "t.parquet") == 9
    assert (folder / "t.parquet").read_bytes() == (tmp_path / "t.parquet").read_bytes()
    columns = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert columns["params.rows"] == ["2"] * 3 + ["4"] * 3 + ["wide"] * 3
    assert columns["params.cols"] == [2, 64, 128] * 3


def test_without_the_packages_the_remedy_is_named(folder, tmp_path, monkeypatch):
    for name in ("pandas", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    with opened(folder) as source:
        with pytest.raises(ConfigError, match=r"pandas is not installed; pip install 'accelsim\[table\]'"):
            export.to_pandas(source)
        with pytest.raises(ConfigError, match=r"Parquet needs pyarrow; pip install 'accelsim\[table\]', or write .csv"):
            export.write(source, tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()
