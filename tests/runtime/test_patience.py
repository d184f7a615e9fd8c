"""Servers and clusters that are not there, or never answer: one error in a set time."""

import importlib.util
import os
import socket
import time

import pytest

from faceverify.errors import FaceverifyError, GalleryError, ImageError, UsageError
from faceverify.gallery.open import open_store
from faceverify.images.object_store import is_folder, read_object
from faceverify.runtime.launch import launched
from faceverify.runtime.patience import VARIABLE, seconds_to_wait, within
from faceverify.runtime.ray_cluster import connected_ray


@pytest.fixture
def silent(monkeypatch):
    """Port of a server that takes connections and never says a word; the wait is a second."""
    monkeypatch.setenv(VARIABLE, "1")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:  # the system accepts
        yield listener.getsockname()[1]


@pytest.fixture
def closed():
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_the_seconds_can_be_set(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert seconds_to_wait(7) == 7
    monkeypatch.setenv(VARIABLE, "2.5")
    assert seconds_to_wait(7) == 2.5


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_what_is_no_number_of_seconds(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UsageError, match=f"FACEVERIFY_WAIT={text}: no number of seconds"):
        seconds_to_wait(7)


def test_an_answer_an_error_and_none():
    assert within(10, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        within(0.05, lambda: time.sleep(1))


def in_time(work):
    """The error of some work, which comes soon after the wait of a second."""
    began = time.monotonic()
    with pytest.raises(FaceverifyError) as error:
        work()
    assert time.monotonic() - began < 20
    assert error.value.exit_status == 2
    return error.value


@pytest.mark.parametrize(("scheme", "package"), [("postgresql", "psycopg"), ("milvus", "pymilvus")])
def test_galleries(silent, closed, scheme, package):
    pytest.importorskip(package)
    path = "db?gallery=x" if scheme == "postgresql" else "x"
    for port in (silent, closed):
        error = in_time(
            lambda port=port: open_store(f"{scheme}://ann:hush@127.0.0.1:{port}/{path}")
        )
        assert isinstance(error, GalleryError)
        assert error.code == "gallery-unreachable"
        assert "hush" not in str(error)


@pytest.mark.parametrize("ask", [is_folder, lambda url: read_object(url, 10)])
def test_object_stores(silent, ask):
    pytest.importorskip("pyarrow")
    url = f"s3://bucket/a.jpg?endpoint_override=127.0.0.1:{silent}&scheme=http&region=x"
    assert isinstance(in_time(lambda: ask(url)), ImageError)


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "nonsense", "no.host:1"])
def test_ray(monkeypatch, closed, address):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray")
    monkeypatch.setenv(VARIABLE, "2")
    monkeypatch.setenv("RAY_ADDRESS", address.format(closed))

    def connect():
        with connected_ray():
            raise AssertionError

    error = in_time(connect)
    assert error.code == "ray"
    assert str(error).startswith("Ray: ")
    assert "FACEVERIFY_WAIT sets the seconds" in str(error)


BUSY = "The current node timed out during startup. This could happen because some of the raylet"


@pytest.mark.parametrize(("failures", "reason"), [(2, BUSY), (1, "out of ports"), (10_000, BUSY)])
def test_ray_on_a_busy_machine(monkeypatch, failures, reason):
    """Ray's own limit of 30 s cannot be made to run out here: its plain exception can be raised."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv(VARIABLE, "0.5" if failures == 10_000 else "60")  # as this one may be busy
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    begun = []

    def init(**_):
        begun.append(1)
        time.sleep(0.01)
        if len(begun) <= failures:
            raise Exception(reason)

    monkeypatch.setattr(ray, "init", init)
    if failures == 2:  # tried again
        with connected_ray():
            assert len(begun) == 3
        return
    with pytest.raises(FaceverifyError, match=f"^Ray: {reason[:12]}") as error, connected_ray():
        raise AssertionError
    assert (error.value.exit_status, error.value.code) == (2, "ray")
    assert len(begun) == 1 if failures == 1 else len(begun) > 2


@pytest.mark.parametrize("text", [None, "", "x", "1.5", "-1"])
def test_numbers_of_a_launcher(monkeypatch, text):
    monkeypatch.delenv("RANK", raising=False)
    assert launched("RANK", 0) == 0
    if text is not None:
        monkeypatch.setenv("RANK", text)
    with pytest.raises(UsageError, match="environment: RANK is "):
        launched("RANK")
    os.environ["RANK"] = "3"
    assert launched("RANK") == 3
