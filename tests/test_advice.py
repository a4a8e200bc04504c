"""Advice that was tried: what is printed is what a run with the keys set gives."""

import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from accelsim import advice as advising
from accelsim.activity import CAUSES
from accelsim.advice import advice
from accelsim.cli import app
from accelsim.config import packaged
from accelsim.config.arch import parse_set
from accelsim.engines import registry
from accelsim.report import facts, run_page, words
from accelsim.report.document import document
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.simulation import load_arch, load_network, simulate

PAIRS = [
    ("eie", "eie_benchmarks", "Alex-8"),
    ("eyeriss", "alexnet", "conv3"),
    ("nvdla_full", "alexnet", "*"),
    ("cnvlutin", "alexnet", "*"),
    ("cambricon_x", "alexnet", "*"),
    ("snapea", "alexnet", "conv3"),
    ("bismo", "alexnet", "*"),
    ("systolic_ws", "alexnet", "*"),
    ("systolic_os", "mobilenet_v2", "*"),
    ("tpu_v1", "resnet50", "*"),
    ("diannao", "alexnet", "*"),
    ("stripes", "alexnet", "*"),
    ("loom", "alexnet", "*"),
    ("bitfusion", "bitfusion_alexnet", "*"),
    ("unpu", "alexnet", "*"),
    ("scnn", "alexnet", "*"),
    ("dcnn", "alexnet", "*"),
    ("edge_npu", "onnx:squeezenet", "*"),
]


@pytest.mark.parametrize(("arch", "network", "layers"), PAIRS, ids=lambda name: name)
def test_the_gain_that_is_printed_is_that_of_a_run_with_the_key_set(arch, network, layers):
    machine, net = load_arch(arch), load_network(network)
    result = simulate(machine, net, layers=layers)
    lines = words.advice(replace(result, advice=advice(machine, net, result, walk=True, layers=layers)))
    gains = [line for line in lines if "cycles" in line]
    assert gains
    shares = []
    for line in gains:
        keys, _, changes = line.partition(": ")
        sets = [parse_set(text) for text in keys.split(", ")]
        batch = dict(sets).get("batch", result.batch)
        changed = load_arch(arch, [pair for pair in sets if pair[0] != "batch"])
        again = simulate(changed, net, batch=batch, layers=layers)
        saved = 1 - again.cycles / batch / (result.cycles / result.batch)
        more = again.total_energy_pj / batch / (result.total_energy_pj / result.batch) - 1
        assert changes.split(", ")[0].startswith(f"-{words.percent(saved)} cycles")
        energy = "energy" if abs(more) < 0.001 else f"{'+' if more > 0 else '-'}{words.percent(abs(more))} energy"
        assert changes.split(", ")[1].startswith(energy)
        shares.append(saved)
    assert shares == sorted(shares, reverse=True)
    assert min(shares) >= advising.WORTH


def test_overlapping_folds_and_a_larger_batch_are_named_for_a_ramp():
    machine, net = load_arch("systolic_ws"), load_network("alexnet")
    result = simulate(machine, net)
    keys = [dict(tried.sets) for tried in advice(machine, net, result).gained]
    assert {"params.overlap_folds": True} in keys
    assert {"batch": 4} in keys


def test_a_machine_that_is_walked_is_tried_only_when_asked_for():
    machine, net = load_arch("eyeriss"), load_network("alexnet")
    result = simulate(machine, net, layers="conv3")
    found = advice(machine, net, result, layers="conv3")
    assert not found.tried
    why = "1 of 1 layers are walked, not computed in closed form"
    assert found.left_out == f"remedies, since {why}; --advice tries them"
    assert advice(machine, net, result, walk=True, layers="conv3").tried


