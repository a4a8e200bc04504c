"""What a shell completes: the names of packaged machines, networks, mappings and profiles, and paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _of(names: Callable[[], Iterable[str]]) -> Complete:
    """Return what completes one of ``names``, or a path."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]

    return complete


def _machines() -> Iterable[str]:
    from accelsim.config import packaged

    return packaged.names("arch_configs")


def _networks() -> Iterable[str]:
    from accelsim.workload.load import network_names

    return network_names()


def _mappings() -> Iterable[str]:
    from accelsim.config import packaged

    return packaged.files_beside("mappings")


def _profiles() -> Iterable[str]:
    from accelsim.config import packaged

    return packaged.files_beside("profiles")


def _shown() -> Iterable[str]:
    from accelsim.engines import names

    return sorted({*_machines(), *_networks(), *names.modules()})


machine, network, mapping, profile, shown = map(_of, (_machines, _networks, _mappings, _profiles, _shown))
