"""Streams of work: order, early results, errors, memory of what was done."""

import threading
import time
from itertools import chain

import pytest

from faceverify.runtime.parallel import AHEAD, Once, map_in_batches, map_ordered


def test_results_come_in_the_order_of_the_input():
    def slow_when_even(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number * number

    assert list(map_ordered(slow_when_even, range(50), workers=4)) == [n * n for n in range(50)]


def test_a_result_is_not_held_back_by_input_that_has_not_come():
    more = threading.Event()

    def items():
        yield 1
        assert more.wait(10)
        yield 2

    results = map_ordered(lambda item: item, items(), workers=2)
    assert next(results) == 1  # before the second item exists
    more.set()
    assert list(results) == [2]


def test_it_reads_no_further_ahead_than_it_must():
    read = []

    def items():
        for number in range(1000):
            read.append(number)
            yield number

    results = map_ordered(lambda item: item, items(), workers=2)
    for _ in range(10):
        next(results)
    time.sleep(0.05)
    assert len(read) <= 10 + 2 * AHEAD + 3
    results.close()


def test_an_error_stands_in_the_place_of_its_result():
    def reciprocal(number: int) -> float:
        return 1 / number

    results = map_ordered(reciprocal, [2, 1, 0, 4], workers=2)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_items_comes_behind_their_results():
    def items():
        yield 1
        raise OSError("torn")

    results = map_ordered(lambda item: item, items(), workers=2)
    assert next(results) == 1
    with pytest.raises(OSError, match="torn"):
        next(results)


def test_leaving_early_ends_the_feeding_thread():
    results = map_ordered(lambda item: item, iter(range(10**9)), workers=2)
    next(results)
    results.close()
    deadline = time.monotonic() + 5
    while any(thread.name == "feed" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_batches_hold_what_is_ready_and_wait_for_nothing():
    more = threading.Event()

    def items():
        yield from range(5)
        assert more.wait(10)
        yield from range(5, 300)

    batches = map_in_batches(lambda item: item, items(), most=7, workers=2)
    first = next(batches)
    time.sleep(0.1)  # the other results are ready by now
    second = next(batches) if len(first) < 5 else []
    assert first + second == list(range(5))  # though there is room, and more to come
    more.set()
    rest = list(batches)
    assert list(chain.from_iterable(rest)) == list(range(5, 300))
    assert max(map(len, rest)) <= 7


def test_a_batch_waits_for_no_result_that_is_still_worked_on():
    go_on = threading.Event()

    def slow_from_the_third_on(number: int) -> int:
        time.sleep(0.1 if number == 0 else 0)  # by then the others are in the queue
        assert number < 2 or go_on.wait(10)
        return number

    batches = map_in_batches(slow_from_the_third_on, range(6), most=10, workers=2)
    assert next(batches) == [0, 1]
    go_on.set()
    assert list(chain.from_iterable(batches)) == [2, 3, 4, 5]


def test_an_error_comes_behind_the_batch_before_it():
    def reciprocal(number: int) -> float:
        return 1 / number

    batches = map_in_batches(reciprocal, [2, 1, 0, 4], most=10, workers=1)
    found = next(batches)
    found += [] if len(found) == 2 else next(batches)
    assert found == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_once_works_each_key_out_once_for_all_threads():
    asked = []

    def square(number: int) -> int:
        asked.append(number)
        time.sleep(0.01)
        return number * number

    once = Once(square)
    assert list(map_ordered(once, [3, 4] * 50, workers=8)) == [9, 16] * 50
    assert sorted(asked) == [3, 4]


def test_once_remembers_errors_too():
    asked = []

    def refuse(key: str) -> str:
        asked.append(key)
        raise ValueError(key)

    once = Once(refuse)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"):
            once("x")
    assert asked == ["x"]
