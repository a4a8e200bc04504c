"""Compressed tensors in reports: every engine's sizes are those of its format, counted by the codec on the values."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from contract import random_case, view_of
from oracles.sparsity_map import SparsityMap
from oracles.zfnaf import Zfnaf
from report_samples import alexnet

import accelsim
from accelsim.operands.csc import Csc
from accelsim.operands.handle import Operand
from accelsim.operands.step_index import StepIndex
from accelsim.operands.zero_run import ZeroRun
from accelsim.report.document import document
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.report.rows import rows
from accelsim.report.words import totals
from accelsim.results import StoredBits

COMPRESSING = ("eie", "scnn", "dcnn", "cnvlutin", "cambricon_x", "nullhop", "snapea", "eyeriss_v2")


def described(case):
    """Return the zeros that the output is described to have."""
    conv = case.view.shape.as_conv()
    mask = Operand(case.view.output, case.operands.input.seed, case.operands.input.batch).mask
    return mask.astype(np.int64).reshape(conv.n, conv.k, conv.e, conv.f)


def widths(case):
    return {"value_bits": case.view.input.bits, "signed": case.view.input.signed}


def parts(coded, value_bits):
    """Return the bits of a codec's values and of everything else: runs, counts, maps, pointers."""
    return coded.values.size * value_bits, coded.bits - coded.values.size * value_bits


def eie(case):
    p, w = case.params, case.operands.weight.mask.astype(np.int64)
    batch = p.pes * p.registers
    group = min(batch, p.pass_rows or batch)
    blocks = []
    for row in range(0, w.shape[0], group):
        for column in range(0, w.shape[1], batch):
            block = w[row : row + group, column : column + batch]
            code = Csc(min(p.pes, len(block)), p.value_bits, p.run_bits, p.pointer_bits, signed=False)
            blocks.append(parts(code.encode(block), p.value_bits))
    return {"weight": summed(blocks)}


def summed(blocks):
    return tuple(map(sum, zip(*blocks, strict=True)))


def cambricon_x(case):
    _, w = case.operands.conv_arrays()
    p, weight = case.params, case.view.weight
    if not p.skip_zeros:
        return {}
    code = StepIndex(p.block, weight.bits, p.step_bits, p.count_bits, signed=weight.signed)
    return {"weight": parts(code.encode(w.transpose(0, 2, 3, 1).reshape(len(w), -1)), weight.bits)}


def nullhop(case):
    x, _ = case.operands.conv_arrays()
    bits = case.view.output.bits
    return {
        "input": parts(SparsityMap(**widths(case)).encode(x), case.view.input.bits),
        "output": parts(SparsityMap(bits, signed=False).encode(described(case)), bits),
    }


def cnvlutin(case):
    if not case.params.skip_zeros:
        return {}
    x, _ = case.operands.conv_arrays()
    conv, brick, bits = case.view.shape.as_conv(), case.params.brick, case.view.output.bits
    groups = x.reshape(conv.n * conv.groups, -1, conv.h, conv.w)
    return {
        "input": parts(Zfnaf(brick, **widths(case)).encode(groups), case.view.input.bits),
        "output": parts(Zfnaf(brick, bits, signed=False).encode(described(case)), bits),
    }


def dcnn(case):
    p, view = case.params, case.view
    conv = view.shape.as_conv()
    room = p.activation_kib * 8192 * p.pe_rows * p.pe_cols
    plain = view.input.elements * view.input.bits + view.output.elements * view.output.bits
    if not p.compressed_dram or (p.activations_stay and plain <= room):
        return {}
    x, _ = case.operands.conv_arrays()
    sizes = {}
    for name, tensor, values in (("input", view.input, x), ("output", view.output, described(case))):
        code = ZeroRun(2, tensor.bits, p.run_bits, 16, signed=tensor.signed if name == "input" else False)
        images = [(image.size * tensor.bits, 0) for image in values]
        coded = [parts(code.encode(image), tensor.bits) for image in values]
        sizes[name] = summed(min(pair, key=sum) for pair in zip(images, coded, strict=True))
    assert conv.n == len(x)
    return sizes


