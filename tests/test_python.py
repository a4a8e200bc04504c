"""What Python users meet: names, short texts, tables, pictures, files, and values in place of paths."""

import doctest
import json
import subprocess
import sys
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest

import accelsim
from accelsim import api, progress
from accelsim.cli import main
from accelsim.config import packaged


@pytest.fixture(scope="module")
def small():
    return accelsim.simulate("systolic_ws_8", "onnx:squeezenet")


@pytest.fixture(scope="module")
def large():
    return accelsim.simulate("edge_npu", "onnx:squeezenet")


def run(*argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    return stop.value.code, capsys.readouterr()


def test_dir_names_what_is_public_and_nothing_else():
    assert dir(accelsim) == sorted(accelsim.__all__)
    assert all(getattr(accelsim, name) is not None for name in dir(accelsim))


def test_examples_in_docstrings_print_what_they_say():
    for module in (accelsim, api):
        found = doctest.testmod(module)
        assert found.attempted > 1
        assert found.failed == 0


def test_everything_prints_as_one_short_line(small, large):
    things = [small, small.layers[0], small.layers[1], small.compare(large), accelsim.load_arch("edge_npu"),
              accelsim.load_network("net:resnet50"), small.plot()]  # fmt: skip
    for thing in things:
        assert len(repr(thing)) < 200
        assert "\n" not in repr(thing)
    assert "26 of 57 layers" in repr(small)
    assert f"{small.cycles:,} cycles" in repr(small)
    assert small.layers[0].name in repr(small.layers[0])


def test_a_notebook_shows_the_table_of_the_terminal_with_texts_escaped(small, large):
    assert "conv1" in small._repr_html_()
    assert "<pre" in small._repr_html_()
    fields = {name: getattr(small, name) for name in small.__dataclass_fields__}
    evil = api.Result(**{**fields, "network": "<script>alert(1)</script>"})
    assert "<script>" not in evil._repr_html_()
    assert "systolic_ws_8" in small.compare(large)._repr_html_()


def test_a_frame_has_the_rows_of_layers_csv_with_the_energy_of_each_component(small):
    frame = small.to_pandas()
    assert len(frame) == len(small.layers)
    energies = [name for name in frame if name.startswith("energy_")]
    assert frame[energies].sum().sum() == pytest.approx(small.alone.total_energy_pj, rel=1e-12)


@pytest.mark.parametrize("kind", api.KINDS)
def test_a_result_draws_itself(small, kind, tmp_path):
    clocked = {"gantt": "systolic_ws_8", "buffers": "edge_npu_l2"}
    drawn = accelsim.simulate(clocked[kind], "onnx:squeezenet", schedule="network") if kind in clocked else small
    picture = drawn.plot(kind)
    pixels = matplotlib.image.imread(picture.save(tmp_path / "p.png"))
    assert pixels.shape[0] > 100
    assert picture._repr_png_() == (tmp_path / "p.png").read_bytes()


def test_an_unknown_picture_is_named_with_the_known_ones(small):
    with pytest.raises(accelsim.UserError, match="'pie' is no picture of a run; use breakdown, roofline"):
        small.plot("pie")


def test_saved_files_are_those_of_the_command_line(small, tmp_path, capsys):
    small.save(tmp_path / "python", pictures=False)
    code, _ = run("run", "systolic_ws_8", "onnx:squeezenet", "-o", str(tmp_path / "cli"), "--no-pictures",
                  "--format", "csv", capsys=capsys)  # fmt: skip
    assert code == 0
    for name in ("report.json", "layers.csv", "report.md"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "cli" / name).read_bytes()
    assert "<html" in small.report(tmp_path / "page.html").read_text()


def test_kept_tiles_are_saved_as_a_trace(tmp_path):
    accelsim.simulate("systolic_ws_8", "alexnet", layers="conv1", trace=True).save(tmp_path, pictures=False)
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_results_compare_as_their_machines_do(small, large, tmp_path):
    ours = small.compare(large)
    theirs = accelsim.compare(["systolic_ws_8", "edge_npu"], ["onnx:squeezenet"])
    assert ours.to_rows() == theirs.to_rows()
    assert len(ours.to_pandas()) == 2
    assert (tmp_path / "compare.json") in ours.save(tmp_path)
    with pytest.raises(accelsim.UserError, match="two results of 'edge_npu' on 'light_squeezenet'"):
        large.compare(large)


def test_machines_and_networks_may_be_built_in_python():
    wide = accelsim.load_arch({"name": "wide", "base": "systolic_ws_8", "params": {"cols": 64}})
    assert wide.units == accelsim.load_arch("systolic_ws_8").replace("params.cols", 64).units
    net = {"name": "mine", "isolated": True, "layers": [{"name": "a", "kind": "linear", "n": 1, "c": 64, "k": 32}]}
    assert accelsim.simulate(wide, net).macs == 64 * 32
    assert accelsim.compare([wide, {"name": "narrow", "base": "systolic_ws_8"}], [net]).archs == ("wide", "narrow")
    with pytest.raises(accelsim.UserError, match=r"<machine>: params.colz: unknown key; did you mean 'cols'"):
        accelsim.load_arch({"base": "systolic_ws_8", "params": {"colz": 64}})
    with pytest.raises(accelsim.UserError, match="<network>: holds values other than"):
        accelsim.load_network({"name": object()})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("density", "conv*: {weight: 0.3, input: 0.5}", {"conv*": {"weight": 0.3, "input": 0.5}}),
        ("precision", "conv2: {weight: 4}", {"conv2": {"weight": 4}}),
    ],
)
def test_values_stand_for_files_of_densities_and_widths(tmp_path, key, text, value):
    (tmp_path / "file.yaml").write_text(f"layers: {{{text}}}")
    plain, of_file, of_values = (
        accelsim.simulate("scnn", "alexnet", layers="conv2", **{key: given}).to_rows()
        for given in (None, tmp_path / "file.yaml", value)
    )
    assert of_file == of_values != plain


