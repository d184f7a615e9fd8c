"""Where bulk work runs: in threads, in processes of this machine, or on many machines with Ray.

All three apply a function to a stream and give results in its order, in memory that does not
grow. Threads start at once and share one model; processes do not wait for each other's Python; Ray
(https://docs.ray.io, an extra) spreads the same function over a cluster, and repeats what a machine
that died had in hand.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from faceverify.choices import Engine
from faceverify.errors import FaceverifyError, UsageError
from faceverify.runtime.parallel import default_workers, map_ordered

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16  # items sent to a worker at a time: what travels costs little beside the work on it
AHEAD = 2  # chunks on their way per worker


def map_on(
    engine: Engine,
    build: Callable[[], Callable[[Item], Result]],
    items: Iterable[Item],
    *,
    workers: int | None = None,
) -> Iterator[Result]:
    """Apply a function to a stream; results in the order of the items.

    Args:
        build: makes the function, once in each worker: there it loads its model. Elsewhere than in
            threads, it and the items and results must pickle.
        workers: threads or processes, by default one a processor; on Ray the cluster decides.

    Raises:
        Whatever the function raises, in the place of the result; UsageError where Ray is missing.
    """
    if engine == Engine.THREADS:
        return map_ordered(build(), items, workers=workers)
    if engine == Engine.PROCESSES:
        return _map_in_processes(build, items, workers or default_workers())
    return _map_on_ray(build, items)


def _map_in_processes(
    build: Callable[[], Callable[[Item], Result]], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    from multiprocessing import get_context

    # spawned, not forked: threads and engine sessions do not survive a fork
    context = get_context("spawn")
    parent_alive, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin_work, initargs=(parent_alive,))
    packed = pickle.dumps(build)

    def submit(chunk: list[Item]) -> Future[list[Any]]:
        with _interrupts_blocked():  # it may start a worker
            return pool.submit(_work, packed, chunk)

    try:
        yield from _in_order(items, submit, lambda future: future.result(), lambda: workers)
    except BrokenProcessPool:
        raise FaceverifyError(
            "a worker process ended without a word: it was killed, or memory ran out",
            cure="use fewer --workers; what was finished is kept",
            code="worker-lost",
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        lifeline.close()
        parent_alive.close()


def _map_on_ray(
    build: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
) -> Iterator[Result]:
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed", cure="pip install 'faceverify[ray]'")
    import ray
    from ray.exceptions import RayError

    try:
        if not ray.is_initialized():  # RAY_ADDRESS names a cluster; else one is started here
            with _sigterm_kept():
                ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        work = ray.remote(num_cpus=1, max_retries=3, scheduling_strategy="SPREAD")(_work_in)
        packed = ray.put(pickle.dumps(build))
        folder = os.getcwd()
        yield from _in_order(
            items,
            lambda chunk: work.remote(folder, packed, chunk),
            ray.get,
            lambda: int(ray.cluster_resources().get("CPU", 1)),  # type: ignore[no-untyped-call]
        )
    except (RayError, ConnectionError) as error:
        (line, *_) = str(error).strip().splitlines() or [type(error).__name__]
        raise FaceverifyError(
            f"Ray: {line}", cure="see RAY_ADDRESS; what was finished is kept", code="ray"
        ) from error


def _in_order(
    items: Iterable[Item],
    submit: Callable[[list[Item]], Any],
    result: Callable[[Any], list[Any]],
    workers: Callable[[], int],
) -> Iterator[Any]:
    """Keep every worker busy, a few chunks ahead, and give results in the order of the items."""
    stream = iter(items)
    waiting: deque[Any] = deque()
    more = True
    while more or waiting:
        while more and len(waiting) < AHEAD * workers():
            chunk = list(islice(stream, CHUNK))
            more = len(chunk) == CHUNK
            if chunk:
                waiting.append(submit(chunk))
        if waiting:
            for outcome in result(waiting.popleft()):
                if isinstance(outcome, _Raised):
                    raise outcome.error
                yield outcome


class _Raised:
    """What the function raised: an exception that a worker lets out would lose its class on Ray."""

    def __init__(self, error: Exception) -> None:
        self.error = error


_functions: dict[bytes, Callable[[Any], Any]] = {}  # of this worker: made once


def _work(packed: bytes, chunk: list[Any]) -> list[Any]:
    """What a worker does with a chunk; what follows an error is not worked on."""
    outcomes: list[Any] = []
    try:
        if packed not in _functions:
            _functions[packed] = pickle.loads(packed)()  # noqa: S301  # our own parent made it
        function = _functions[packed]
        outcomes.extend(map(function, chunk))  # those before one that raises, too
    except Exception as error:
        outcomes.append(_Raised(error))
    return outcomes


def _work_in(folder: str, packed: bytes, chunk: list[Any]) -> list[Any]:
    """Work where relative paths mean the same as where the command was given."""
    with suppress(OSError):  # there is no such folder on this machine: URLs need none
        os.chdir(folder)
    return _work(packed, chunk)


def _begin_work(parent_alive: Connection) -> None:
    """Prepare a worker process: it ends when its parent closes the other end of the pipe, or dies.

    So nothing is left behind whatever ends the parent, and a worker that reads a photo which never
    comes keeps nobody waiting. Ctrl-C, which a terminal sends to the workers too, is the parent's.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"

    def watch() -> None:
        with suppress(EOFError, OSError):
            parent_alive.recv_bytes()
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="parent").start()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Have processes that are started inside begin with SIGINT blocked: it would break imports off.

    In this process it is only put off, until the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Put this process's own handler of SIGTERM back after Ray has set its own."""
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if kept is not None and signal.getsignal(signal.SIGTERM) is not kept:
            signal.signal(signal.SIGTERM, kept)
