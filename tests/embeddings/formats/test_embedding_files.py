"""Embedding files: written and read back; damaged and foreign ones are refused."""

import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceverify.embeddings.formats import EmbeddingSet, read_embeddings
from faceverify.embeddings.formats.done_photos import origin_of
from faceverify.embeddings.formats.output import open_output
from faceverify.embeddings.formats.shards import ShardFolder
from faceverify.embeddings.formats.single_file import WRITERS, SingleFile
from faceverify.errors import EmbeddingFileError, ImageError, OutputError, UsageError
from faceverify.images import content as photo_content
from faceverify.images.content import content_hash, settled_state
from faceverify.runtime import name_set
from faceverify.runtime.name_set import PhotoSet

NAMES = ["a b.jpg", "日本語/é.jpg", "x\udcff.jpg", "two faces.jpg", "two faces.jpg"]


def rows(photos=NAMES, model_id="0123456789abcdef", size=8, seed=0):
    random = np.random.default_rng(seed)
    count = len(photos)
    embeddings = random.normal(size=(count, size)).astype(np.float32)
    return EmbeddingSet(
        model_id,
        list(photos),
        embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        np.arange(count, dtype=np.int32),
        random.normal(size=(count, 4)).astype(np.float32),
        random.normal(size=(count, 5, 2)).astype(np.float32),
        random.random(count).astype(np.float32),
    )


@pytest.fixture(autouse=True)
def photos_lie_elsewhere(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("photos"))


def embedded(photo, model_id="m", count=1):
    """Rows of a photo as it is now; its file is made where there is none."""
    if not Path(photo).exists():
        Path(photo).write_bytes(photo.encode("utf-8", "surrogateescape"))
    origin = origin_of(content_hash(photo), "", settled_state(photo))
    return replace(rows([photo] * count, model_id), origins=[origin] * count)


def write(path, *parts):
    with path.open("wb") as stream:
        writer = WRITERS[path.suffix](stream)
        for part in parts:
            writer.write(part)
        writer.close()
    return path


def assert_same(found, expected):
    assert found.model_id == expected.model_id
    assert found.photos == expected.photos
    for key in ("embeddings", "faces", "boxes", "points", "quality"):
        one, other = getattr(found, key), getattr(expected, key)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, err_msg=key)


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_written_comes_back_to_the_bit(tmp_path, suffix):
    path = write(tmp_path / f"t{suffix}", rows())
    assert_same(read_embeddings(path), rows())


@pytest.mark.parametrize("suffix", WRITERS)
def test_parts_come_back_one_after_the_other_and_the_same_rows_give_the_same_bytes(
    tmp_path, suffix
):
    parts = rows(["a", "b"]), rows(["c"], seed=1)
    path = write(tmp_path / f"t{suffix}", *parts)
    found = read_embeddings(str(path))
    assert found.photos == ["a", "b", "c"]
    np.testing.assert_array_equal(found.embeddings[2], parts[1].embeddings[0])
    assert path.read_bytes() == write(tmp_path / f"again{suffix}", *parts).read_bytes()


def test_files_are_told_apart_by_content(tmp_path):
    path = write(tmp_path / "t.parquet", rows())
    assert_same(read_embeddings(path.rename(tmp_path / "t.npz")), rows())


def test_rows_from_elsewhere_need_no_more_than_id_photos_and_embeddings(tmp_path):
    given_rows = rows()
    embeddings = given_rows.embeddings.astype(np.float16)
    np.savez_compressed(tmp_path / "t.npz", model_id="m", photos=NAMES, embeddings=embeddings)
    found = read_embeddings(tmp_path / "t.npz")
    assert found.embeddings.dtype == np.float32
    assert found.boxes is None
    line = {"photo": "a", "model_id": "m", "embedding": [1, 0]}
    (tmp_path / "t.jsonl").write_text("\n" + json.dumps(line) + "\n\n")
    assert read_embeddings(tmp_path / "t.jsonl").quality is None


def test_lines_with_an_error_are_passed_over(tmp_path):
    path = write(tmp_path / "t.jsonl", rows())
    refused = {"photo": "bad.jpg", "model_id": "x", "embedding": None, "error": {"code": "no-face"}}
    path.write_text(json.dumps(refused) + "\n" + path.read_text())
    assert_same(read_embeddings(path), rows())


