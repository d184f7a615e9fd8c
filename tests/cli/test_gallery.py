"""``faceverify gallery``: what is enrolled can be looked at, moved, mended and removed."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from photographs import FACES

OBAMA, BIDEN = FACES / "obama.jpg", FACES / "biden.jpg"


@pytest.fixture(scope="module")
def enrolled_once(tmp_path_factory, small_faces) -> Path:
    """A gallery of two people, made once; its photos lie beside it."""
    from faceverify.embeddings.extractor import FaceEmbedder
    from faceverify.gallery.open import open_store
    from faceverify.recognition.enroll import Enroller, NamedPhoto

    folder = tmp_path_factory.mktemp("enrolled")
    people = {"obama": "Barack", "obama2": "Barack", "biden": "Joe"}
    for photo in people:
        (folder / f"{photo}.jpg").write_bytes(small_faces[photo])
    extractor = FaceEmbedder.load()
    with open_store(str(folder / "gallery"), create=True) as store:
        wanted = [NamedPhoto(name, str(folder / f"{photo}.jpg")) for photo, name in people.items()]
        answers = list(Enroller(extractor, store, None).enroll(wanted))
    assert [answer.status for answer in answers] == ["enrolled"] * 3
    return folder


@pytest.fixture
def gallery(tmp_path, enrolled_once, monkeypatch) -> Path:
    """A copy of it, named by the environment."""
    folder = tmp_path / "gallery"
    shutil.copytree(enrolled_once / "gallery", folder)
    monkeypatch.setenv("FACEVERIFY_GALLERY", str(folder))
    monkeypatch.delenv("FACEVERIFY_GALLERY_KEY", raising=False)
    return folder


def names(run):
    return {line["name"]: line["templates"] for line in run("gallery", "list", "--json").objects}


def test_list_show_and_stats(run, gallery, enrolled_once):
    assert run("gallery", "list").out == "Barack\t2\nJoe\t1\n"
    assert names(run) == {"Barack": 2, "Joe": 1}
    first, second = run("gallery", "show", "Barack", "--json").objects
    assert first["photo"] == str(enrolled_once / "obama.jpg")
    assert second["template"] > first["template"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", first["time"])
    assert 0 < first["quality"] <= 1
    (stats,) = run("gallery", "stats", "--json").objects
    assert (stats["engine"], stats["identities"], stats["templates"]) == ("sqlite", 2, 3)
    assert "3  templates" in run("gallery", "stats").out


def test_a_gallery_that_is_not_there_is_one_line(run, tmp_path):
    for command in (["list"], ["show", "x"], ["stats"], ["verify"], ["dedupe"], ["remove", "x"]):
        ran = run("gallery", *command, "--gallery", tmp_path / "none")
        assert (ran.status, ran.out) == (2, "")
        assert "no gallery there" in ran.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", [["show"], ["remove"], ["remove", "Joe"], ["rename", "x"]])
def test_an_unknown_name_is_one_line_with_the_nearest(run, gallery, command):
    wanted = ["rename", "barak", "Other"] if command[0] == "rename" else [*command, "barak"]
    ran = run("gallery", *wanted)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "faceverify: nobody is enrolled as 'barak'; did you mean 'Barack'?\n"
    assert names(run) == {"Barack": 2, "Joe": 1}  # nobody at all was removed


def test_remove_a_template_then_people(run, gallery, tmp_path):
    log = tmp_path / "log"
    numbers = [one["template"] for one in run("gallery", "show", "Barack", "--json").objects]
    ran = run("gallery", "remove", "Barack", "--template", numbers[0], "--audit", log)
    assert (ran.status, ran.out) == (0, "Barack: 1 template removed\n")
    left = run("gallery", "show", "Barack", "--json").objects
    assert [one["template"] for one in left] == numbers[1:]
    assert run("gallery", "remove", "Barack", "--template", numbers[0]).status == 2
    assert run("gallery", "remove", "Barack", "Joe", "--template", numbers[1]).status == 2
    assert run("gallery", "remove", "Barack", "Joe", "--audit", log, "--json").objects == [
        {"name": "Barack", "removed": 1},
        {"name": "Joe", "removed": 1},
    ]
    assert names(run) == {}
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["event"], one["name"]) for one in events] == [
        ("remove", "Barack"),
        ("remove", "Barack"),
        ("remove", "Joe"),
    ]
    whole = run("gallery", "audit", "verify", log, "--json")
    assert whole.status == 0
    log.write_text(log.read_text().replace("Joe", "Jim"))
    broken = run("gallery", "audit", "verify", log)
    assert (broken.status, broken.out) == (2, f"{log}: line 3 was changed\n")
    assert run("gallery", "audit", "verify", log, "--head", "f" * 64).status == 2


def test_rename_never_makes_one_of_two(run, gallery):
    assert run("gallery", "rename", "Joe", "Joseph").status == 0
    assert names(run) == {"Barack": 2, "Joseph": 1}
    ran = run("gallery", "rename", "Joseph", "Barack")
    assert ran.status == 2
    assert "Barack is enrolled already" in ran.err
    assert names(run) == {"Barack": 2, "Joseph": 1}


def test_verify_finds_a_changed_byte(run, gallery):
    assert run("gallery", "verify").out.endswith("3 templates of 2 people are intact\n")
    database = gallery / "gallery.sqlite"
    content = bytearray(database.read_bytes())
    embedding = run("gallery", "export", gallery.parent / "out")
    assert embedding.status == 0
    with np.load(gallery.parent / "out" / "templates-000000.npz") as archive:
        row = next(iter(archive.values()))[0].tobytes()
    content[content.index(row) + 5] ^= 1
    database.write_bytes(content)
    ran = run("gallery", "verify")
    assert ran.status == 2
    assert len(ran.out.splitlines()) >= 1
    assert "intact" not in ran.out


def test_export_and_import_give_the_same_gallery(run, gallery, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    assert run("gallery", "export", out).out == f"{out}: 3 templates\n"
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    for _ in range(2):  # the second time nothing is doubled
        ran = run("gallery", "import", out, "--gallery", other, "--json")
        assert ran.status == 0
        assert ran.objects[0]["held"] == 3
    for name in ("Barack", "Joe"):
        first, second = (
            run("gallery", "show", name, "--json", "--gallery", one).objects
            for one in (gallery, other)
        )
        for one in (*first, *second):
            one.pop("template")
        assert first == second
    assert run("gallery", "export", out).status == 2  # it is not empty


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines.replace('"row": 0', '"row": -1'),
        lambda lines: lines.replace('"row": 2', '"row": 3'),
        lambda lines: lines.replace('"name": "Joe"', '"name": "J\\noe"'),
        lambda lines: lines.replace('"quality"', '"qualities"'),
        lambda lines: lines.replace('"photo_hash": "', '"photo_hash": "00'),
        lambda lines: lines[:-20],
        lambda lines: "[]\n",
    ],
)
def test_a_damaged_export_is_one_line(run, gallery, tmp_path, change):
    out = tmp_path / "out"
    run("gallery", "export", out)
    lines = out / "templates-000000.jsonl"
    text = lines.read_text()
    assert change(text) != text
    lines.write_text(change(text))
    ran = run("gallery", "import", out, "--gallery", tmp_path / "other")
    assert ran.status == 2
    assert "is no template" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_what_is_no_export_is_one_line(run, gallery, tmp_path):
    assert run("gallery", "import", tmp_path / "none").status == 2
    (tmp_path / "empty").mkdir()
    assert "holds no templates" in run("gallery", "import", tmp_path / "empty").err
    run("gallery", "export", tmp_path / "out")
    (tmp_path / "out" / "templates-000000.npz").write_bytes(b"PK")
    assert "missing or damaged" in run("gallery", "import", tmp_path / "out").err


def test_copy_into_an_encrypted_gallery(run, gallery, tmp_path):
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text("12" * 32 + "\n")
    ran = run("gallery", "copy", gallery, other, "--target-key-file", key, "--json")
    assert (ran.status, ran.objects[0]["held"]) == (0, 3)
    sealed = run("gallery", "list", "--gallery", other)
    assert sealed.status == 2
    assert "is encrypted" in sealed.err
    assert (
        run("gallery", "list", "--gallery", other, "--key-file", key).out == "Barack\t2\nJoe\t1\n"
    )
    assert b"Barack" not in b"".join(
        path.read_bytes() for path in other.rglob("*") if path.is_file()
    )


def test_rebuild_with_another_model(run, gallery, tmp_path, enrolled_once):
    from dataclasses import replace

    from faceverify.models.registry import load_model

    assert "nothing to rebuild" in run("gallery", "rebuild").err
    file = load_model("default")
    other = tmp_path / "other.onnx"
    contract = replace(file.contract, flip_average=not file.contract.flip_average)
    other.write_bytes(replace(file, contract=contract).to_bytes())
    ran = run("gallery", "rebuild", "--model", other, "--json")
    assert ran.status == 0
    assert (ran.objects[0]["templates"], ran.objects[0]["missing"]) == (3, 0)
    (stats,) = run("gallery", "stats", "--json").objects
    assert stats["models"] == {ran.objects[0]["model_id"]: 3}
    claim = run("verify", enrolled_once / "obama.jpg", "--claim", "Barack", "--model", other)
    assert claim.status == 0


def test_rebuild_changes_nothing_where_photos_are_missing(run, gallery, tmp_path, enrolled_once):
    from dataclasses import replace

    from faceverify.models.registry import load_model

    file = load_model("default")
    other = tmp_path / "other.onnx"
    contract = replace(file.contract, flip_average=not file.contract.flip_average)
    other.write_bytes(replace(file, contract=contract).to_bytes())
    photo = enrolled_once / "biden.jpg"
    content = photo.read_bytes()
    try:
        photo.write_bytes((enrolled_once / "obama.jpg").read_bytes())  # another photo by now
        before = run("gallery", "stats", "--json").objects[0]["models"]
        ran = run("gallery", "rebuild", "--model", other)
        assert ran.status == 3
        assert "nothing was changed: 1 of 3 photos" in ran.out
        assert "is another photo than the one that was enrolled" in ran.err
        assert run("gallery", "stats", "--json").objects[0]["models"] == before
        dropped = run("gallery", "rebuild", "--model", other, "--drop-missing")
        assert dropped.status == 0
        assert names(run) == {"Barack": 2}
    finally:
        photo.write_bytes(content)


def test_compact_keeps_everybody(run, gallery):
    run("gallery", "remove", "Joe")
    assert run("gallery", "compact").status == 0
    assert names(run) == {"Barack": 2}


def test_dedupe_finds_one_person_under_two_names(run, gallery, enrolled_once):
    assert run("gallery", "dedupe").status == 0
    obama3 = FACES / "obama3.jpg"
    assert run("enroll", "Hussein", obama3, "--force").status == 0
    ran = run("gallery", "dedupe", "--json")
    assert ran.status == 1
    assert [(one["first"], one["second"]) for one in ran.objects] == [("Barack", "Hussein")]


@pytest.mark.parametrize("method", ["agglomerative", "hdbscan"])
def test_cluster_groups_photos_by_person(run, tmp_path, method):
    photos, into = tmp_path / "photos", tmp_path / "people"
    photos.mkdir()
    for photo in FACES.glob("*.jpg"):  # not the byte code of the tests beside them
        shutil.copy(photo, photos)
    ran = run("gallery", "cluster", photos, "--into", into, "--method", method, "--json")
    assert ran.status == 0
    group = {Path(line["photo"]).stem: line["person"] for line in ran.objects}
    assert group == {
        "biden": "person-0002",
        "obama": "person-0001",
        "obama2": "person-0001",
        "obama3": "person-0001",
    }
    assert sorted(path.name for path in (into / "person-0001").iterdir()) == [
        "obama.jpg",
        "obama2.jpg",
        "obama3.jpg",
    ]
    again = run("gallery", "cluster", FACES, "--into", FACES / "people")
    assert again.status == 2
