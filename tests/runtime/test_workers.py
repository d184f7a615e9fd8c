"""Threads, processes and Ray: equal results, in order, also after failures."""

import os
import signal
import sys
import threading
from functools import partial

import pytest
from runtime.worker_functions import dying, squares

from faceverify.choices import Engine
from faceverify.errors import FaceverifyError, NoFaceError
from faceverify.runtime.workers import CHUNK, _interrupts_blocked, map_on

HERE = [Engine.THREADS, Engine.PROCESSES]
EVERYWHERE = [*HERE, pytest.param(Engine.RAY, marks=pytest.mark.slow)]


@pytest.fixture
def made(tmp_path):
    return tmp_path / "made"


@pytest.fixture(scope="module", autouse=True)
def ray_workers():
    """They find the functions, and end with this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.path.dirname(__file__), prepend=os.pathsep)
        yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("engine", EVERYWHERE)
@pytest.mark.parametrize("count", [0, 1, CHUNK, 40])
def test_results_come_in_the_order_of_the_items(engine, count, made):
    found = list(map_on(engine, partial(squares, made), range(count), workers=2))
    assert [value for value, _ in found] == [number * number for number in range(count)]
    if engine != Engine.THREADS and count:
        workers = {worker for _, worker in found}
        assert os.getpid() not in workers
        # one model for each worker that did something, not one for each photo
        assert made.read_text().count("made") >= len(workers)
        assert made.read_text().count("made") <= max(2, os.cpu_count() or 1)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("engine", EVERYWHERE)
def test_an_error_stands_in_the_place_of_its_result(engine, made):
    results = map_on(engine, partial(squares, made), range(60), workers=2)
    assert [next(results)[0] for _ in range(41)] == [number * number for number in range(41)]
    with pytest.raises(NoFaceError, match="41: no face") as caught:
        next(results)
    assert caught.value.code == "no-face-at-all"


@pytest.mark.parametrize("engine", HERE)
def test_it_reads_only_a_little_ahead(engine, made):
    read = []

    def items():
        for number in range(10_000):
            read.append(number)
            yield number % 40

    results = map_on(engine, partial(squares, made), items(), workers=2)
    for _ in range(10):
        next(results)
    assert len(read) <= 10 + 4 * 2 * CHUNK
    results.close()


def test_a_worker_that_is_killed_is_one_clear_line():
    with pytest.raises(FaceverifyError, match="a worker process ended without a word") as caught:
        list(map_on(Engine.PROCESSES, dying, range(40), workers=1))
    assert caught.value.code == "worker-lost"


def test_ray_that_is_not_installed_is_one_clear_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FaceverifyError, match="Ray is not installed; pip install"):
        list(map_on(Engine.RAY, dying, range(3)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_another_thread_receives_waits_until_a_worker_is_started(number):
    def interrupted(*_):
        raise KeyboardInterrupt

    begun, sent, steps = threading.Event(), threading.Event(), []

    def receive():
        begun.wait()
        signal.raise_signal(number)
        sent.set()

    thread = threading.Thread(target=receive)  # started here, so that nothing is blocked in it
    thread.start()
    kept = signal.signal(number, interrupted)

    def start_a_worker():
        with _interrupts_blocked():
            begun.set()
            sent.wait()
            steps.append("started")
        steps.append("never")

    try:
        with pytest.raises(KeyboardInterrupt):
            start_a_worker()
        assert signal.getsignal(number) is interrupted
    finally:
        begun.set()
        thread.join()
        signal.signal(number, kept)
    assert steps == ["started"]
