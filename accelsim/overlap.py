"""Layers of a network that overlap on one unit: where its engine says that one loads while the one before computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from accelsim.config.arch import Arch
from accelsim.engines import registry
from accelsim.layer import Task, machine_view
from accelsim.results import LayerResult
from accelsim.workload.network import Network, is_view

SAVED = "overlap_cycles"
"""Among a layer's details: how much sooner it ends than its own cycles after the end of the layer before."""

MOST = 6
"""Layers that a note names; `SAVED` is in the report of each."""


def overlapped(
    arch: Arch, network: Network, tasks: Sequence[Task], results: Sequence[LayerResult]
) -> tuple[list[LayerResult], tuple[str, ...]]:
    """Return the results, `SAVED` among their details, and a sentence that sums them up.

    Nothing else of a layer changes: its figures are those of the layer alone. Only layers that multiply and follow
    each other on a unit overlap, where one does not read what the one before makes. Of a table of layers without
    edges nobody knows that.
    """
    if arch.memory.dram.device is not None:
        return list(results), ()  # each layer was timed on the device alone
    found, names = list(results), list[str]()
    for start, stop in _runs(network, tasks, results):
        unit = tasks[start].unit
        assert unit is not None
        engine, views = registry.get(unit.engine), [task.view for task in tasks[start:stop]]
        mappings = [engine.mapping_schema.model_validate(dict(r.mapping)) for r in results[start:stop]]
        ends = engine.ends_together(views, mappings, unit.params, machine_view(arch))
        if ends is None:
            continue
        for i, (before, end) in enumerate(pairwise(ends), start + 1):
            if saved := before + results[i].cycles - end:
                found[i] = replace(found[i], details={**found[i].details, SAVED: saved})
                names.append(f"{results[i].name} by {saved:,}")
    if not names:
        return found, ()
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    alone = sum(result.cycles for result in results)
    whole = alone - sum(result.details.get(SAVED, 0) for result in found)
    return found, (
        f"layers that load while the one before computes end sooner: {', '.join(names[:MOST])} cycles{more}; "
        f"the network takes {whole:,} cycles so, and {alone:,} one layer after another, as all other figures have it",
    )


def _runs(network: Network, tasks: Sequence[Task], results: Sequence[LayerResult]) -> Iterator[tuple[int, int]]:
    """Yield where layers start and stop that follow each other on a unit and do not need each other."""
    if network.isolated:
        return
    origins = {out: layer.inputs for layer in network.layers if is_view(layer) for out in layer.outputs}

    def needs(task: Task, before: Task) -> bool:
        seen, left = set[str](), [tensor.name for tensor in task.view.reads]
        while left:
            seen.add(name := left.pop())
            left += [origin for origin in origins.get(name, ()) if origin not in seen]
        return not seen.isdisjoint(tensor.name for tensor in before.view.outputs)

    start = 0
    for i in range(1, len(tasks) + 1):
        if i < len(tasks) and tasks[i].view.macs and tasks[i - 1].view.macs:
            ran = results[i].simulated and results[i - 1].simulated
            if ran and tasks[i].unit == tasks[i - 1].unit and not needs(tasks[i], tasks[i - 1]):
                continue
        if i - start > 1:
            yield start, i
        start = i