def snapea(case):
    weight, conv = case.view.weight, case.view.shape.as_conv()
    places = conv.c // conv.groups * conv.r * conv.s
    return {"weight": (weight.elements * weight.bits, weight.elements * len(f"{places - 1:b}") * (places > 1))}


def scnn(case):
    """Blocks of one PE at stride 1: planes of inputs and outputs, and weights of a channel and kc kernels."""
    p, view, conv = case.params, case.view, case.view.shape.as_conv()
    (x, w), kg = case.operands.conv_arrays(), conv.k // conv.groups
    kc = min(kg, p.accumulator_entries // (conv.e * conv.f))

    def of(tensor, blocks, largest, signed):
        return parts(
            ZeroRun(blocks.ndim - 2, tensor.bits, p.run_bits, largest.bit_length(), signed).encode(blocks), tensor.bits
        )

    weights = []
    for g in range(conv.groups):
        for k in range(g * kg, g * kg + kg, kc):
            kernels = w[k : min(k + kc, g * kg + kg)].transpose(1, 2, 3, 0)[None]
            weights.append(of(view.weight, kernels, kc * conv.r * conv.s, view.weight.signed))
    return {
        "input": of(view.input, x, conv.h * conv.w, view.input.signed),
        "weight": summed(weights),
        "output": of(view.output, described(case), conv.e * conv.f, False),
    }


def eyeriss_v2(case):
    """Columns of weights fill whole words; inputs and outputs come in segments that no run of zeros exceeds."""
    plan, p, conv, view = case.plan(), case.params, case.view.conv, case.view
    (x, w), made, span = case.operands.conv_arrays(), described(case), 1 << p.count_bits
    cg, kg, (m0, c0) = conv.c // conv.groups, conv.k // conv.groups, plan.cut[:2]
    blocks = [(k, min(k + m0, (g + 1) * kg)) for g in range(conv.groups) for k in range(g * kg, (g + 1) * kg, m0)]
    found = {}
    if p.sparse and not made.all():
        runs = [made[:, k : min(k + span, last)] for first, last in blocks for k in range(first, last, span)]
        pieces = [run[n, :, e, f] for run in runs for n, e, f in np.ndindex(conv.n, conv.e, conv.f)]
        found["output"] = segments(pieces, view.output.bits, p)
    if plan.dense:
        return found
    step, chunks = (
        min(conv.s, conv.stride[1], span),
        [(c, min(c + c0, (g + 1) * cg)) for g in range(conv.groups) for c in range(g * cg, (g + 1) * cg, c0)],
    )
    places = [(n, y, col) for n in range(conv.n) for y in range(conv.h) for col in range(0, conv.w, step)]
    pieces = [x[n, a:b, y, col : col + step].T.ravel() for n, y, col in places for a, b in chunks]
    found["input"] = segments(pieces, view.input.bits, p)
    code, pairs, addresses = Csc(1, view.weight.bits, p.count_bits, p.address_bits, view.weight.signed), 0, 0
    for (first, last), chunk, r in product(blocks, range(0, cg, c0), range(conv.r)):
        matrix = w[first:last, chunk : chunk + c0, r].reshape(last - first, -1)
        coded = code.encode(matrix)
        assert np.array_equal(code.decode(coded), matrix)
        pairs += sum(-(-int(n) // p.simd) * p.simd for n in np.diff(coded.pointers[0]))
        addresses += coded.pointers.size
    found["weight"] = (pairs * view.weight.bits, pairs * p.count_bits + addresses * p.address_bits)
    return found


def segments(pieces, value_bits, params):
    """Return bits of values and of index: a run with each value, an address with each segment."""
    entries = sum(int(ZeroRun(1, 62, params.count_bits).entries(piece != 0).sum()) for piece in pieces)
    assert entries == sum(map(np.count_nonzero, pieces)), "a run needs a pair of its own"
    return entries * value_bits, (entries + len(pieces)) * params.count_bits


def scnn_case(seed):
    """Return a case on one PE with room for all, at stride 1 and without padding; kc as large as fits."""
    case = random_case("scnn", seed)
    conv = case.view.shape
    shape = replace(conv, stride=(1, 1), dilation=(1, 1), pad=(0, 0, 0, 0))
    view = view_of(shape, np.random.default_rng(seed), 16)
    changed = {"pe_rows": 1, "pe_cols": 1, "iaram_kib": 64, "oaram_kib": 64, "kc": "capacity"}
    changed["accumulator_entries"] = max(case.params.accumulator_entries, shape.e * shape.f)
    return case.on(view)._replace(params=case.params.model_copy(update=changed))


@pytest.mark.parametrize(
    "count", [eie, cambricon_x, nullhop, cnvlutin, dcnn, snapea, scnn, eyeriss_v2], ids=lambda count: count.__name__
)
def test_a_stored_size_is_that_of_the_encoded_tensor(count):
    compressed = 0
    for seed in range(40):
        case = scnn_case(seed) if count is scnn else random_case(count.__name__, seed)
        stored = case.engine.stored(case.plan())
        assert {name: size[1:] for name, size in stored.items()} == count(case), case
        for name, size in stored.items():
            tensor = getattr(case.view, name)
            assert size.dense_bits == tensor.elements * tensor.bits
        compressed += bool(stored)
    assert compressed > 5


def test_scnn_stores_what_its_blocks_take_on_any_array():
    for seed in range(40):
        case = random_case("scnn", seed)
        plan = case.plan()
        stored, details = case.engine.stored(plan), case.engine.run(plan).details
        for name in ("input", "weight", "output"):
            assert stored[name].bits == details[f"{name}_bits"]  # which the plain twin counts block by block
            assert stored[name].value_bits % getattr(case.view, name).bits == 0


def test_synapses_stream_as_they_are_stored():
    result = accelsim.simulate("cambricon_x", "alexnet", layers="fc8")
    layer = result.simulated[0]
    moved = {row.tensor: row.bits for row in layer.traffic if (row.boundary, row.direction) == ("dram", "read")}
    assert (moved["weight"], moved["index"]) == (layer.stored["weight"].value_bits, layer.stored["weight"].index_bits)


def test_reports_show_classes_of_macs_and_stored_bits(tmp_path):
    profile = tmp_path / "half.yaml"
    profile.write_text("layers: {'*': {weight: 0.5, input: 0.5, output: 0.5}}")
    result = accelsim.simulate("scnn", "alexnet", layers="conv5", density=profile)
    layer = result.simulated[0]
    assert layer.macs > max(layer.nonzero_weight_macs, layer.nonzero_input_macs)
    assert layer.effective_macs < min(layer.nonzero_weight_macs, layer.nonzero_input_macs)
    report = document(result)
    row = next(row for row in report["layers"] if row["simulated"])
    size = layer.stored["weight"]
    assert row["stored"]["weight"] == {
        "dense_bits": 16 * 384 * 256 * 9 // 2, "value_bits": size.value_bits, "index_bits": size.index_bits
    }  # fmt: skip
    assert report["totals"]["stored"] == row["stored"]
    assert report["totals"]["performed_macs"] == row["performed_macs"]
    flat = next(r for r in rows(result) if r["simulated"])
    assert flat["stored_weight_index_bits"] == size.index_bits
    assert flat["nonzero_weight_macs"] == layer.nonzero_weight_macs
    words = dict(totals(result))
    assert words["MACs"].startswith("74.76 M dense: 37.")
    assert "index) for 0.885 MB" in words["stored"]
    assert "with a non-zero weight" in to_markdown(result)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    again = read_report(path)
    assert again.stored == result.stored
    assert again.nonzero_input_macs == result.nonzero_input_macs


def test_a_dense_machine_shows_neither_and_older_reports_are_read(tmp_path):
    assert not {"MACs", "stored"} & set(dict(totals(alexnet())))
    report = document(alexnet())
    for layer in report["layers"]:
        for key in ("stored", "nonzero_weight_macs", "nonzero_input_macs"):
            del layer[key]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert read_report(path).stored == {}
    assert "MACs" not in dict(totals(read_report(path)))


def test_every_engine_with_a_format_is_among_these():
    from accelsim.engine import Engine
    from accelsim.engines import registry

    own = {name for name in registry.modules() if type(registry.get(name)).stored is not Engine.stored}
    assert own == set(COMPRESSING), "count the format of each here, from the tensor alone"
    assert StoredBits(8, 3, 2).bits == 5