def test_mistakes_in_values_are_named_as_in_files():
    with pytest.raises(accelsim.UserError, match=r"<density of layers>: layers.conv2.weight: 3 is too large"):
        accelsim.simulate("scnn", "alexnet", density={"conv2": {"weight": 3}})
    with pytest.raises(accelsim.UserError, match=r"<pinned mappings>: conv1.rowz: unknown key"):
        accelsim.simulate("eyeriss", "alexnet", mapping={"conv1": {"rowz": 3}})


def test_arrays_stand_for_an_archive_of_operands(tmp_path):
    values = np.arange(96 * 3 * 11 * 11).reshape(96, 3, 11, 11) % 5
    np.savez(tmp_path / "o.npz", **{"conv1.weight": values})
    runs = [accelsim.simulate("eyeriss", "alexnet", layers="conv1", operands=given, check=True)
            for given in (tmp_path / "o.npz", {"conv1.weight": values})]  # fmt: skip
    assert runs[0].to_rows() == runs[1].to_rows()
    assert runs[1].layers[0].checked
    with pytest.raises(accelsim.UserError, match=r"<operands>: array 'conv1.weight' is \(3,\)"):
        accelsim.simulate("eyeriss", "alexnet", operands={"conv1.weight": np.zeros(3)})


def test_packaged_mappings_and_profiles_go_by_name(capsys):
    by_name = accelsim.simulate("eyeriss", "alexnet", batch=4, mapping="eyeriss_jssc17", density="alexnet_eyeriss")
    files = packaged.files_beside("mappings")["eyeriss_jssc17"], packaged.files_beside("profiles")["alexnet_eyeriss"]
    by_path = accelsim.simulate("eyeriss", "alexnet", batch=4, mapping=files[0], density=files[1])
    assert by_name.to_rows() == by_path.to_rows() != accelsim.simulate("eyeriss", "alexnet", batch=4).to_rows()
    code, said = run("run", "eyeriss", "alexnet", "--mapping", "eyeris_jssc17", capsys=capsys)
    problem = "error: no file of pinned mappings is called 'eyeris_jssc17'; did you mean 'eyeriss_jssc17'?\n"
    assert (code, said.err) == (2, problem)
    code, said = run("compare", "eyeriss", "--network", "alexnet", "--density", "alexnet_hn2015", capsys=capsys)
    assert (code, said.err.count("\n")) == (2, 1)
    assert "did you mean 'alexnet_han2015'?" in said.err
    code, said = run("list", "mapping", capsys=capsys)
    assert code == 0
    assert "eyeriss_jssc17 " in said.out


def test_a_file_of_mappings_may_speak_of_layers_that_are_not_selected():
    found = accelsim.simulate("eyeriss", "alexnet", batch=4, layers="conv1", mapping="eyeriss_jssc17")
    assert [layer.mapping_source for layer in found.simulated] == ["pinned"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("accelsim run edge_", {"edge_npu", "edge_npu_128"}),
        ("accelsim run edge_npu net:bert", {"net:bert_base"}),
        ("accelsim compare scnn dc", {"dcnn", "dcnn_opt"}),
        ("accelsim run eyeriss alexnet --mapping eyeriss_jssc17_", {"eyeriss_jssc17_vgg16"}),
        ("accelsim show sys", {"systolic", "systolic_is", "systolic_ws_128"}),
    ],
)
def test_a_shell_completes_the_names_of_what_is_packaged(words, expected, monkeypatch, capfd):
    monkeypatch.setenv("_ACCELSIM_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert expected <= {line.partition(",")[2] for line in capfd.readouterr().out.splitlines()}


def test_a_notebook_counts_as_somebody_who_sees_a_bar(monkeypatch):
    assert not progress.in_notebook()
    kernel = type("ZMQInteractiveShell", (), {})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=kernel))
    assert progress.in_notebook()


def test_progress_is_heard_by_a_function_or_shown_as_a_bar():
    seen = []
    accelsim.simulate("systolic_ws_8", "alexnet", layers="conv1", progress=lambda *heard: seen.append(heard))
    assert (seen[0][0], seen[-1][1:]) == ("conv1", (8, 8))
    assert accelsim.simulate("systolic_ws_8", "alexnet", layers="conv1", progress=True).cycles


def test_importing_accelsim_loads_nothing_of_weight():
    heavy = "('numpy', 'numba', 'pydantic', 'click', 'rich', 'matplotlib', 'yaml')"
    code = f"import sys, accelsim; print(*(m for m in sys.modules if m.partition('.')[0] in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
