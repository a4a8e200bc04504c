"""What fuzzing and thought have found: sizes before memory, messages that can be read, counts that cannot wrap."""

import io
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim.errors import ConfigError, UserError, WorkloadError
from accelsim.explore.sweep.schema import read_sweep
from accelsim.mapping import nest_kernel
from accelsim.mapping.loopnest import layer_row
from accelsim.operands.handle import MAX_DRAWN, of
from accelsim.report.document import to_json
from accelsim.report.reader import read_report
from accelsim.workload.network import Network, make_layer
from accelsim.workload.npy_file import check_npy, check_npz
from accelsim.workload.shapes import Conv2d, Linear, Pool

ROOT = Path(accelsim.__file__).parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def single(shape, **changes):
    layer, tensors = make_layer("a", shape)
    network = Network("n", (layer,), tensors, isolated=True)
    if changes:
        network = network.with_tensors({k: type(v)(**{**vars(v), **changes}) for k, v in tensors.items()})
    return network


# --- text


def test_a_control_character_in_yaml_is_named_with_its_line(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("name: m\nbase: systolic_ws\nparams: {rows: \x00 8}\n")
    with pytest.raises(ConfigError, match=r"m.yaml:3: character U\+0000 is not allowed in YAML; remove it"):
        accelsim.load_arch(str(path))


def test_what_a_terminal_would_obey_is_spelt_out():
    assert str(ConfigError("key '\x1b[31m\ud7ff'", "drop it")) == "key '\\x1b[31m\\ud7ff'; drop it"


def test_a_word_that_fills_the_screen_is_cut():
    text = str(ConfigError(f"unknown column '{'x' * 5000}'", "use layer"))
    assert len(text) < 300
    assert text.endswith("x...; use layer") or text.endswith("x... use layer")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1" + "0" * 400])
def test_a_range_has_finite_ends(value, tmp_path):
    path = tmp_path / "s.yaml"
    axes = f"axes: {{params.rows: {{from: 1, to: {value}, step: 1}}}}"
    path.write_text(f"name: s\nmachines: [systolic_ws]\nnetworks: [alexnet]\n{axes}\n")
    with pytest.raises(ConfigError, match=r"s\.yaml:4: axes\.params\.rows\.to"):
        read_sweep(path)


def test_aliases_of_aliases_are_counted_before_they_are_built(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="more than 300,000 values"):
        accelsim.load_network(str(path))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch {}']", "!!python/name:os.system ''"])
def test_yaml_starts_nothing(tag, tmp_path):
    mark = tmp_path / "mark"
    path = tmp_path / "m.yaml"
    path.write_text(f"name: {tag.format(mark)}\n")
    with pytest.raises(UserError):
        accelsim.load_arch(str(path))
    assert not mark.exists()


# --- archives


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", ["operands", "matrix"])
def test_pickled_objects_in_an_archive_are_refused_unread(kind, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
        for name in ("a.weight.npy", "data.npy", "format.npy", "shape.npy"):
            archive.writestr(name, header.getvalue() + pickle.dumps(Evil(mark)))
    network = single(Linear(n=1, c=4, k=4))
    reads = {
        "matrix": partial(accelsim.load_network, str(path)),
        "operands": partial(accelsim.simulate, "systolic_ws_8", network, operands=path),
    }
    with pytest.raises(WorkloadError, match="holds Python objects, which are never read"):
        reads[kind]()
    assert not mark.exists()


def array_bytes(shape, body=b"\0" * 64, descr="<i8"):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + body


@pytest.mark.parametrize("shape", [(9,), (2**40,), (2**40, 2**40), (-1,)])
def test_a_header_that_promises_more_than_the_file_holds_is_refused(shape, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(array_bytes(shape))
    with pytest.raises(ValueError, match="is cut off: its header says"):
        check_npy(path)
    packed = tmp_path / "x.npz"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", path.read_bytes())
    with pytest.raises(ValueError, match="array 'a' is cut off"):
        check_npz(packed, 2**30)


@pytest.mark.parametrize("shape", [(8,), (2, 4), (), (0, 2**40)])
def test_a_header_that_fits_is_taken(shape, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(array_bytes(shape))
    check_npy(path)
    assert np.load(path).shape == shape


@pytest.mark.parametrize("damage", [b"'descr'", b"}", b"<i8", b"(8,)", b"\x93NUMPY"])
def test_a_damaged_header_is_one_line(damage, tmp_path):
    path = tmp_path / "x.npy"
    whole = array_bytes((8,))
    assert damage in whole
    path.write_bytes(whole.replace(damage, b"(" * len(damage), 1))
    with pytest.raises(ValueError, match="has a damaged header"):
        check_npy(path)


def test_a_member_is_looked_at_whatever_its_name(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.weight", array_bytes((8,)).replace(b"}", b"("))
    with pytest.raises(ValueError, match=r"array 'a\.weight' has a damaged header"):
        check_npz(path, 2**20)


def test_an_archive_of_zeros_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * 2**21)
    with pytest.raises(ValueError, match="unpacks to more than"):
        check_npz(path, 2**20)


# --- reports


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"boundary": "dram"', '"boundary": 7'),
        ('"units": 64', '"units": "many"'),
        ('"primary": "pes"', '"primary": "no"'),
        ('"cycles": ', '"cycles": 0.5e'),
        ('"clock_mhz": ', '"clock_mhz": -0'),
    ],
)
def test_a_report_that_was_tampered_with_is_no_report(old, new, tmp_path):
    text = to_json(accelsim.simulate("systolic_ws_8", single(Linear(n=1, c=64, k=64))))
    assert old in text
    path = tmp_path / "report.json"
    path.write_text(text)
    read_report(path)
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=r"this is no report.json"):
        read_report(path)


# --- sizes


def runs_of(conv, axis, size, tile):
    """Return how often, extent, inputs under it, whether first and last, of the runs of pieces along an axis."""
    row, runs = np.array(layer_row(conv, (8, 8, 8), (True,) * 3), dtype=np.int64), np.zeros((99, 5), dtype=np.int64)
    return runs[: nest_kernel.fill_runs(row, axis, size, tile, runs)].tolist()


def test_tiles_of_a_very_long_image_are_counted_without_listing_them():
    conv = Conv2d(n=1, c=8, k=8, h=12, w=2**31 - 1, r=3, s=3, pad=(1, 1, 1, 1))
    times, extents, inputs, *_ = np.array(runs_of(conv, 3, conv.f, 1)).T
    assert len(times) == 3
    assert times.sum() == times @ extents == conv.f
    assert times @ inputs == 3 * conv.f - 2


@pytest.mark.parametrize("seed", range(200))
def test_counted_tiles_equal_the_listed_ones(seed):
    rng = np.random.default_rng(seed)
    r, stride, dilation, pad = (int(rng.integers(low, high)) for low, high in ((1, 8), (1, 5), (1, 4), (0, 9)))
    h = int(rng.integers(max(1, (r - 1) * dilation + 1 - 2 * pad), 60))
    conv = Conv2d(n=1, c=1, k=1, h=h, w=5, r=r, s=1, stride=(stride, 1), dilation=(dilation, 1), pad=(pad, 0, pad, 0))
    if conv.e < 1:
        pytest.skip("no output")
    tile = int(rng.integers(1, conv.e + 1))
    listed = []
    for start in range(0, conv.e, tile):
        extent = min(tile, conv.e - start)
        taps = [o * stride + t * dilation - pad for o in range(start, start + extent) for t in range(r)]
        covered = range(max(0, min(taps)), min(h - 1, max(taps)) + 1)
        listed.append((extent, len(covered), start == 0, start + extent == conv.e))
    assert [tuple(piece) for times, *piece in runs_of(conv, 2, conv.e, tile) for _ in range(times)] == listed


def test_macs_of_a_dense_layer_are_counted_without_an_array():
    conv = Conv2d(n=2, c=2**30, k=64, h=14, w=9, r=3, s=5, pad=(1, 2, 1, 2), stride=(2, 1))
    network = single(conv)
    taps = of(network.view(network.layers[0])).effective_macs
    small = single(Conv2d(n=2, c=1, k=1, h=14, w=9, r=3, s=5, pad=(1, 2, 1, 2), stride=(2, 1)))
    array = np.pad(np.ones((14, 9), int), ((1, 1), (2, 2)))
    expected = sum(array[e * 2 : e * 2 + 3, f : f + 5].sum() for e in range(7) for f in range(9))
    assert of(small.view(small.layers[0])).effective_macs == 2 * expected
    assert taps == 2 * expected * 2**30 * 64


def test_a_tensor_too_large_to_draw_is_refused_by_name():
    network = single(Linear(n=1, c=2**14, k=2**15), density=0.5)
    with pytest.raises(WorkloadError, match=rf"tensor 'a.weight': 536,870,912 elements .* at most {MAX_DRAWN:,}"):
        accelsim.simulate("systolic_ws", network)


WIDE = Conv2d(n=1, c=1, k=1, h=9, w=9, r=2**17, s=1)


@pytest.mark.parametrize("shape", [WIDE, Pool("max", n=1, c=1, h=9, w=9, r=2, s=2**17)])
def test_a_window_too_large_to_walk_is_refused(shape):
    with pytest.raises(WorkloadError, match=r"131072 is too large; must be at most 65,536"):
        single(shape)


def test_pooling_that_would_list_millions_of_rows_is_left_out_with_the_reason():
    result = accelsim.simulate("edge_npu", single(Pool("max", n=1, c=1, h=2**20, w=4, r=2, s=2, stride=(2, 2))))
    assert "at most 65,536 taps, output rows and columns" in result.layers[0].reason


# --- counts that cannot wrap

LADDER = ("systolic_ws", "systolic_os_8", "systolic_is_128", "tpu_v1", "edge_npu", "bitfusion", "deeprecon", "stripes",
          "loom", "dadiannao", "unpu", "bismo", "dcnn")  # fmt: skip


@pytest.mark.parametrize("machine", LADDER)
@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_a_layer_that_doubles_until_it_is_refused_never_gets_cheaper(machine, kind):
    arch, cycles, macs = accelsim.load_arch(machine), 0, 0
    for e in range(6, 31):
        if kind == "linear":
            shape = Linear(n=2 ** (e // 2), c=2**e, k=2**e)
        else:
            shape = Conv2d(n=1, c=2 ** (e // 2 + 2), k=2 ** (e // 2 + 2), h=2 ** (e // 2), w=2 ** (e // 2), r=3, s=3)
        try:
            result = accelsim.simulate(arch, single(shape))
        except UserError:
            break
        if not result.simulated:
            break
        assert result.macs >= macs
        assert result.cycles >= cycles, "more work takes longer"
        assert all(row.bits >= 0 for row in result.layers[0].traffic)
        cycles, macs = result.cycles, result.macs
    else:
        pytest.fail("the largest layer was not refused")


# --- places that cannot be written, or are written by two


def namespace(*commands, timeout=300):
    """Run a shell in a mount namespace of its own; skip where that is not allowed."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of our own")
    script = "set -e; " + "; ".join(commands)
    return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env=ENV,
                          timeout=timeout, check=False)  # fmt: skip


RUN = f"{sys.executable} -m accelsim run systolic_ws_8 lstm_neuraltalk_h512_t1"


def test_a_disk_that_is_really_full_leaves_nothing_that_looks_whole():
    with tempfile.TemporaryDirectory() as folder:
        done = namespace(f"mount -t tmpfs -o size=96k none {folder}", f"cd {folder}", f"{RUN} -o out || echo status $?",
                         "find . -type f")  # fmt: skip
    if "mount:" in done.stderr:
        pytest.skip("mounting is not allowed")
    assert "status 2" in done.stdout
    assert "no space left on device" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert "report.json" not in done.stdout


def test_a_read_only_machine_with_a_temporary_folder_alone_is_enough(tmp_path):
    done = namespace("mount -o remount,ro,bind / / 2>/dev/null || mount -o bind,ro / /", f"cd {tmp_path}",
                     "! touch here 2>/dev/null", f"{RUN} --fidelity cycle --format csv")  # fmt: skip
    if "mount:" in done.stderr or done.returncode == 32:
        pytest.skip("mounting is not allowed")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("arch,network")
    assert "Traceback" not in done.stderr


def test_processes_that_compile_into_one_folder_at_once_agree(tmp_path):
    env = {**ENV, "ACCELSIM_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "accelsim", "run", "systolic_ws_8", "lstm_neuraltalk_h512_t1"]
    command += ["--fidelity", "cycle", "--format", "csv"]
    running = [
        subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], results
    assert len({out for out, _ in results}) == 1
    assert not any("Traceback" in err for _, err in results)
    again = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert again.stdout == results[0][0]


@pytest.mark.parametrize("pointers", [[0, 2, 2**40, 4, 4], [0, 2, 3, -1, 4], [0, 3, 2, 4, 4]])
def test_row_pointers_that_leave_the_archive_are_refused(pointers, tmp_path):
    path = tmp_path / "x.npz"
    arrays = {"indices": [0, 1, 2, 3], "indptr": pointers, "shape": [4, 4], "data": np.ones(4)}
    np.savez(path, format=np.bytes_(b"csr"), **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(WorkloadError, match=r"x\.npz: cannot be read as \.npz"):
        accelsim.load_network(str(path))


def test_a_member_that_is_no_array_is_named(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, format=np.bytes_(b"csr"), data=np.ones(1))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("shape.npy", b"4 4")
    with pytest.raises(WorkloadError, match="'shape' is no array"):
        accelsim.load_network(str(path))