def bad(values, index, value):
    values = values.copy()
    values[index] = value
    return values


UNIT = rows().embeddings
WRONG = {
    "NaN": ({"embeddings": bad(UNIT, (1, 0), np.nan)}, "row 1 .*é.jpg.* holds NaN"),
    "infinity": ({"embeddings": bad(UNIT, (1, 0), np.inf)}, "holds NaN or infinity"),
    "zeros": ({"embeddings": bad(UNIT, 0, 0)}, r"row 0 \(a b.jpg\) is all zeros"),
    "length": ({"embeddings": UNIT * 3}, r"has length 3, not 1 \(5 of 5 rows\)"),
    "vector": ({"embeddings": UNIT[0]}, r"shape \(8,\)"),
    "too few": ({"embeddings": UNIT[:3]}, r"shape \(3, 8\), where 5 photos need \(5, 8\)"),
    "whole numbers": ({"embeddings": np.eye(5, dtype=int)}, "int64"),
    "no size": ({"embeddings": UNIT[:, :0]}, r"shape \(5, 0\)"),
    "boxes": ({"boxes": np.zeros((5, 3))}, r"boxes is .* need \(5, 4\)"),
    "points": ({"points": np.zeros((5, 10))}, "points is "),
    "text": ({"quality": np.array(NAMES)}, "quality is <U"),
    "no photos": ({"photos": None}, "lacks photos"),
    "photos": ({"photos": np.arange(5)}, "not a list of text"),
    "no model": ({"model_id": None}, "lacks model_id"),
    "empty model": ({"model_id": ""}, "does not say which model"),
    "models": ({"model_id": ["a", "b"]}, "does not say which model"),
    "empty": ({"photos": np.array([], "U1"), "embeddings": UNIT[:0]}, "holds no embeddings"),
}


@pytest.mark.parametrize("change", WRONG)
def test_wrong_arrays_are_named(tmp_path, change):
    arrays = {"model_id": "m", "photos": NAMES, "embeddings": UNIT}
    changes, message = WRONG[change]
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(EmbeddingFileError, match=message) as caught:
        read_embeddings(tmp_path / "t.npz")
    assert str(tmp_path / "t.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickles_are_not_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    photos = np.array([Bomb()] * 5, object)
    np.savez(tmp_path / "t.npz", model_id="m", photos=photos, embeddings=UNIT)
    with pytest.raises(EmbeddingFileError):
        read_embeddings(tmp_path / "t.npz")
    assert not (tmp_path / "exploded").exists()


LINE = {"photo": "a", "model_id": "m", "embedding": [0.6, 0.8]}
WRONG_LINES = {
    "JSON": ('{"photo": ', "t.jsonl:2: not JSON"),
    "object": ("[1]", "t.jsonl:2: not a JSON object"),
    "photo": (json.dumps(LINE | {"photo": 3}), "t.jsonl:2: .*lacks a text photo"),
    "model": (json.dumps(LINE | {"model_id": "n"}), "t.jsonl:2 is of model n, line 1 of model m"),
    "none": (json.dumps(LINE | {"embedding": None}), "t.jsonl:2: embedding"),
    "longer": (json.dumps(LINE | {"embedding": [0.6, 0.8, 0]}), r"t.jsonl:2: .*shape \(3,\)"),
    "NaN": (json.dumps(LINE | {"embedding": [0.6, float("nan")]}), "holds NaN"),
    "huge": (json.dumps(LINE | {"embedding": [0.6, 10**400]}), "something else than numbers"),
    "ragged": (json.dumps(LINE | {"embedding": [[1], [1, 2]]}), "something else than numbers"),
    "text": (json.dumps(LINE | {"embedding": ["1", "0"]}), "something else than numbers"),
    "box": (json.dumps(LINE | {"box": [1, 2, 3]}), r"box has shape \(3,\)"),
    "deep": ("[" * 100_000, "t.jsonl:2: not JSON"),
}


@pytest.mark.parametrize("kind", WRONG_LINES)
def test_wrong_lines_are_named(tmp_path, kind):
    line, message = WRONG_LINES[kind]
    (tmp_path / "t.jsonl").write_text(json.dumps(LINE) + "\n" + line + "\n")
    with pytest.raises(EmbeddingFileError, match=message):
        read_embeddings(tmp_path / "t.jsonl")


def test_foreign_files_are_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    foreign = {"t.csv": b"photo,embedding\n", "t.jpg": b"\xff\xd8\xff\xe0" * 9, "t": b""}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    foreign["t.docx"] = buffer.getvalue()
    np.save(tmp_path / "t.npy", UNIT)
    tables = {"x": [1]}, {"photo": [1], "embedding": [[1.0]]}, {"photo": ["a"], "embedding": [1]}
    for number, table in enumerate(tables):
        pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / f"{number}.parquet")
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    for path in (*tmp_path.iterdir(), tmp_path / "missing", tmp_path, Path("nul\0byte")):
        with pytest.raises(EmbeddingFileError):
            read_embeddings(path)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_damaged_file_is_an_error_or_gives_unit_rows(tmp_path, suffix):
    whole = write(tmp_path / f"t{suffix}", rows()).read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / f"damaged{suffix}"
    for _ in range(60):
        content = bytearray(whole)
        for place in random.integers(0, len(content), 3):
            content[place] = random.integers(0, 256)
        cut = len(content) if random.random() < 0.5 else int(random.integers(0, len(content)))
        path.write_bytes(content[:cut])
        try:
            found = read_embeddings(path)
        except EmbeddingFileError:
            continue
        lengths = np.linalg.norm(found.embeddings, axis=1)
        np.testing.assert_allclose(lengths, 1, atol=2e-3)


