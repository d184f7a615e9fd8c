"""Parallel map in threads, in processes, or on a cluster with Ray.

All three apply a function to a stream, with results in its order and bounded memory. Threads start
fast and share one model; processes do not share the interpreter lock; Ray (https://docs.ray.io, an
extra) runs the function on a cluster, and repeats the tasks of a machine that failed.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from faceverify.choices import Engine
from faceverify.errors import FaceverifyError
from faceverify.runtime.parallel import default_workers, map_ordered

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16  # items sent to a worker at a time: the transfer costs little beside the work
AHEAD = 2  # chunks submitted per worker


def map_on(
    engine: Engine,
    build: Callable[[], Callable[[Item], Result]],
    items: Iterable[Item],
    *,
    workers: int | None = None,
) -> Iterator[Result]:
    """Results of a function over a stream, in order of the items.

    Args:
        build: makes the function, once in each worker, where it loads its model. Except for
            threads, it, the items and the results must be picklable.
        workers: threads or processes, by default one a processor; ignored on Ray.

    Raises:
        Any exception of the function, in the place of the result; UsageError if Ray is missing.
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
        lifeline.close()
        parent_alive.close()
        # waits for the pool's thread: Python 3.10 may fail at exit where that thread ends meanwhile
        pool.shutdown(cancel_futures=True)


def _map_on_ray(
    build: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
) -> Iterator[Result]:
    from faceverify.runtime.ray_cluster import connected_ray, processors, result_of

    with connected_ray() as ray:
        work = ray.remote(num_cpus=1, max_retries=3, scheduling_strategy="SPREAD")(_work_in)
        packed = ray.put(pickle.dumps(build))
        folder = os.getcwd()
        yield from _in_order(
            items,
            lambda chunk: work.remote(folder, packed, chunk),
            partial(result_of, ray),
            partial(processors, ray),
        )


def _in_order(
    items: Iterable[Item],
    submit: Callable[[list[Item]], Any],
    result: Callable[[Any], list[Any]],
    workers: Callable[[], int],
) -> Iterator[Any]:
    """Results in order of the items, with a few chunks submitted ahead for each worker."""
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
    """An exception of the function, as a result: raised in a worker, Ray would change its class."""

    def __init__(self, error: Exception) -> None:
        self.error = error


_functions: dict[bytes, Callable[[Any], Any]] = {}  # of this worker, built once


def _work(packed: bytes, chunk: list[Any]) -> list[Any]:
    """Results of a chunk in a worker, up to the first exception."""
    outcomes: list[Any] = []
    try:
        if packed not in _functions:
            _functions[packed] = pickle.loads(packed)()  # noqa: S301  # from the parent process
        function = _functions[packed]
        outcomes.extend(map(function, chunk))  # keeps those before one that raises
    except Exception as error:
        outcomes.append(_Raised(error))
    return outcomes


def _work_in(folder: str, packed: bytes, chunk: list[Any]) -> list[Any]:
    """Results of a chunk, in the command's working folder, for relative paths."""
    with suppress(OSError):  # this machine lacks the folder; URLs do not need it
        os.chdir(folder)
    return _work(packed, chunk)


def _begin_work(parent_alive: Connection) -> None:
    """Initialise a worker process: it exits when its parent closes the pipe or dies.

    So no worker outlives its parent, even one blocked in a read. SIGINT, which a terminal sends to
    workers too, is left to the parent.
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
    """Context in which processes are started with SIGINT blocked: it would interrupt imports.

    In this process SIGINT and SIGTERM are delayed until the block ends. Blocking does not do that:
    where another thread receives the signal, Python still calls the handler in the main thread,
    which would leave a worker without its instructions.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    received: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):  # not where it is ignored, or the default
                handlers[number] = signal.signal(number, lambda number, _: received.append(number))
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
