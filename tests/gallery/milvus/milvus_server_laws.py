"""The laws of every engine, and of this one, on a Milvus server; test_store.py runs this file.

It runs in the network namespace of the server, whose address is ``$FACEVERIFY_TEST_MILVUS``.
"""

import multiprocessing
import os
import time
import uuid
from contextlib import ExitStack

import pytest
from enrolled_people import MODEL, enrol, enrolments, unit_rows
from store_conformance import StoreLaws, expected, found, numbers, same

from faceverify.gallery.milvus.store import MilvusStore


@pytest.fixture
def url():
    return f"milvus://{os.environ['FACEVERIFY_TEST_MILVUS']}/test_{uuid.uuid4().hex}"


class TestServer(StoreLaws):
    @pytest.fixture
    def store_url(self, url):
        return url

    @pytest.fixture
    def again(self, store_url):
        """Opens the gallery once more. The laws want it to see at once what others write: this one
        reads as if it were opened anew each time, for that is what Milvus is asked to promise."""
        with ExitStack() as opened:

            def open_it():
                reader = opened.enter_context(MilvusStore(store_url))
                reader._client._level = lambda collection: "Strong"
                return reader

            yield open_it


def test_a_gallery_that_is_open_sees_within_seconds_what_others_write(url):
    with MilvusStore(url, create=True) as store, MilvusStore(url) as reader:
        for start in range(0, 30, 10):
            store.add(enrolments(10, first=start), model=MODEL)
            assert sum(1 for _ in store.since(0)) == start + 10  # and its own at once
            end = time.monotonic() + 20
            while sum(1 for _ in reader.since(0)) < start + 10:
                assert time.monotonic() < end
        assert store.remove("person 7") == 1
        assert store.of("person 7") == []


def test_processes_that_enrol_the_same_people_at_once_lose_and_double_nothing(url):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=enrol, args=(url, first, 100, 5)) for first in (0, 0, 50, 50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    with MilvusStore(url) as store:
        stored = list(store.since(0))
        assert sorted(int(one.photo[8:-4]) for one in stored) == list(range(150))
        assert len({one.sequence for one in stored}) == 150
        assert store.check() == []


def test_a_page_of_a_large_gallery_is_no_limit(url):
    people = enrolments(20_000, people=3)  # more than a search of Milvus returns at once
    with MilvusStore(url, create=True) as store:
        sequences = numbers(store.add(people, model=MODEL))
        assert [one.sequence for one in store.since(0)] == sequences
        (answer,) = store.search(unit_rows(1, seed=1), 5, model=MODEL)
        same(found(answer), expected(people, unit_rows(1, seed=1)[0], 5))
        assert store.remove("person 1") == 6_667
        assert dict(store.names()) == {"person 0": 6_667, "person 2": 6_666}
