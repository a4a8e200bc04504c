"""Whether a network's layers go on one clock, and what is simulated for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from accelsim.config.arch import Arch
from accelsim.layer import Task
from accelsim.results import LayerResult
from accelsim.workload.network import Network, is_view

if TYPE_CHECKING:
    from accelsim.network_time import Again, Memo
    from accelsim.schedules import NetworkSchedule


def one_clock_for(arch: Arch, network: Network, pattern: str = "*") -> bool:
    """Return whether layers go on one clock: all those of a connected network, unless the machine says otherwise.

    Raises
    ------
    ConfigError
        The machine says so, and the network is a table of layers.
    """
    mode = arch.schedule.mode
    if mode is None:
        return pattern == "*" and not network.isolated
    if mode == "network" and network.isolated:
        problem = f"'{network.name}' is a table of layers, isolated: no edges"
        raise arch.document.error(("schedule", "mode"), problem, "use onnx:NAME, net:NAME or a file with edges")
    return mode == "network" and pattern == "*"


def scheduled(
    arch: Arch,
    network: Network,
    layers: Sequence[LayerResult],
    again: Again,
    *,
    explained: bool = True,
    memo: Memo | None = None,
) -> NetworkSchedule | None:
    """Return layers that may go on one clock there; None if some were not simulated and the machine does not insist."""
    if arch.schedule.mode is None and not all(layer.simulated for layer in layers):
        return None
    from accelsim import network_time  # loads compiled code

    return network_time.scheduled(arch, network, layers, again, explained=explained, memo=memo)


def at_home(
    tasks: Sequence[Task], layers: Sequence[LayerResult], run: Callable[[list[Task]], Sequence[LayerResult]]
) -> Again:
    """Return what simulates layers once more, those whose tensors live elsewhere now, or that have less room.

    Parameters
    ----------
    tasks, layers : sequence
        Of all layers with work, and what they gave.
    run : callable
        Simulates those that changed.
    """

    def again(network: Network, beside_bits: Mapping[int, int]) -> list[LayerResult]:
        views = [network.view(layer) for layer in network.layers if not is_view(layer)]
        views = [replace(view, beside_bits=beside_bits.get(at, 0)) for at, view in enumerate(views)]
        changed = {
            at: replace(task, view=view)
            for at, (task, view) in enumerate(zip(tasks, views, strict=True))
            if task.unit is not None and view != task.view
        }
        found = dict(zip(changed, run(list(changed.values())), strict=True))
        return [found.get(at, layer) for at, layer in enumerate(layers)]

    return again
