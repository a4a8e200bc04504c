"""The table of mutations fits the sources, and the runner can tell a test that notices from one that does not."""

import ast
import re
from collections import Counter

import pytest

from benchmarks.mutants import __main__ as command
from benchmarks.mutants import run, table
from benchmarks.mutants.table import Mutant

MUTANTS = table.load()


def test_there_are_mutations_of_every_kind_of_code():
    areas = Counter(mutant.area for mutant in MUTANTS)
    assert len(MUTANTS) >= 120
    assert set(areas) == {
        "explore", "importers", "kernels", "mapper", "memory", "operands", "plans", "prices", "replicas", "report",
        "residency",
    }  # fmt: skip
    assert min(areas.values()) >= 20
    assert [name for name, times in Counter(mutant.id for mutant in MUTANTS).items() if times > 1] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_mutation_finds_its_text_once_and_leaves_python(mutant):
    ast.parse(mutant.apply((run.ROOT / mutant.file).read_text(encoding="utf-8")))
    files = [word for word in mutant.tests if word.startswith("tests/")]
    assert files
    assert all((run.ROOT / word.partition("::")[0]).is_file() for word in files)


def test_few_survive_and_each_with_a_reason():
    explained = table.survivors()
    assert len(explained) <= 0.05 * len(MUTANTS)
    assert set(explained) <= {mutant.id for mutant in MUTANTS}
    assert all(len(reason.split()) > 5 for reason in explained.values())


def test_a_draw_is_the_same_for_the_same_seed_and_keeps_the_order():
    drawn = table.choose(MUTANTS, [], 20, "a")
    assert len(drawn) == 20
    assert drawn == table.choose(MUTANTS, [], 20, "a") != table.choose(MUTANTS, [], 20, "b")
    assert drawn == [mutant for mutant in MUTANTS if mutant in drawn]
    assert {mutant.area for mutant in table.choose(MUTANTS, ["prices"], None, "")} == {"prices"}
    with pytest.raises(ValueError, match="no such mutation or area: pricse"):
        table.choose(MUTANTS, ["pricse"], None, "")


def toy(name, old, new, tests="tests/test_toy.py"):
    return Mutant(name, "toy", "accelsim/__init__.py", old, new, tuple(tests.split()))


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    for name, text in {
        "accelsim/__init__.py": "def double(x):\n    return 2 * x\n\n\ndef unused():\n    return 1\n",
        "tests/test_toy.py": "from accelsim import double\n\n\n"
        "def test_doubles():\n    assert double(2) == 4\n\n\ndef test_more():\n    assert double(3) == 6\n",
        "tests/test_broken.py": "def test_broken():\n    assert False\n",
        ".venv-x/file": "",
    }.items():
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_text(text)
    return run.Tree(tmp_path / "copy", root)


def test_the_runner_names_the_test_that_kills_and_takes_every_mutation_back(tree):
    source = (tree.path / "accelsim" / "__init__.py").read_text()
    assert not (tree.path / ".venv-x").exists()
    found = [
        tree.judge(toy("killed", "2 * x", "x * x")),  # 2 * 2 is 2 + 2: only the second test sees it
        tree.judge(toy("survived", "return 1", "return 2")),
        tree.judge(toy("again", "2 * x", "3 * x")),
        tree.judge(toy("unfit", "2 * x", "2 * x", "tests/test_absent.py")._replace(new="2 * x ")),
    ]
    assert [(verdict.state, verdict.by) for verdict in found[:3]] == [
        ("killed", "tests/test_toy.py::test_more"),
        ("survived", ""),
        ("killed", "tests/test_toy.py::test_doubles"),
    ]
    assert found[3].state == "unfit"
    assert "test_absent.py" in found[3].by
    assert all(verdict.cpu_s > 0 for verdict in found)
    assert (tree.path / "accelsim" / "__init__.py").read_text() == source
    broken = found[0]._replace(by="tests/test_broken.py::test_broken")
    assert tree.failing(found) == []
    assert tree.failing([*found, broken]) == ["tests/test_broken.py::test_broken"]


def test_a_group_may_be_judged_without_the_compiler(tree):
    (tree.path / "tests" / "test_mode.py").write_text(
        "import os\n\n\ndef test_compiles():\n    assert os.environ['NUMBA_DISABLE_JIT'] == '0'\n"
    )
    compiled = toy("mode", "2 * x", "3 * x", "tests/test_mode.py")
    found = [tree.judge(compiled), tree.judge(compiled._replace(interpreted=True))]
    assert [verdict.state for verdict in found] == ["survived", "killed"]
    assert tree.failing(found) == ["tests/test_mode.py::test_compiles"]  # each in its own mode


@pytest.mark.parametrize(("old", "times"), [("3 * x", 0), ("return", 2)])
def test_a_text_that_is_gone_or_stands_twice_is_an_error(tree, old, times):
    with pytest.raises(ValueError, match=f"gone: the old text stands {times} times in accelsim/__init__.py"):
        tree.judge(toy("gone", old, "x"))


def test_a_mutation_without_end_is_stopped(tree, monkeypatch):
    monkeypatch.setattr(run, "CPU_LIMIT_S", 1)
    verdict = tree.judge(toy("endless", "    return 2 * x", "    while True:\n        x += 0"))
    assert verdict.state == "killed"
    assert "CPU" in verdict.by


@pytest.mark.parametrize(
    ("state", "explained", "unsound", "status", "said"),
    [
        ("killed", {}, [], 0, None),
        ("survived", {"m": "nobody can see it"}, [], 0, r"explained: m: nobody can see it"),
        ("survived", {}, [], 1, r"SURVIVED: m: accelsim/__init__.py"),
        ("unfit", {"m": "nobody can see it"}, [], 1, r"UNFIT: m"),
        ("killed", {"m": "nobody can see it"}, [], 0, r"take it off the list"),
        ("killed", {}, ["tests/test_toy.py::test_more"], 1, r"FAILS WITHOUT A MUTATION: tests/test_toy.py::test_more"),
    ],
)
def test_only_survivors_without_a_reason_fail_the_run(capsys, state, explained, unsound, status, said):
    verdict = run.Verdict(toy("m", "2 * x", "x"), state, "", 2.5)
    assert command.report([verdict], explained, unsound) == status
    text = capsys.readouterr().out
    assert re.search(r"^all +1 +", text, re.MULTILINE)
    assert said is None or re.search(said, text)
