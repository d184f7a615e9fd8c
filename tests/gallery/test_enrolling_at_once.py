"""Processes that enroll one face under several names at the same moment: one succeeds."""

import hashlib
import os

import pytest
from enrolled_people import clean_processes, unit_rows

from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrollment
from faceverify.models.registry import load_model
from faceverify.recognition.admission import Admission

FACE = unit_rows(1, dimension=128, seed=5)[0]


def enroll(url, name, barrier, queue):
    model = load_model("default")
    new = [Enrollment(name, FACE, f"/{name}.jpg", hashlib.sha256(name.encode()).digest(), 1.0)]
    with open_store(url) as store:
        admit = Admission(store, model).check_duplicates(new, [f"{name}.jpg"])
        barrier.wait(60)  # all have searched, and found nobody
        added = store.add(new, model=model.id, admit=admit)
    queue.put((name, len(added), [str(refusal) for refusal in admit.refusals.values()]))


@pytest.mark.parametrize("engine", ["folder", "postgresql"])
@pytest.mark.parametrize("names", [["alice", "bob"], list("abcdef")], ids=len)
def test_one_face_gets_one_name(engine, names, tmp_path, request):
    url = str(tmp_path / "gallery")
    if engine == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.url(f"at_once_{os.getpid()}_{len(names)}")
    context = clean_processes()
    barrier, queue = context.Barrier(len(names)), context.Queue()
    with open_store(url, create=True) as store:
        processes = [context.Process(target=enroll, args=(url, n, barrier, queue)) for n in names]
        for one in processes:
            one.start()
        told = [queue.get(timeout=120) for _ in processes]
        for one in processes:
            one.join()
            assert one.exitcode == 0
        ((winner, _),) = store.names()
        assert sum(store.count().values()) == 1
        assert store.check() == []
    assert sorted(name for name, _, _ in told) == names
    for name, added, refusals in told:
        assert (added, len(refusals)) == ((1, 0) if name == winner else (0, 1))
        if refusals:
            assert f"this face is enrolled as '{winner}' already" in refusals[0]
