"""Parallel map in threads: results in the order of the input, in bounded memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)

AHEAD = 4  # queued items per worker: enough to keep all busy behind a slow one


def default_workers() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None
) -> Iterator[Result]:
    """Results of a function over a stream, computed in threads, in order of the items.

    A separate thread reads the items, at most a few ahead of the results, so that an input that
    blocks does not delay finished results.

    Args:
        workers: threads; by default one for each processor.

    Raises:
        Any exception of the function or of the items, in the place of the result.
    """
    for batch in map_in_batches(function, items, most=1, workers=workers):
        yield from batch


def map_in_batches(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    most: int,
    workers: int | None = None,
) -> Iterator[list[Result]]:
    """As :func:`map_ordered`, in batches of the results that are ready, at most ``most`` each.

    A batch is never delayed to be filled: with a fast consumer, batches hold one result; with a
    slow one, many.
    """
    workers = workers or default_workers()
    queue: Queue[Future[Result] | None] = Queue(maxsize=workers * AHEAD)
    stopped = threading.Event()
    pool = ThreadPoolExecutor(workers)

    def feed() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    return
                queue.put(pool.submit(function, item))
        except BaseException as error:  # of the items: raised behind their results
            failed: Future[Result] = Future()
            failed.set_exception(error)
            queue.put(failed)
        queue.put(None)

    threading.Thread(target=feed, daemon=True, name="feed").start()
    taken: deque[Future[Result] | None] = deque()  # from the queue, not yet yielded
    try:
        while (future := taken.popleft() if taken else queue.get()) is not None:
            batch = [future.result()]
            while len(batch) < most and not queue.empty():
                following = queue.get()
                if following is None or not following.done() or following.exception():
                    taken.append(following)
                    break
                batch.append(following.result())
            yield batch
    finally:
        stopped.set()
        while not queue.empty():  # unblock the feeder, so that it sees that it should stop
            queue.get_nowait()
        pool.shutdown(wait=False, cancel_futures=True)


class Once(Generic[Key, Result]):
    """Memoised function: each key is computed once, also if several threads request it.

    Exceptions are memoised too.
    """

    def __init__(self, function: Callable[[Key], Result]) -> None:
        self._function = function
        self._results: dict[Key, Future[Result]] = {}
        self._lock = threading.Lock()

    def __call__(self, key: Key) -> Result:
        """Result for the key; waits while another thread computes it."""
        with self._lock:
            known = self._results.get(key)
            future = known or self._results.setdefault(key, Future())
        if known is None:
            try:
                future.set_result(self._function(key))
            except BaseException as error:
                future.set_exception(error)
        return future.result()