# --- folders of shards -----------------------------------------------------------------------


def fill(folder, photos, shard_size=3, model_id="m"):
    with ShardFolder(folder, model_id, shard_size) as output:
        for photo in photos:
            if output.wants(photo):
                output.add(embedded(photo, model_id, 2 if photo == "two" else 1))


def interrupted(output, photo):
    with output:
        output.add(embedded(photo))
        raise KeyboardInterrupt


def test_shards_are_read_in_order_whatever_their_kind(tmp_path, monkeypatch):
    fill(tmp_path, ["a", "b", "c", "d"])
    monkeypatch.setattr("faceverify.embeddings.formats.shards.has_parquet", lambda: False)
    fill(tmp_path, ["e"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["shard-000000.parquet", "shard-000001.parquet", "shard-000002.npz"]
    assert read_embeddings(tmp_path).photos == ["a", "b", "c", "d", "e"]


def test_a_photo_is_never_cut_in_two(tmp_path):
    fill(tmp_path, ["a", "b", "two", "c"])
    assert read_embeddings(tmp_path / "shard-000000.parquet").photos == ["a", "b", "two", "two"]


def test_a_shard_is_full_by_its_rows(tmp_path):
    fill(tmp_path, ["a", "two", "b"])
    assert read_embeddings(tmp_path / "shard-000000.parquet").photos == ["a", "two", "two"]


def test_shards_are_ordered_by_number_and_other_files_are_left_alone(tmp_path):
    for photo, number in ("b", "1000000"), ("a", "999999"):
        write(tmp_path / f"shard-{number}.npz", rows([photo], "m"))
    (tmp_path / "shard-000000.npz.part").write_bytes(b"half")
    assert read_embeddings(tmp_path).photos == ["a", "b"]
    fill(tmp_path, ["c"])
    assert (tmp_path / "shard-1000001.parquet").exists()


def test_a_second_run_adds_what_is_missing_and_nothing_twice(tmp_path):
    fill(tmp_path, ["a", "b", "x\udcff", "a"])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    fill(tmp_path, ["x\udcff", "c", "b", "a"])
    assert read_embeddings(tmp_path).photos == ["a", "b", "x\udcff", "c"]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_an_interrupted_run_keeps_what_it_has(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(ShardFolder(tmp_path, "m", 3), "a")
    assert read_embeddings(tmp_path).photos == ["a"]


def test_shards_of_another_model_are_an_error_with_both_ids(tmp_path):
    fill(tmp_path, ["a"], model_id="one")
    with pytest.raises(EmbeddingFileError, match="of model one, not of other") as caught:
        ShardFolder(tmp_path, "other")
    assert caught.value.code == "model-mismatch"
    write(tmp_path / "shard-000007.npz", rows(["b"], "other"))
    with pytest.raises(EmbeddingFileError, match=r"000000.* of model one, .*000007.* other"):
        read_embeddings(tmp_path)


def test_a_damaged_shard_stops_the_run_before_it_starts(tmp_path):
    fill(tmp_path, ["a"])
    (tmp_path / "shard-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(EmbeddingFileError, match="damaged"):
        ShardFolder(tmp_path, "m")


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    with ShardFolder(tmp_path, "m"), pytest.raises(OutputError, match="another run"):
        ShardFolder(tmp_path, "m")
    fill(tmp_path, ["a"])  # the lock has gone with the run


def test_refused_photos_are_listed_until_they_succeed(tmp_path):
    def listed():
        lines = (tmp_path / "refused.jsonl").read_text().splitlines()
        return [json.loads(line)["photo"] for line in lines]

    def run(**outcomes):
        with ShardFolder(tmp_path, "m") as output:
            for photo, good in outcomes.items():
                if not output.wants(photo):
                    continue
                if good:
                    output.add(embedded(photo))
                else:
                    output.refuse(photo, ImageError("torn", code="image-truncated"))

    run(a=False, b=True, c=False)
    assert listed() == ["a", "c"]
    assert json.loads((tmp_path / "refused.jsonl").read_text().splitlines()[0])["error"] == {
        "code": "image-truncated",
        "message": "torn",
    }
    run(a=True, d=False)
    assert listed() == ["c", "d"]
    run(c=True, d=True)
    assert not (tmp_path / "refused.jsonl").exists()


# --- single files ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_keeps_its_rows_and_gets_more(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("faceverify.embeddings.formats.single_file.ROW_GROUP", 2)
    path = tmp_path / f"t{suffix}"
    added = []
    for photos in (["a", "b", "c"], ["c", "d"], ["a"]):
        with SingleFile(path, "m") as output:
            for photo in filter(output.wants, photos):
                output.add(embedded(photo))
                added.append(photo)
    assert added == ["a", "b", "c", "d"]
    assert read_embeddings(path).photos == added
    with pytest.raises(EmbeddingFileError, match="of model m, not of n"):
        SingleFile(path, "n")


def test_a_file_stays_as_it_was_when_the_run_ends_badly(tmp_path, monkeypatch):
    monkeypatch.setattr("faceverify.embeddings.formats.single_file.ROW_GROUP", 1)
    path = write(tmp_path / "t.jsonl", rows(["a"], "m"))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        interrupted(SingleFile(path, "m"), "b")
    assert [file.name for file in tmp_path.iterdir()] == ["t.jsonl"]
    assert path.read_bytes() == before


def test_places_are_told_apart_by_name(tmp_path):
    (tmp_path / "v1.npz").mkdir()
    for name, kind in {
        "t.npz": SingleFile,
        "T.PARQUET": SingleFile,
        "shards": ShardFolder,
        "v1.npz": ShardFolder,
        "v2.shards/": ShardFolder,
    }.items():
        with open_output(f"{tmp_path}/{name}", "m") as output:
            assert isinstance(output, kind), name
    with pytest.raises(UsageError, match=r"'.csv'.*\.npz"):
        open_output(f"{tmp_path}/t.csv", "m")


def test_what_would_fail_at_the_end_fails_at_once(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="create it first"):
        SingleFile(tmp_path / "missing" / "t.npz", "m")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs pyarrow"):
        SingleFile(tmp_path / "t.parquet", "m")
    fill(tmp_path / "shards", ["a"])
    assert (tmp_path / "shards" / "shard-000000.npz").exists()


# --- photos that have changed since ------------------------------------------------------------


def run_over(place, photos, way=""):
    """A run over photos; returns those that it embedded."""
    done = []
    with open_output(str(place), "m", shard_size=2, way=way) as output:
        for photo in photos:
            if output.wants(photo):
                done.append(photo)
                if Path(photo).read_text() == "no face":
                    output.refuse(photo, ImageError("no face"))
                else:
                    row = embedded(photo)
                    origin = row.origins[0].replace("  ", f" {way} ", 1) if way else row.origins[0]
                    output.add(replace(row, origins=[origin]))
    return done


PLACES = ["t.npz", "t.parquet", "t.jsonl", "shards/"]


@pytest.fixture(params=PLACES)
def embedded_once(request, tmp_path):
    """Three photos, embedded, of which nothing has changed."""
    for name in "abc":
        Path(name).write_text(name)
        os.utime(name, (1e9, 1e9))
    assert run_over(request.param, "abc") == ["a", "b", "c"]
    assert run_over(request.param, "abc") == []
    return request.param


def change_newer(path):
    path.write_text("another")
    os.utime(path, (2e9, 2e9))


def change_older(path):
    path.write_text("another")
    os.utime(path, (5e8, 5e8))


def change_of_the_same_size_and_date(path):
    Path("new").write_text("x")
    os.utime("new", (1e9, 1e9))
    os.replace("new", path)


def change_by_a_link(path):
    path.unlink()
    Path("elsewhere").write_text("another")
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    "change", [change_newer, change_older, change_of_the_same_size_and_date, change_by_a_link]
)
def test_a_photo_replaced_under_its_name_is_embedded_anew(embedded_once, change):
    before = read_embeddings(embedded_once)
    change(Path("b"))
    assert run_over(embedded_once, "abc") == ["b"]
    found = read_embeddings(embedded_once)
    assert sorted(found.photos) == ["a", "b", "c"]
    old, new = (one.origins[one.photos.index("b")] for one in (before, found))
    assert new.startswith(content_hash("b"))
    assert new != old
    assert run_over(embedded_once, "cba") == []


@pytest.mark.skipif(os.name != "posix", reason="needs a time of the last change")
def test_of_settled_files_the_time_of_the_last_change_tells(monkeypatch):
    now = photo_content.time.time_ns()
    monkeypatch.setattr(photo_content.time, "time_ns", lambda: now + 60_000_000_000)
    for name in "ab":
        Path(name).write_text(name)
        os.utime(name, (1e9, 1e9))
    assert run_over("t.npz", "ab") == ["a", "b"]
    change_of_the_same_size_and_date(Path("b"))
    assert run_over("t.npz", "ab") == ["b"]
    monkeypatch.setattr("faceverify.embeddings.formats.done_photos.content_hash", None)
    assert run_over("t.npz", "ab") == []  # not read again


def test_a_photo_that_was_only_touched_is_not(embedded_once):
    os.utime("b", (2e9, 2e9))
    assert run_over(embedded_once, "abc") == []


def test_what_has_no_face_any_more_loses_its_rows(embedded_once):
    Path("b").write_text("no face")
    assert run_over(embedded_once, "abc") == ["b"]
    assert sorted(read_embeddings(embedded_once).photos) == ["a", "c"]
    for name in "ac":
        Path(name).write_text("no face")
    assert run_over(embedded_once, "abc") == ["a", "b", "c"]
    with pytest.raises(EmbeddingFileError):
        read_embeddings(embedded_once)


def test_what_cannot_be_read_now_keeps_its_rows(embedded_once):
    with open_output(embedded_once, "m") as output:
        Path("b").rename("moved")
        assert output.wants("b")
        output.refuse("b", ImageError("missing", code="image-missing"))
    assert sorted(read_embeddings(embedded_once).photos) == ["a", "b", "c"]


def test_other_options_embed_anew(embedded_once):
    assert run_over(embedded_once, "ab", way="other") == ["a", "b"]
    assert sorted(read_embeddings(embedded_once).photos) == ["a", "b", "c"]


def test_an_interrupted_run_leaves_no_photo_twice(embedded_once):
    change_newer(Path("b"))
    output = open_output(embedded_once, "m")
    assert output.wants("b")
    with pytest.raises(KeyboardInterrupt):
        interrupted(output, "b")
    assert run_over(embedded_once, "abc") in (["b"], [])
    assert sorted(read_embeddings(embedded_once).photos) == ["a", "b", "c"]


def test_rows_that_do_not_say_what_their_photos_were_are_embedded_anew():
    for name in "ab":
        Path(name).write_text(name)
    write(Path("t.parquet"), rows(["a", "b"], "m"))
    assert run_over("t.parquet", "a") == ["a"]
    found = read_embeddings("t.parquet")
    assert sorted(zip(found.photos, [bool(one) for one in found.origins], strict=True)) == [
        ("a", True), ("b", False)
    ]  # fmt: skip


# --- names that were seen --------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefghijkl\udcff")), max_size=60))
def test_a_photo_set_is_a_set(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name_set, "RECENT", 3)
        found, expected = PhotoSet(), set()
        for adds, name in steps:
            assert (name in found) == (name in expected)
            if adds:
                assert found.add(name) == (name not in expected)
                expected.add(name)
    assert PhotoSet(expected).add("new")