def test_an_engine_says_itself_that_its_trials_are_dear():
    machine, net = load_arch("systolic_ws", [("params.whole_weight_tiles", True)]), load_network("alexnet")
    found = advice(machine, net, simulate(machine, net, layers="conv3"), layers="conv3")
    assert not found.tried
    why = "mappings with whole weight tiles are stepped one by one"
    assert found.left_out == f"remedies, since {why}; --advice tries them"


@pytest.mark.parametrize("engine", registry.modules())
def test_every_engine_suggests_keys_of_its_own_against_known_causes(engine):
    sets = [("params.split_rows", False)] if engine == "nullhop" else []  # the packaged one has what can be had
    machines = [load_arch(name) for name in packaged.names("arch_configs")]
    machines = [load_arch(arch.name, sets) for arch in machines if engine in [unit.engine for unit in arch.units]]
    params = [unit.params for arch in machines for unit in arch.units if unit.engine == engine]
    remedies = [remedy for each in params for remedy in registry.get(engine).remedies(each)]
    assert remedies
    assert {key for remedy in remedies for key in remedy.sets} <= set(registry.get(engine).params_schema.model_fields)
    assert {cause for remedy in remedies for cause in remedy.causes} <= set(CAUSES)


def test_trials_stop_at_their_budget_and_name_what_was_left_out(monkeypatch):
    machine, net = load_arch("systolic_ws"), load_network("alexnet")
    result = simulate(machine, net)
    monkeypatch.setattr(advising, "MOST_LAYERS", 2 * len(result.simulated))
    found = advice(machine, net, result)
    assert found.tried == 2
    assert re.fullmatch(r"params\.\S+.*, since trials take at most 16 layers", found.left_out)


def test_a_remedy_that_the_machine_refuses_is_dropped():
    machine = load_arch("systolic_os", [("params.drain", "rows")])
    assert any("dataflow" in remedy.sets for remedy in registry.get("systolic").remedies(machine.units[0].params))
    net = load_network("alexnet")
    result = simulate(machine, net)
    found = advice(machine, net, result)
    assert not any("params.dataflow" in tried.sets for tried in found.gained)


def test_bandwidth_is_not_the_answer_to_elementwise_work_behind_its_producer():
    result = simulate("edge_npu", "onnx:squeezenet")
    for layer in result.simulated:
        if layer.name in result.joins and facts.worst_cause(layer) == "memory":
            sentence = words.why(result, [layer])
            assert f"folded into {result.joins[layer.name]}, the product before it" in sentence
            assert "bits/cycle" not in sentence
            break
    else:
        pytest.fail("no such layer")


@pytest.fixture(scope="module")
def advised():
    machine, net = load_arch("systolic_ws"), load_network("alexnet")
    result = simulate(machine, net)
    return replace(result, advice=advice(machine, net, result))


def test_every_form_of_the_report_tells_remedies(advised, tmp_path):
    line = "params.overlap_folds=true: -54 % cycles"
    assert line.replace("_", "\\_") in to_markdown(advised)
    assert line in run_page.to_html(advised)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(document(advised)))
    assert words.advice(read_report(file)) == words.advice(advised)


def test_only_tables_are_advised_unless_asked():
    def printed(*options):
        found = CliRunner().invoke(app, ["run", "systolic_ws", "alexnet", *options])
        assert found.exit_code == 0, found.output
        return found.stdout

    plain = json.loads(printed("--format", "json"))
    asked = json.loads(printed("--format", "json", "--advice"))
    assert "advice" not in plain
    assert asked.pop("advice")["gained"]
    assert asked == plain
    assert "## Remedies" in printed("--format", "markdown", "--advice")


def test_a_table_tells_remedies_unless_told_not_to(tmp_path):
    run = ["run", "systolic_ws", "alexnet", "--no-pictures", "-o", str(tmp_path)]
    assert "params.overlap_folds=true: -54 % cycles" in CliRunner().invoke(app, run).stdout
    assert "overlap_folds=true" not in CliRunner().invoke(app, [*run, "--no-advice"]).stdout
