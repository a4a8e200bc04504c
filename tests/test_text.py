"""What other libraries say of a failure is repeated in one line of bounded length."""

import numpy as np
import pytest

from accelsim.errors import ConfigError, WorkloadError
from accelsim.operands.files import read_npz
from accelsim.text import quoted
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Linear


@pytest.mark.parametrize(
    ("said", "shown"),
    [("first\nsecond", "first"), ("  two   words \n", "two words"), ("", "ValueError"), ("x" * 5000, "x" * 200)],
)
def test_the_first_line_of_a_foreign_message_is_quoted_and_cut(said, shown):
    assert quoted(ValueError(said)) == shown


def test_a_damaged_archive_is_named_without_all_its_bytes(tmp_path):
    layer, tensors = make_layer("fc", Linear(n=1, c=100, k=100))
    path, name = tmp_path / "a.npz", b"fc.weight.npy"
    np.savez(path, **{"fc.weight": np.full((100, 100), -99, dtype=np.int8)})
    packed = bytearray(path.read_bytes())
    at = packed.index(name)
    packed[at - 4 : at - 2] = (2000).to_bytes(2, "little")  # the length of its name, which takes the data in
    path.write_bytes(packed)
    with pytest.raises(WorkloadError) as failed:
        read_npz(path, Network("n", (layer,), tensors, isolated=True))
    assert "cannot be read as .npz" in str(failed.value)
    assert len(str(failed.value)) < len(str(path)) + 300


@pytest.mark.parametrize("name", ["a.yaml", "a.csv", "a.json", "a.onnx", "a.trace", "a.sqlite"])
def test_every_reader_of_files_says_alike_why_it_cannot_read_one(tmp_path, name):
    from accelsim.config import csvfile, schedule_file, yamlfile
    from accelsim.explore.sweep import store
    from accelsim.memory.device import traces
    from accelsim.passes import profile
    from accelsim.report import reader
    from accelsim.workload.onnx import file

    readers = {
        "a.yaml": [yamlfile.read],
        "a.csv": [lambda path: csvfile.read(path, ["a"]), lambda path: profile._from_csv(path, "density")],
        "a.json": [schedule_file.keys, reader.read_report],
        "a.onnx": [lambda path: file.read_model(path, str(path))],
        "a.trace": [traces.read],
        "a.sqlite": [store._check_header],
    }
    (tmp_path / name).mkdir()
    for path, why in ((tmp_path / name, "Is a directory"), (tmp_path / f"none-{name}", "No such file or directory")):
        for read in readers[name]:
            with pytest.raises(ConfigError) as failed:
                read(path)
            assert str(failed.value).startswith(f"{path}: cannot be read ({why}); ")
