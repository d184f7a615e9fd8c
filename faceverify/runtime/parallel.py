"""Work on many photos side by side, results in the order of the input, memory flat."""

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

AHEAD = 4  # items in the pipeline per worker: enough to keep all busy behind a slow one


def default_workers() -> int:
    """One worker for each processor this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None
) -> Iterator[Result]:
    """Apply a function to a stream in worker threads; each result as soon as it is next in order.

    The items are read by a thread of their own, so that a result is never held back by an input
    that waits for its writer, and never more than a few of them ahead of the results.

    Args:
        workers: threads; by default one for each processor.

    Raises:
        Whatever the function or the items raise, in the place of the result.
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
    """As :func:`map_ordered`, but results that are ready come together, at most ``most`` of them.

    A batch never waits to be filled: where results are slower than whoever takes them, each comes
    alone and at once; where they are faster, many come at a time.
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
        except BaseException as error:  # the items' own fault: raised where their results end
            failed: Future[Result] = Future()
            failed.set_exception(error)
            queue.put(failed)
        queue.put(None)

    threading.Thread(target=feed, daemon=True, name="feed").start()
    taken: deque[Future[Result] | None] = deque()  # from the queue, and not yet given on
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
        while not queue.empty():  # let a feeder that waits for room see that it should stop
            queue.get_nowait()
        pool.shutdown(wait=False, cancel_futures=True)


class Once(Generic[Key, Result]):
    """Remembers a function's results: each key is worked out once, also when several threads ask.

    What the function raises is remembered too.
    """

    def __init__(self, function: Callable[[Key], Result]) -> None:
        self._function = function
        self._results: dict[Key, Future[Result]] = {}
        self._lock = threading.Lock()

    def __call__(self, key: Key) -> Result:
        """The function's result for the key; waits where another thread is at it."""
        with self._lock:
            known = self._results.get(key)
            future = known or self._results.setdefault(key, Future())
        if known is None:
            try:
                future.set_result(self._function(key))
            except BaseException as error:
                future.set_exception(error)
        return future.result()
