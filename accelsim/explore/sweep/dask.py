"""An executor on Dask: a scheduler that runs somewhere, or a cluster of processes of our own."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as LateError
from multiprocessing import resource_tracker
from typing import Any

from accelsim.errors import ConfigError
from accelsim.explore.sweep import identity
from accelsim.text import quoted

CONNECT_S = 10
"""Seconds to wait for a scheduler, and for its first worker."""


class OnDask(Executor):
    """Chunks on the workers of a Dask scheduler.

    A task whose worker dies is sent to another one by Dask; one that ends too many workers comes back as an error,
    and `Runner` finds the point at fault. A worker with another version of accelsim refuses to work.

    Parameters
    ----------
    address : str, optional
        Of the scheduler; without it, a cluster of ``workers`` processes is started on this machine.

    Raises
    ------
    ConfigError
        Dask is not installed, or no scheduler or worker answers.
    """

    def __init__(self, address: str | None, workers: int) -> None:
        try:
            from distributed import Client, LocalCluster
        except ModuleNotFoundError as error:
            problem = f"Dask needs the package '{error.name}'"
            raise ConfigError(problem, "pip install 'accelsim[dask]'", file="--executor") from None
        if address is not None and not re.fullmatch(r"(\w+://)?[^\s/]+:\d+", address):
            raise ConfigError(f"'{address}' is no address", "write for example tcp://head:8786", file="--scheduler")
        self._cluster: Any = None
        self._client: Any = None

        def start() -> None:
            if address is None:
                # Dask would try a lost task on other workers: here `Runner` does that, and finds the point at fault
                self._cluster = LocalCluster(
                    workers, threads_per_worker=1, dashboard_address=None, silence_logs=50,
                    scheduler_kwargs={"allowed_failures": 0}, preload=[__name__],
                )  # fmt: skip
            try:
                self._client = Client(address or self._cluster, timeout=CONNECT_S, set_as_default=False)
            except (OSError, LateError, ValueError) as error:
                problem = f"no Dask scheduler answers at '{address}' ({quoted(error)})"
                raise ConfigError(problem, "start one with 'dask scheduler', or check --scheduler") from None
            try:
                self._client.wait_for_workers(1, timeout=CONNECT_S)
            except (OSError, LateError):
                raise ConfigError(f"no worker has come to '{address}'", "start some with 'dask worker'") from None

        try:
            _undisturbed(start)
        except BaseException:
            self.shutdown()
            raise
        client: Any = self._client
        self._submit = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a call to a worker."""
        found: Future[Any] = self._submit.submit(_checked, identity.model_version(), fn, *args, **kwargs)
        return found

    def threads(self) -> int:
        """Return how many chunks the cluster can run at the same time."""
        return max(1, sum(self._client.nthreads().values()))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the scheduler, and end the cluster if it is ours."""
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _undisturbed(start: Callable[[], None]) -> None:
    """Run ``start`` to its end even if Ctrl-C comes meanwhile, which is passed on after it.

    Dask cannot be stopped while it starts. The thread it starts in does not take SIGINT, and neither do the processes
    that come of it: what a thread blocks, its children block.
    """

    def quiet() -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        start()

    resource_tracker.ensure_running()  # which else is started, and SIGINT unblocked again, by the thread of a worker
    with ThreadPoolExecutor(1) as thread:
        started = thread.submit(quiet)
        try:
            started.result()
        except KeyboardInterrupt:
            wait([started])
            raise


def width(address: str) -> int:
    """Return how many chunks a cluster can run at the same time."""
    with OnDask(address, 0) as executor:
        return executor.threads()


def dask_setup(worker: object) -> None:
    """Make a worker of our own cluster ignore Ctrl-C, which its parent handles; Dask calls this by its name."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _checked(version: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    mine = identity.model_version()
    if mine != version:
        problem = f"a Dask worker has accelsim {mine}, this is {version}: their figures must not be mixed"
        raise ConfigError(problem, "install the same files on all machines", file="--executor")
    return fn(*args, **kwargs)
