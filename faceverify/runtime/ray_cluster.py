"""Ray, as bulk work uses it: the cluster of ``RAY_ADDRESS``, or one of this machine for the run.

What is started here reports to nobody. Ray's usage statistics are off; the process that would
gather them, all that is left of its dashboard, asks the metadata services of three clouds where it
runs even so, and is not started. A cluster that others started is theirs.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from faceverify.errors import FaceverifyError, UsageError
from faceverify.runtime.patience import VARIABLE, seconds_to_wait, within

STARTING = 120.0  # seconds, of a cluster
lost: list[Exception] = []
"""What a cluster was lost by: Ray then ends the process itself, with status 1, if it is let."""

CHECKED = 10.0  # seconds of a task, until the cluster is asked whether it is there
TOO_SLOW = "timed out during startup"  # Ray's word for a node that took more than its 30 s
TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextmanager
def connected_ray() -> Iterator[Any]:
    """Give the module ``ray``, connected; a cluster of this machine is started if none is named.

    Raises:
        UsageError: Ray is not installed.
        FaceverifyError: the cluster cannot be reached, or failed inside the block (code ``ray``).
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed", cure="pip install 'faceverify[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.exceptions import RayError

    try:
        if not ray.is_initialized():
            with _sigterm_kept(), _no_dashboard(), _token_of_this_run():
                _start(ray, seconds_to_wait(STARTING))
    except Exception as error:
        cure = f"see RAY_ADDRESS, and TMPDIR where Ray is started here; {VARIABLE} sets the seconds"
        raise ray_error(error, cure) from error
    try:
        yield ray
    except (RayError, ConnectionError, TimeoutError) as error:
        lost.append(error)
        cure = f"see RAY_ADDRESS; what was finished is kept; {VARIABLE} sets the seconds"
        raise ray_error(error, cure) from error


def result_of(ray: Any, reference: Any) -> Any:
    """The result of a task, however long it takes, as long as the cluster is there.

    Ray itself waits for ever for a machine that is gone.

    Raises:
        ConnectionError: no machine of the cluster is alive.
        TimeoutError: the cluster does not answer.
    """
    from ray.exceptions import GetTimeoutError

    while True:
        try:
            return ray.get(reference, timeout=CHECKED)
        except GetTimeoutError:  # noqa: PERF203 - to ask again
            if processors(ray, 0) == 0:
                raise ConnectionError("no machine of the cluster is alive any more") from None


def processors(ray: Any, least: int = 1) -> int:
    """Number of processors of a cluster.

    Raises:
        TimeoutError: the cluster does not answer.
    """
    found = within(seconds_to_wait(STARTING), ray.cluster_resources)
    return max(least, int(found.get("CPU", 0)))


def _start(ray: Any, wait: float) -> None:
    """Join the cluster of ``RAY_ADDRESS``, or start one of this machine, within some seconds."""
    init = partial(
        ray.init, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
    )
    address = os.environ.get("RAY_ADDRESS", "local")
    if address != "local":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host and port.isdigit():  # Ray itself would try for a quarter of an hour, and warn
            socket.create_connection((host.strip("[]"), int(port)), timeout=wait).close()
        within(wait, init)
        return
    # in this thread: the processes of the cluster end with the thread that started them
    end = time.monotonic() + wait
    while (problem := _problem_of(init)) is not None:
        ray.shutdown()
        if TOO_SLOW not in str(problem) or time.monotonic() > end:
            raise problem


def _problem_of(init: Callable[[], Any]) -> Exception | None:
    try:
        init()
    except Exception as error:  # plain ones, too, where a node does not come up
        return error
    return None


def ray_error(error: Exception, cure: str) -> FaceverifyError:
    """Ray's error in one line."""
    (line, *_) = str(error).strip().splitlines() or [type(error).__name__]
    return FaceverifyError(f"Ray: {line}", cure=cure, code="ray")


@contextmanager
def _no_dashboard() -> Iterator[None]:
    """Keep Ray from starting its dashboard, which no option of its does altogether."""
    from ray._private import services

    start = getattr(services, "start_api_server", None)
    if start is None:
        yield
        return
    services.start_api_server = lambda *_, **__: (None, None)  # no address, and no process
    try:
        yield
    finally:
        services.start_api_server = start


@contextmanager
def _token_of_this_run() -> Iterator[None]:
    """Protect a cluster of this machine by a token of its own; Ray would keep one in ~/.ray."""
    if "RAY_ADDRESS" in os.environ or any(name in os.environ for name in TOKEN):
        yield
        return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_TOKEN"]


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Put this process's own handler of SIGTERM back after Ray has set its own."""
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if kept is not None and signal.getsignal(signal.SIGTERM) is not kept:
            signal.signal(signal.SIGTERM, kept)
