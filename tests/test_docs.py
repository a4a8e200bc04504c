"""What the documents show must run."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim.cli import app
from accelsim.workload.matrix_names import data_file

ROOT = Path(accelsim.__file__).parents[1]

if not (ROOT / "docs").is_dir():
    pytest.skip("not a source tree", allow_module_level=True)

RESIDENCY = (ROOT / "docs" / "residency.md").read_text()


def blocks(document, language="yaml"):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def test_the_network_of_the_guide_runs_with_its_mapping(tmp_path):
    _, network, density, mapping, _ = blocks("docs/guide.md")
    for name, text in (("tiny", network), ("density", density), ("mapping", mapping)):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"conv1": yaml.safe_load(mapping)["conv1"]}))
    (tmp_path / "density.yaml").write_text(density.replace("'fc*'", "fc"))
    result = accelsim.simulate(
        "edge_npu", str(tmp_path / "tiny.yaml"), mapping=tmp_path / "mapping.yaml", density=tmp_path / "density.yaml",
        check=True,
    )  # fmt: skip
    assert result.complete
    assert all(layer.checked for layer in result.layers)
    assert result.layers[0].mapping_source == "pinned"


def test_the_attention_of_the_guide_runs_as_the_layers_that_it_names(tmp_path):
    (tmp_path / "block.yaml").write_text(blocks("docs/guide.md")[0])
    result = accelsim.simulate("edge_npu_128", str(tmp_path / "block.yaml"))
    assert [layer.name for layer in result.layers] == [
        f"block.{part}" for part in ("scores", "scale", "mask", "softmax", "context")
    ]
    assert {layer.parent for layer in result.layers} == {"block.attention"}
    assert result.macs == 2 * 12 * 128 * 1024 * 64


def test_the_table_of_the_guide_prices_its_component(tmp_path):
    (tmp_path / "mine.yaml").write_text(blocks("docs/guide.md")[4])
    command = ["show", "energy", "--arch", "diannao", "--set", f"energy.table={tmp_path / 'mine.yaml'}"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert re.search(r"macs.*mac .*0\.31 pJ", done.output), done.output


def test_the_loops_of_the_guide_are_those_of_the_run_that_it_names(tmp_path):
    text = (ROOT / "docs" / "guide.md").read_text()
    command, loops = re.search(r"`accelsim (run [^`]*)`, sizes in words.*?```text\n(.*?)```", text, re.DOTALL).groups()
    CliRunner().invoke(app, [*command.split(), "--no-pictures", "-o", str(tmp_path)], catch_exceptions=False)
    assert f"```text\n{loops}```" in (tmp_path / "report.md").read_text()


def test_the_remedy_of_the_guide_is_one_that_a_run_tells(tmp_path):
    line = re.search(r"`(params\.dataflow=os: [^`]*)`", (ROOT / "docs" / "guide.md").read_text())[1]
    run = ["run", "systolic_ws", "alexnet", "--no-pictures", "-o", str(tmp_path)]
    done = CliRunner().invoke(app, run, catch_exceptions=False)
    assert " ".join(line.split()) in done.output


@pytest.mark.parametrize("document", ["README.md", "docs/reports.md"])
def test_the_errors_of_estimates_are_those_of_the_validation(document):
    report = (ROOT / "reports" / "validation.md").read_text()
    power, area = (re.search(rf"\| {kind} \| \d+ \| \d+ \| ([\d.]+) %", report)[1] for kind in ("power", "area"))
    said = f"median error is {float(power):.0f} % of power and {float(area):.0f} % of area"
    assert said in " ".join((ROOT / document).read_text().split())


def test_the_machine_of_the_readme_loads(tmp_path):
    (text,) = blocks("README.md")
    (tmp_path / "my_array.yaml").write_text(text)
    arch = accelsim.load_arch(str(tmp_path / "my_array.yaml"))
    assert (arch.name, arch.config["params"]["rows"]) == ("my_array", 64)


def test_the_snippet_of_the_readme_runs(capsys):
    (code,) = blocks("README.md", "python")
    exec(code, {})
    assert "conv1" in capsys.readouterr().out


def test_the_comparison_the_names_and_the_trace_of_the_reports_page_run(capsys):
    comparison, names, trace = blocks("docs/reports.md", "python")
    exec(comparison, {})
    assert "vgg16 eyeriss" in capsys.readouterr().out
    exec(names, {})
    exec(trace, {})
    assert "leaves out" in capsys.readouterr().out


def test_the_snippets_of_the_python_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in blocks("docs/python.md", "python"):
        exec(code, names)
    assert names["both"].archs == ("edge_npu", "edge_npu_128")
    assert names["result"].batch == 4
    assert {path.name for path in tmp_path.glob("o*/*")} >= {"report.json", "run.html", "breakdown.png"}


def test_the_prices_of_the_guide_run(capsys):
    (code,) = blocks("docs/guide.md", "python")
    exec(code, {})
    assert "65nm scaled to 36 nm" in capsys.readouterr().out


def test_the_table_of_the_reports_page_is_what_the_command_prints(tmp_path):
    text = (ROOT / "docs" / "reports.md").read_text()
    command, *lines = re.search(r"```\n\$ accelsim (compare .*?)\n```", text, re.DOTALL)[1].splitlines()
    args = [*command.split()[:-1], str(tmp_path)]
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.output.splitlines()[:-1] == lines[:-1]


def test_every_kind_of_picture_is_described():
    from accelsim.cli.plot import KINDS

    described = re.findall(r"^\| `(\w+)` ", (ROOT / "docs" / "reports.md").read_text(), re.MULTILINE)
    assert sorted(described) == sorted(KINDS)


def test_every_command_is_in_the_readme_or_the_guide():
    from accelsim.cli import COMMANDS

    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "guide.md").read_text()
    for name in COMMANDS:
        assert f"accelsim {name}" in text, name


def test_links_between_documents_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(r"`((?:docs|accelsim|tests|examples|reports)/[\w./-]+)`", path.read_text()):
            assert (ROOT / name).exists() or "<" in name or "*" in name or "dot" in name or "out" in name, (path, name)


def test_the_table_of_the_dram_page_is_what_the_command_prints():
    (shown,) = re.findall(r"```\n\$ accelsim (dram .*?)\n```", (ROOT / "docs/dram.md").read_text(), re.DOTALL)
    command, *lines = shown.splitlines()
    done = CliRunner().invoke(app, command.split(), catch_exceptions=False)
    assert done.output.splitlines() == lines


TRACE = "summary-gpt2-small-wikitext2-per8.csv.gz"


@pytest.mark.parametrize(
    "shown", re.findall(r"```\n\$ accelsim (.*?)\n```", (ROOT / "docs/replicas.md").read_text(), re.DOTALL)
)
def test_the_tables_of_the_replicas_page_are_what_the_commands_print(shown):
    command, *lines = shown.splitlines()
    trace = data_file("spatten_gpt2_small_trace.csv.gz")
    if TRACE in command and trace is None:
        pytest.skip("ACCELSIM_DATA has no spatten_gpt2_small_trace.csv.gz")
    args = [str(trace) if word == TRACE else word for word in command.split()]
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.output.splitlines() == lines


@pytest.mark.parametrize("shown", re.findall(r"```\n\$ accelsim (plan .*?)\n```", RESIDENCY, re.DOTALL))
def test_what_the_residency_page_shows_is_what_the_command_prints(shown):
    command, *lines = shown.splitlines()
    done = CliRunner().invoke(app, command.split(), catch_exceptions=False)
    printed = [line.rstrip() for line in done.output.splitlines()]
    assert printed[: len(lines) - 1] == lines[:-1]
    assert lines[-1] == "..."


def test_the_snippet_of_the_residency_page_runs(capsys):
    (code,) = blocks("docs/residency.md", "python")
    exec(code, {})
    assert "optimal 1728616 ['conv1.relu.output']" in capsys.readouterr().out
