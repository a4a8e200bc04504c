"""What gets absurd files: every loader of the product, and what its commands do with the file."""

from __future__ import annotations

import io
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.fuzz import absurd, absurd_binary
from benchmarks.fuzz.targets import SWEEP, TARGETS, Target, _files, _option, _rows, _texts

PRECISION_CSV = "layer,input_bits,weight_bits\na,4,3\nc*,8,8\n"
AXES = SWEEP.replace("  - params.rows * params.cols <= 128 or network == 'alexnet'\n", "  - params.rows > 2\n")
UNITS = """\
name: by_unit
machines: [edge_npu]
networks: [alexnet]
axes: {units.array.params.rows: [4, 8], options.batch: [1, 2]}
options: {layers: conv1}
"""


def _table(path: Path) -> object:
    import accelsim
    from accelsim.charges import machine_components
    from accelsim.energy import load_table, provenance

    arch = accelsim.load_arch("systolic_ws_8", [("energy.table", str(path))])
    provenance(machine_components(arch), load_table(str(path)))
    return accelsim.simulate(arch, _rows())


def _grid(path: Path) -> object:
    """Draw designs as a search does, without simulating them."""
    import numpy as np

    from accelsim.explore.sweep.grid import Grid
    from accelsim.explore.sweep.schema import read_sweep

    sweep = read_sweep(path)
    if sum(len(axis.steps) for axis in sweep.axes) > 2000:
        return sweep
    grid = Grid(sweep)
    if grid.all_legal is not None and not len(grid.all_legal):
        return grid
    return grid.points(grid.draw(np.random.default_rng(0), 4)), grid.words


def _array(path: Path) -> object:
    from accelsim.operands.capture import _array as array

    return array(path)


def _arrays() -> list[bytes]:
    import numpy as np

    seeds = []
    for array in (np.zeros((1, 3, 4, 4), np.float32), np.arange(12, dtype=np.uint8).reshape(3, 4)):
        out = io.BytesIO()
        np.save(out, array)
        seeds.append(out.getvalue())
    return seeds


def _command(*words: object) -> None:
    """Call the command line; what it says of wrong options is a message like others."""
    import click

    from accelsim.cli import app
    from accelsim.errors import ConfigError

    try:
        app.main(args=[str(word) for word in words], prog_name="accelsim", standalone_mode=False)
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from None


def _pictures(path: Path, *kinds: str) -> None:
    """Make the page and pictures, which take long, of one file in 250."""
    if zlib.crc32(path.read_bytes()) % 250 == 0:
        _command("report", path, "-o", path.with_name("page.html"))
        for kind in kinds:
            _command("plot", path, kind, "-o", path.with_name("picture.png"))


def _page(path: Path) -> object:
    """Read a report and show it in every form."""
    from rich.console import Console

    from accelsim.report.document import to_json
    from accelsim.report.markdown import to_markdown
    from accelsim.report.reader import read_report
    from accelsim.report.rows import to_csv
    from accelsim.report.table import ResultView

    result = read_report(path)
    to_json(result), to_csv(result), to_markdown(result)
    Console(file=io.StringIO(), width=100).print(ResultView(result))
    _pictures(path, "breakdown", "roofline", "utilization", "timeline", "edp", "pareto", "account")
    return result


@cache
def _good_store() -> bytes:
    """Return a store of six points with layers, two of them illegal."""
    from accelsim.explore.sweep import run as sweep
    from benchmarks.fuzz.targets import ISOLATED

    text = ("name: tiny\nmachines: [systolic_ws_8]\nnetworks: [./rows.yaml]\n"
            "axes: {params.rows: [2, 4, 8], params.input_kib: [1, 64]}\nconstraints: [params.rows < 8]\n")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows.yaml").write_text(ISOLATED)
        (folder / "s.yaml").write_text(text)
        sweep.run(folder / "s.yaml", folder / "s.db", workers=0, keep_layers=True)
        return (folder / "s.db").read_bytes()


def _store(path: Path) -> object:
    """Export a store, show it, merge it with a good one, and resume its sweep."""
    from accelsim.errors import UserError
    from accelsim.explore.sweep import export
    from accelsim.explore.sweep.merge import merge
    from accelsim.explore.sweep.store import open_reader, open_writer

    ends: list[Any] = []

    def read() -> None:
        with open_reader(path) as opened:
            export.to_csv(export.rows(opened))
            export.to_csv(export.rows(opened, layers=True))

    def show() -> None:
        from accelsim.explore.sweep import choose

        choose.of_store(path, None, None)
        _pictures(path, "edp", "pareto", "breakdown", "account", "heatmap")

    def join() -> None:
        target, good = path.with_name("merged.db"), path.with_name("good.db")
        good.write_bytes(_good_store())
        target.unlink(missing_ok=True)
        merge([good, path], target)

    def resume() -> None:
        with open_writer(path) as opened:
            opened.done(), list(opened.rows()), opened.figures(list(opened.done()))

    for step in (read, show, join, resume):
        try:
            step()
        except UserError as error:
            ends.append(error)
    if ends:
        raise ends[0]
    return path


def _all(name: str, make: Any, **changes: Any) -> Target:
    return TARGETS[name]._replace(make=make, **changes)


plain = absurd.of_yaml()
ABSURD: dict[str, Target] = {
    "absurd/machine.yaml": _all("machine.yaml", absurd.of_yaml(absurd.machine)),
    "absurd/network.yaml": _all("network.yaml", absurd.of_yaml(absurd.network)),
    "absurd/sweep.yaml": _all("sweep.yaml", absurd.of_yaml(absurd.sweep), seeds=_texts(SWEEP, AXES, UNITS)),
    "absurd/search.yaml": Target(".yaml", _texts(AXES, UNITS), absurd.of_yaml(absurd.sweep), _grid),
    "absurd/energy.yaml": Target(".yaml", _files("accelsim/energy/tables/*.yaml"), plain, _table),
    "absurd/density.yaml": _all("density.yaml", plain),
    "absurd/density.csv": _all("density.csv", absurd.of_csv),
    "absurd/precision.yaml": _all("precision.yaml", plain),
    "absurd/precision.csv": Target(".csv", _texts(PRECISION_CSV), absurd.of_csv, _option("precision")),
    "absurd/mapping.yaml": _all("mapping.yaml", plain),
    "absurd/topology.csv": _all("topology.csv", absurd.of_csv),
    "absurd/gemm.csv": _all("gemm.csv", absurd.of_csv),
    "absurd/scalesim.cfg": _all("scalesim.cfg", absurd.of_lines),
    "absurd/model.onnx": _all("model.onnx", absurd_binary.model),
    "absurd/operands.npz": _all("operands.npz", absurd_binary.archive),
    "absurd/input.npy": Target(".npy", _arrays, absurd_binary.npy, _array),
    "absurd/matrix.npz": _all("matrix.npz", absurd_binary.archive),
    "absurd/matrix.mtx": _all("matrix.mtx", absurd.of_lines),
    "absurd/matrix.mtx.gz": _all("matrix.mtx.gz", absurd.of_packed_lines),
    "absurd/edges.txt": _all("edges.txt", absurd.of_lines),
    "absurd/dram.yaml": _all("dram.yaml", plain),
    "absurd/dram.trace": _all("dram.trace", absurd.of_lines),
    "absurd/report.json": _all("report.json", absurd.of_json, use=_page),
    "absurd/store.db": Target(".db", lambda: [_good_store()], absurd_binary.store, _store),
}
"""File -> how it is made absurd and used."""
