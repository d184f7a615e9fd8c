"""Search files in step with the database: mask, tail, rewriting; restored, foreign, damaged."""

import random
import shutil
from pathlib import Path

import pytest

pytest.register_assert_rewrite("store_conformance")

from store_conformance import (  # noqa: E402
    MODEL,
    OTHER,
    directions,
    enrollment,
    expected,
    found,
    people,
    same,
)

from faceverify.choices import (  # noqa: E402
    CodeMethod,
    Fusion,
    SearchMethod,
)
from faceverify.gallery.sqlite import (  # noqa: E402
    column_file,
    index,
    search,
    search_file_writing,
    search_files,
)
from faceverify.gallery.sqlite.mean_index import means_of  # noqa: E402
from faceverify.gallery.sqlite.store import SqliteStore  # noqa: E402

KEY = "5f" * 32


@pytest.fixture(params=[None, KEY], ids=["open", "encrypted"])
def key(request):
    return request.param


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of a gallery whose search file is rewritten early."""
    monkeypatch.setattr(index, "LEAST", 20)
    return tmp_path / "gallery"


def opened(folder, key=None, search=SearchMethod.EXACT):
    return SqliteStore(str(folder), create=True, key=key, search=search)


def files(folder, kind="*"):
    return sorted(Path(folder, "search").glob(f"*.{kind}"))


def check(store, enrolled, *, seed=0, model=MODEL):
    for query in directions(2, seed=seed):
        for fusion in Fusion:
            (answer,) = store.search(query[None], 4, model=model, fusion=fusion)
            same(found(answer), expected(enrolled, query, 4, fusion))


def filled(folder, key=None, count=60, **options):
    """A gallery with a search file; closed again."""
    enrolled = people(count // 3, 3, **options)
    with opened(folder, key) as store:
        store.add(enrolled, model=MODEL)
    assert files(folder, "templates")
    return enrolled


def rows_read(monkeypatch):
    """Counts the templates that are read from the database for a search."""
    counted = []

    def counting(*arguments, **options):
        for part, tags in read(*arguments, **options):
            counted.append(len(part))
            yield part, tags

    read = index.read_rows
    monkeypatch.setattr(index, "read_rows", counting)
    monkeypatch.setattr(search_file_writing, "read_rows", counting)
    return counted


def test_a_bulk_of_templates_leaves_a_search_file(folder, key, monkeypatch):
    enrolled = filled(folder, key)
    counted = rows_read(monkeypatch)
    with opened(folder, key) as store:
        check(store, enrolled)
    assert not counted


def test_a_small_gallery_needs_none(folder, key):
    with opened(folder, key) as store:
        enrolled = people(6, 3)
        store.add(enrolled, model=MODEL)
        check(store, enrolled)
    assert not files(folder)


def test_few_new_rows_are_read_and_many_renew_the_file(folder, key, monkeypatch):
    enrolled = filled(folder, key)
    (before,) = files(folder, "templates")
    content = before.read_bytes()
    counted = rows_read(monkeypatch)
    with opened(folder, key) as store:
        for number in range(25):
            more = [enrollment(f"new {number}", directions(1, seed=100 + number)[0])]
            store.add(more, model=MODEL)
            enrolled += more
            check(store, enrolled, seed=number)
            assert (before.read_bytes() == content) is (number < 20)
    assert sum(counted) < 70  # each new row once, and those of the renewal once more


def test_removed_rows_are_masked_before_the_file_is_renewed(folder, key, monkeypatch):
    enrolled = filled(folder, key)
    with opened(folder, key) as reader, opened(folder, key) as writer, opened(folder, key) as new:
        check(reader, enrolled)
        with monkeypatch.context() as patched:  # killed after its transaction
            patched.setattr(SqliteStore, "_wipe", lambda _: None)
            writer.remove("person 0003")
            writer.remove("person 0007", sequences=[22])
        left = [one for i, one in enumerate(enrolled) if i // 3 != 3 and i != 21]
        counted = rows_read(monkeypatch)
        for store in (reader, writer, new):
            check(store, left)
        assert not counted


def test_what_was_followed_is_not_followed_again(folder, key, monkeypatch):
    filled(folder, key)
    with opened(folder, key) as reader, opened(folder, key) as writer:
        writer.add(
            [enrollment(f"new {i}", directions(1, seed=i)[0]) for i in range(9)], model=MODEL
        )
        reader.search(directions(1), 1, model=MODEL)
        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "_wipe", lambda _: None)
            writer.remove("person 0003")
        reader.search(directions(1), 1, model=MODEL)
        counted = rows_read(monkeypatch)
        writer.add([enrollment("last", directions(1, seed=99)[0])], model=MODEL)
        reader.search(directions(1), 1, model=MODEL)
        assert sum(counted) == 1


@pytest.mark.thorough(but=("open-0", "encrypted-3"))
@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_changes_by_two_processes_searched_by_three(folder, key, seed):
    draws = random.Random(seed)
    filled(folder, key, seed=seed)
    stores = [opened(folder, key) for _ in range(3)]
    enrolled = people(20, 3, seed=seed)
    for step in range(25):
        store = draws.choice(stores[:2])
        match draws.choice(["add", "add", "add", "remove", "some", "rename", "compact"]):
            case "add":
                more = people(draws.randint(1, 5), draws.randint(1, 3), seed=1000 * seed + step)
                store.add(more, model=MODEL)
                enrolled += more
            case "remove":
                name = draws.choice(enrolled).name
                store.remove(name)
                enrolled = [one for one in enrolled if one.name != name]
            case "some":
                one = draws.choice(enrolled)
                stored = store.of(one.name)
                victim = draws.choice(stored)
                store.remove(one.name, sequences=[victim.sequence])
                enrolled = [one for one in enrolled if one.photo_hash != victim.photo_hash]
            case "rename":
                old = draws.choice(enrolled).name
                store.rename(old, f"renamed {step}")
                enrolled = [
                    enrollment(f"renamed {step}", one.embedding, one.photo)
                    if one.name == old else one
                    for one in enrolled
                ]  # fmt: skip
            case "compact":
                store.compact()
        check(draws.choice(stores), enrolled, seed=step)
    for store in stores:
        check(store, enrolled)
        assert store.check() == []
        store.close()


def test_a_restored_backup_does_not_take_the_file_for_its_own(folder, key, tmp_path):
    enrolled = filled(folder, key)
    backup = tmp_path / "backup.sqlite"
    shutil.copyfile(folder / "gallery.sqlite", backup)
    with opened(folder, key) as store:  # the same number of rows as will be there in the end
        store.add(people(10, 3, seed=1), model=MODEL)
    shutil.copyfile(backup, folder / "gallery.sqlite")
    with opened(folder, key) as store:
        check(store, enrolled)
        others = people(10, 3, seed=2)
        store.add(others, model=MODEL)
        check(store, enrolled + others)
    with opened(folder, key) as store:
        check(store, enrolled + others)
        assert store.check() == []


def test_a_backup_restored_under_an_open_reader(folder, key, tmp_path):
    """Removal of one person, restored, removal of another: the same epoch, other rows."""
    enrolled = filled(folder, key)
    shutil.copytree(folder, tmp_path / "backup")
    with opened(folder, key) as store:
        store.remove("person 0000")
    file = files(folder, "templates")[0].read_bytes()
    with opened(tmp_path / "backup", key) as store:
        store.remove("person 0001")
    files(tmp_path / "backup", "templates")[0].write_bytes(file)
    with opened(tmp_path / "backup", key) as store:
        check(store, [one for one in enrolled if one.name != "person 0001"])


def coded(folder, key, enrolled):
    """Writes the file of codes; all of so few templates are on the shortlist."""
    with opened(folder, key, SearchMethod.CODES) as store:
        store.fit_codes(MODEL, bits=128, method=CodeMethod.RANDOM)
        check(store, enrolled)


def test_the_file_of_another_gallery(folder, key, tmp_path):
    mine, theirs = filled(folder, key), tmp_path / "theirs"
    coded(folder, key, mine)
    coded(theirs, key, filled(theirs, key, seed=5))
    for kind in ("templates", "codes"):
        files(folder, "templates")[0].with_suffix(f".{kind}").write_bytes(
            files(theirs, kind)[0].read_bytes()
        )
    for method in SearchMethod:
        with opened(folder, key, method) as store:
            check(store, mine)


@pytest.mark.thorough(but=("open-templates", "encrypted-codes"))
@pytest.mark.parametrize("kind", ["templates", "codes"])
def test_a_damaged_file_is_rebuilt(folder, key, kind):
    enrolled = filled(folder, key)
    coded(folder, key, enrolled)
    for damage in ("cut", "flip", "empty", "folder", "foreign"):
        (path,) = files(folder, kind)
        content = path.read_bytes()
        if damage == "folder":
            path.unlink()
            path.mkdir()
        else:
            flipped = bytearray(content)
            flipped[4096 + 100] ^= 4
            path.write_bytes(
                {"cut": content[:-1], "flip": flipped, "empty": b"", "foreign": b"x" * 9000}[damage]
            )
        with opened(folder, key, SearchMethod.CODES) as store:
            check(store, enrolled)
        if damage == "folder":
            shutil.rmtree(path)
        with opened(folder, key, SearchMethod.CODES) as store:
            check(store, enrolled)
        assert column_file.read_columns(path, store._database.protection) is not None, damage


def test_a_matrix_that_changed_in_memory_is_noticed(folder, monkeypatch):
    """Each candidate's distance is computed again from the database's row."""
    enrolled = filled(folder)
    forgeries = []

    def forging(database, model):
        about, columns = search_files.read_search_file(database, model)
        if not forgeries:
            forgeries.append(columns["embedding"].copy())
            forgeries[0][17] = directions(1, seed=3)[0]
            columns["embedding"] = forgeries[0]
        return about, columns

    monkeypatch.setattr(index, "read_search_file", forging)
    with opened(folder) as store:
        check(store, enrolled, seed=3)
    assert forgeries


def test_where_no_file_can_be_written_memory_serves(folder, key, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(search_file_writing, "write_columns", full)
    with opened(folder, key) as store:
        enrolled = people(30, 3)
        store.add(enrolled, model=MODEL)
        check(store, enrolled)
    assert not files(folder)


def test_while_another_writes_the_file_memory_serves(folder, key):
    enrolled = people(30, 3)
    with opened(folder, key) as store:
        store.add(enrolled, model=MODEL)
        with (
            search_files.publishing(store._database, seconds=0) as taken,
            opened(folder, key) as it,
        ):
            assert taken
            check(it, enrolled)
            assert not files(folder)
    assert files(folder, "templates")  # written when the writer closed


def test_what_a_killed_process_left_is_cleared_away(folder):
    filled(folder)
    (folder / "search" / ".faceverify-0123.part").write_bytes(b"faces")
    with opened(folder) as store:
        store.compact()
    assert {path.name for path in (folder / "search").iterdir()} == {
        "lock", files(folder, "templates")[0].name,
    }  # fmt: skip


def test_models_have_files_of_their_own(folder, key):
    filled(folder, key)
    renewed = people(20, 3, width=32, seed=9)
    with opened(folder, key) as store:
        store.add(renewed, model=OTHER)
        store.replace_model(MODEL, people(10, 3, seed=8), model=MODEL)
    assert len(files(folder, "templates")) == 2
    with opened(folder, key) as store:
        check(store, people(10, 3, seed=8))
        (answer,) = store.search(renewed[4].embedding[None], 3, model=OTHER)
        same(found(answer), expected(renewed, renewed[4].embedding, 3))


def test_means_are_computed_once_for_what_is_enrolled(folder, key, monkeypatch):
    enrolled = filled(folder, key)
    computed = []
    monkeypatch.setattr(search, "means_of", lambda parts: computed.append(parts) or means_of(parts))
    with opened(folder, key) as store, opened(folder, key) as other:
        check(store, enrolled)
        check(store, enrolled)
        assert len(computed) == 1
        more = people(1, 2, seed=8)
        other.add(more, model=MODEL)
        check(store, [*enrolled, *more])
        other.remove(more[0].name)
        check(store, [one for one in enrolled if one.name != more[0].name])
        assert len(computed) == 3


def test_names_few_and_many(folder, key, monkeypatch):
    """Few people are read from the database, many are picked from the index: the same answers."""
    enrolled = filled(folder, key)
    names = sorted({one.name for one in enrolled})[::2]
    chosen = [one for one in enrolled if one.name in names]
    with opened(folder, key) as store:
        store.add(people(3, seed=4), model=MODEL)
        for few in (0, 100):
            monkeypatch.setattr(search, "FEW", few)
            for fusion in Fusion:
                query = directions(1, seed=few)
                (answer,) = store.search(query, 5, model=MODEL, names=names, fusion=fusion)
                kept = chosen + [one for one in people(3, seed=4) if one.name in names]
                same(found(answer), expected(kept, query[0], 5, fusion))
