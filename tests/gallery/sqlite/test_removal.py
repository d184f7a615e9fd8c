"""What is removed is gone: from every file of the gallery, byte for byte."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

pytest.register_assert_rewrite("store_conformance")

from store_conformance import MODEL, OTHER, enrolment, people  # noqa: E402

from faceverify.choices import (  # noqa: E402
    CodeMethod,
    Fusion,
    SearchMethod,
)
from faceverify.errors import GalleryError  # noqa: E402
from faceverify.gallery.sqlite import index, search_file_writing  # noqa: E402
from faceverify.gallery.sqlite.database import Database  # noqa: E402
from faceverify.gallery.sqlite.store import SqliteStore  # noqa: E402
from faceverify.matching.binary_templates import random_directions  # noqa: E402
from faceverify.runtime.file_lock import FileLock  # noqa: E402

VICTIM = "Victoria Tim"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "LEAST", 20)
    return tmp_path / "gallery"


def traces(folder, needles):
    """In which files which of these byte strings are."""
    found = []
    for path in sorted(Path(folder).rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found += [(path.name, name) for name, needle in needles.items() if needle in content]
    return found


def enrolled(store, victims=4):
    """A gallery of some people, one of whom is to be removed; what to look for."""
    one = people(victims, width=128, seed=7)
    mine = [
        enrolment(VICTIM, template.embedding, f"/secret/{number}.jpg")
        for number, template in enumerate(one)
    ]
    others = people(40, 2, width=128)
    store.add([*others[:30], *mine[:2], *others[30:], *mine[2:]], model=MODEL)
    needles = {"name": VICTIM.encode(), "photo": b"/secret/"}
    for number, template in enumerate(mine):
        needles[f"embedding {number}"] = template.embedding[:8].tobytes()
        needles[f"hash {number}"] = template.photo_hash
    return needles


def test_the_bytes_of_a_removed_person_are_in_no_file(folder):
    with SqliteStore(str(folder), create=True) as store, SqliteStore(str(folder)) as reader:
        needles = enrolled(store)
        reader.search(people(1, width=128)[0].embedding[None], 1, model=MODEL)
        store.renew_search_files()
        reader.search(people(1, width=128)[0].embedding[None], 1, model=MODEL)
        assert {name for _, name in traces(folder, needles)} == set(needles)  # the test can see
        assert {path for path, _ in traces(folder, needles)} >= {"gallery.sqlite-wal"}
        assert store.remove(VICTIM) == 4
        assert traces(folder, needles) == []
        assert reader.check() == []
    assert traces(folder, needles) == []


def test_the_bytes_of_a_removed_template_are_in_no_file(folder):
    with SqliteStore(str(folder), create=True) as store:
        needles = enrolled(store)
        (first, *_) = store.of(VICTIM)
        store.remove(VICTIM, sequences=[first.sequence])
        gone = {name: needles[name] for name in ("embedding 0", "hash 0")}
        assert traces(folder, gone) == []
        assert traces(folder, {"embedding 1": needles["embedding 1"]})


def test_the_bytes_of_a_model_that_was_replaced_are_in_no_file(folder):
    with SqliteStore(str(folder), create=True) as store:
        needles = enrolled(store)
        renewed = [enrolment("Ann", people(1, width=64)[0].embedding)]
        store.replace_model(MODEL, renewed, model=OTHER)
        assert traces(folder, needles) == []


def test_the_old_name_is_gone_after_compact(folder):
    with SqliteStore(str(folder), create=True) as store:
        enrolled(store)
        store.rename(VICTIM, "Bob")
        store.compact()
        assert traces(folder, {"name": VICTIM.encode()}) == []


def test_an_old_name_is_gone_once_the_gallery_is_closed(folder):
    with SqliteStore(str(folder), create=True) as store:
        enrolled(store)
        store.rename(VICTIM, "Bob")
    assert traces(folder, {"name": VICTIM.encode()}) == []


def test_a_reader_behind_the_removal_writes_no_code_of_it(folder):
    def opened():
        return SqliteStore(str(folder), create=True, search=SearchMethod.CODES)

    with opened() as store, opened() as reader:
        needles = enrolled(store)
        store.renew_search_files()
        store.fit_codes(MODEL, bits=128, method=CodeMethod.RANDOM)
        query = people(1, width=128)[0].embedding[None]
        codes = random_directions(128, 128).encode(people(4, width=128, seed=7)[0].embedding[None])
        needles["code"] = codes.tobytes()
        reader.search(query, 1, model=MODEL, fusion=Fusion.MEAN)  # maps it, and makes no codes
        assert "code" in {name for _, name in traces(folder, needles)}  # the test can see
        store.remove(VICTIM)
        reader.search(query, 1, model=MODEL)  # in the file that it mapped, less the victim
        assert traces(folder, needles) == []
        store.search(query, 1, model=MODEL)
        assert list((folder / "search").glob("*.codes"))
        assert traces(folder, needles) == []


def test_an_encrypted_gallery_never_had_them(folder):
    with SqliteStore(str(folder), create=True, key="5f" * 32) as store:
        needles = enrolled(store)
        assert traces(folder, needles) == []
        store.renew_search_files()
        assert list((folder / "search").glob("*.templates"))
        assert traces(folder, needles) == []
        store.remove(VICTIM)
        store.compact()
    assert traces(folder, needles) == []


def test_an_unfinished_search_file_goes_too(folder):
    with SqliteStore(str(folder), create=True) as store:
        needles = enrolled(store)
        store.renew_search_files()
        part = folder / "search" / ".faceverify-0123.part"
        part.write_bytes(next((folder / "search").glob("*.templates")).read_bytes())
        store.remove(VICTIM)
        assert traces(folder, needles) == []
        assert not part.exists()


def test_where_the_search_file_cannot_be_rewritten_it_goes(folder, monkeypatch):
    with SqliteStore(str(folder), create=True) as store:
        needles = enrolled(store)
        store.renew_search_files()

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(search_file_writing, "write_columns", full)
        store.remove(VICTIM)
        assert traces(folder, needles) == []
        assert not list((folder / "search").glob("*.templates"))


def test_what_cannot_be_removed_is_told_of(folder):
    with SqliteStore(str(folder), create=True) as store:
        enrolled(store)
        store.renew_search_files()
        (folder / "search" / "mine").mkdir()
        with pytest.raises(GalleryError, match=r"search/mine.*by hand"):
            store.remove(VICTIM)
        (folder / "search" / "mine").rmdir()
        store.compact()
        assert traces(folder, {"photo": b"/secret/"}) == []


def test_a_reader_that_holds_an_old_state_is_told_of(folder):
    """The log cannot be emptied while somebody reads it: the removal stands, and says so."""
    with SqliteStore(str(folder), create=True, busy=0.2) as store, SqliteStore(str(folder)) as old:
        enrolled(store)
        with old._database.reading(), pytest.raises(GalleryError, match="compact") as problem:
            store.remove(VICTIM)
        assert problem.value.code == "gallery-locked"
        assert store.of(VICTIM) == []
        store.compact()
        assert traces(folder, {"photo": b"/secret/"}) == []


def test_a_file_that_is_written_after_a_removal_is_of_the_state_after_it(folder, monkeypatch):
    """The removal comes between the wish to write the search file and the lock for it."""
    with SqliteStore(str(folder), create=True) as store, SqliteStore(str(folder)) as other:
        needles = enrolled(store)
        monkeypatch.setattr(Database, "vacuum", lambda _: None)
        take, removed = FileLock.take, []

        def take_late(lock, seconds):
            if not removed:
                removed.append(True)
                other.remove(VICTIM)
            return take(lock, seconds)

        monkeypatch.setattr(FileLock, "take", take_late)
        assert search_file_writing.publish(store._database, MODEL)
        assert removed
        assert traces(folder / "search", needles) == []


def test_a_removal_while_a_file_is_written_waits_for_it(folder):
    with SqliteStore(str(folder), create=True, busy=0.2) as store:
        enrolled(store)
        store.renew_search_files()
        with (
            search_file_writing.publishing(store._database, seconds=0),
            pytest.raises(GalleryError) as problem,
        ):
            store.remove(VICTIM)
        assert problem.value.code == "gallery-locked"
        store.compact()
        assert traces(folder, {"photo": b"/secret/"}) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_the_copy_that_vacuum_makes_lies_in_the_gallerys_folder(folder):
    """Not in a folder for all, and not on another disk."""
    with SqliteStore(str(folder), create=True) as store:
        enrolled(store)
        store.add(people(6000, width=128, seed=3), model=MODEL)
        seen = set()

        def look():
            for handle in os.listdir("/proc/self/fd"):
                with suppress(OSError):
                    seen.add(os.readlink(f"/proc/self/fd/{handle}"))

        store._database.sql.set_progress_handler(look, 1000)
        store.remove(VICTIM)
    copies = [path for path in seen if path.endswith("(deleted)") and ".sqlite" not in path]
    assert [path for path in copies if path.startswith(str(folder))]
    assert not [path for path in copies if "etilqs" in path and not path.startswith(str(folder))]
    assert {path.name for path in folder.iterdir()} == {"gallery.sqlite", "lock", "search"}
