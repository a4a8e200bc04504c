"""Every file a user may give: damaged or made absurd a few hundred times here, thousands of times by ``make fuzz``."""

import os
import time
from collections import Counter

import pytest

from accelsim.errors import ConfigError
from benchmarks.fuzz import absurd_targets, run, targets, watch

COUNT = int(os.environ.get("ACCELSIM_FUZZ", "500"))


@pytest.mark.parametrize("name", targets.TARGETS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_damaged_file_gives_a_result_or_one_line(name):
    outcome = run.fuzz(name, COUNT)
    assert outcome.defects == []
    assert sum(outcome.ends.values()) == COUNT
    assert outcome.ends["message"] > COUNT // 10, "the mutations hardly damage anything"
    assert outcome.ends["result"] > 0, "the mutations reach nothing behind the parser"


@pytest.mark.parametrize("name", absurd_targets.ABSURD)
@pytest.mark.filterwarnings("ignore")
def test_a_whole_file_that_makes_no_sense_gives_a_result_or_one_line(name):
    outcome = run.fuzz(name, COUNT)
    assert outcome.defects == []
    assert sum(outcome.ends.values()) == COUNT
    assert outcome.ends["message"] > COUNT // 10, "the files hardly are absurd"
    assert outcome.ends["result"] > 0, "every file is refused: nothing behind the checks is reached"


def raises(error):
    def use(path):
        raise error

    return use


def opens_another_file(path):
    open("/etc/hostname").close()


def starts_a_program(path):
    os.system("true")


def ends_the_process(path):
    if path.read_bytes() == b"1":
        os._exit(7)


def waits(path):
    time.sleep(5)


def computes(path):
    end = time.process_time() + 5
    while time.process_time() < end:
        pass


def asks_for_memory(path):
    b"x" * (watch.peak_bytes() + watch.LIMIT_BYTES)


@pytest.mark.parametrize(
    ("use", "defect"),
    [
        (raises(KeyError("x")), "KeyError"),
        (raises(ConfigError("")), "unclear message"),
        (raises(ConfigError("x" * 20 + " y" * 600)), "unclear message"),
        (opens_another_file, "forbidden: opened /etc/hostname"),
        (starts_a_program, "forbidden: os.system"),
        (ends_the_process, "the process ended with status 1792"),
        (waits, "took more than"),
        (computes, "took more than"),
        (asks_for_memory, "asked for more than 64 MiB"),
    ],
)
def test_the_watcher_notices(use, defect, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "LIMIT_S", 0.5)
    monkeypatch.setattr(watch, "HANGS_S", 0.5)
    monkeypatch.setattr(watch, "LIMIT_BYTES", 64 << 20)
    inputs = [b"0", b"1", b"2"] if use is ends_the_process else [b"1"]
    outcome = watch.run(use, iter(inputs), tmp_path / "input")
    assert [d.what.startswith(defect) for d in outcome.defects] == [True], outcome
    assert sum(outcome.ends.values()) == len(inputs), "inputs after a crash run too"


def test_good_files_and_mistakes_are_no_defects(tmp_path):
    outcome = watch.run(lambda path: path.read_bytes(), iter([b"1"]), tmp_path / "input")
    assert outcome == watch.Outcome(Counter(result=1), [])
    outcome = watch.run(raises(ConfigError("a mistake", "mend it")), iter([b"1"]), tmp_path / "input")
    assert outcome == watch.Outcome(Counter(message=1), [])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_inputs_do_not_depend_on_how_many_there_are():
    for name in ("density.yaml", *absurd_targets.ABSURD):
        assert list(run.inputs(name, 2, first=3)) == list(run.inputs(name, 5))[3:], name
