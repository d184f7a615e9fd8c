"""Enrolment on real photos: what is stored, what is refused, and what is never done twice."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from photographs import FACES
from PIL import Image

from faceverify.choices import FaceChoice
from faceverify.embeddings.extractor import TemplateExtractor
from faceverify.errors import GalleryError, OutputError, UsageError
from faceverify.faces.options import FaceOptions
from faceverify.gallery.audit import AuditLog, check_audit_log
from faceverify.gallery.open import open_store
from faceverify.recognition.admission import Admission
from faceverify.recognition.enroll import Enroller, NamedPhoto


@pytest.fixture(scope="module")
def extractor() -> TemplateExtractor:
    return TemplateExtractor.load(options=FaceOptions(face=FaceChoice.ONLY, min_quality=0.3))


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> dict[str, str]:
    """Paths of photos, by name: of two people, of both together, and of nobody."""
    folder = tmp_path_factory.mktemp("people")
    shrunk = {}
    for path in sorted(FACES.glob("*.jpg")):
        shrunk[path.stem] = Image.open(path).convert("RGB")
        shrunk[path.stem].thumbnail((420, 420))
    couple = Image.new("RGB", (840, 560))
    couple.paste(shrunk["obama"], (0, 0))
    couple.paste(shrunk["biden"], (420, 0))
    tiny = shrunk["obama"].resize([side // 9 for side in shrunk["obama"].size])
    blurred = tiny.resize(shrunk["obama"].size)
    for name, image in {**shrunk, "couple": couple, "blurred": blurred}.items():
        image.save(folder / f"{name}.jpg", quality=92)
    Image.new("RGB", (200, 200), "navy").save(folder / "wall.jpg")
    (folder / "torn.jpg").write_bytes((folder / "obama.jpg").read_bytes()[:2000])
    return {path.stem: str(path) for path in folder.iterdir()}


@pytest.fixture
def store(tmp_path):
    with open_store(str(tmp_path / "gallery"), create=True) as store:
        yield store


@pytest.fixture
def enrol(extractor, store, people):
    """Enrol photos given as (name, photo), guarded unless told otherwise; the statuses or codes."""

    def enrolled(*wanted: tuple[str, str], guarded: bool = True, audit: AuditLog | None = None):
        admission = Admission(store, extractor.model) if guarded else None
        enroller = Enroller(extractor, store, admission, audit=audit)
        photos = [NamedPhoto(name, people.get(photo, photo)) for name, photo in wanted]
        answers = list(enroller.enrol(photos))
        assert [(one.name, one.photo) for one in answers] == [(p.name, p.photo) for p in photos]
        return [one.error.code if one.error else one.status for one in answers]

    return enrolled


def test_what_is_stored_is_what_the_extractor_makes(enrol, extractor, store, people):
    assert enrol(("alice", "obama")) == ["enrolled"]
    (stored,) = store.of("alice")
    (template,) = extractor.extract(people["obama"])
    assert np.array_equal(stored.embedding, template.embedding)
    assert stored.quality == pytest.approx(template.quality.score)
    assert stored.photo == os.path.abspath(people["obama"])
    assert stored.photo_hash == hashlib.sha256(Path(people["obama"]).read_bytes()).digest()
    assert stored.model == extractor.model.id


def test_each_photo_gets_its_answer_in_order_and_stops_no_other(enrol, store):
    found = enrol(
        ("alice", "obama"),
        ("alice", "obama2"),
        ("alice", "wall"),
        ("bob", "biden"),
        ("bob", "torn"),
        ("", "obama3"),
        ("alice", "couple"),
        ("alice", "missing.jpg"),
        ("bob", "obama3"),
        ("alice", "biden"),
        ("alice", "blurred"),
        ("alice", "obama3"),
    )
    assert found == [
        "enrolled", "enrolled", "no-face", "enrolled", "image-truncated", "gallery-name",
        "several-faces", "image-missing", "matches-another", "matches-another", "low-quality",
        "enrolled",
    ]  # fmt: skip
    assert list(store.names()) == [("alice", 3), ("bob", 1)]


def test_a_photo_that_is_there_is_not_even_decoded(enrol, extractor, store, people, monkeypatch):
    assert enrol(("alice", "obama"), ("alice", "obama2")) == ["enrolled", "enrolled"]
    monkeypatch.setattr(extractor, "extract", lambda photo: pytest.fail("decoded again"))
    assert enrol(("alice", "obama2"), ("alice", "obama")) == ["already", "already"]
    copy = Path(people["obama"]).with_name("copy.png")
    copy.write_bytes(Path(people["obama"]).read_bytes())
    assert enrol(("alice", str(copy))) == ["already"]  # known by its content
    assert store.stats().templates == 2


def test_a_photo_listed_twice_is_stored_once(enrol, store):
    found = enrol(*[("alice", "obama"), ("bob", "biden")] * 6)
    assert found == ["enrolled", "enrolled", *["already"] * 10]
    assert store.stats().templates == 2
    assert enrol(("x", "obama"), ("x", "obama"), guarded=False) == ["enrolled", "already"]


def test_who_is_enrolled_between_the_search_and_the_storing_counts(
    enrol, extractor, store, people, monkeypatch, tmp_path
):
    """Another process, as it were, is always a moment faster."""
    search, faster = store.search, [("bob", "obama"), ("alice", "obama2"), ("carol", "biden")]

    def overtaken(*arguments, **options):
        found = search(*arguments, **options)
        with open_store(str(tmp_path / "gallery")) as other:
            photos = [NamedPhoto(name, people[photo]) for name, photo in faster]
            answers = list(Enroller(extractor, other, None).enrol(photos))
        assert all(one.error is None for one in answers)
        return found

    monkeypatch.setattr(store, "search", overtaken)
    log = AuditLog(tmp_path / "audit.jsonl")
    assert enrol(("alice", "obama"), audit=log) == ["matches-another"]
    store.remove("bob")
    faster[:] = [("alice", "obama"), ("alice", "obama2")]
    store.remove("alice")
    assert enrol(("alice", "obama"), audit=log) == ["already"]
    assert not (tmp_path / "audit.jsonl").exists()  # nothing was enrolled here
    monkeypatch.undo()
    assert list(store.names()) == [("alice", 2), ("carol", 1)]


def test_unlike_own_and_force(enrol, store):
    assert enrol(("alice", "obama"), ("alice", "biden")) == ["enrolled", "unlike-own"]
    assert enrol(("bob", "obama2")) == ["matches-another"]
    assert enrol(("alice", "biden"), ("bob", "obama2"), guarded=False) == ["enrolled", "enrolled"]
    assert list(store.names()) == [("alice", 2), ("bob", 1)]


def test_a_name_has_one_form(extractor, store, people):
    enroller = Enroller(extractor, store, None)
    (answer,) = enroller.enrol([NamedPhoto("Jose\u0301", people["obama"])])
    assert answer.name == "Jos\u00e9"
    assert list(store.names()) == [("Jos\u00e9", 1)]


def test_errors_that_come_with_the_input_are_answers(extractor, store, people):
    trouble = UsageError("line 3 is no pair")
    enroller = Enroller(extractor, store, None)
    photos = [NamedPhoto("", "", trouble), NamedPhoto("alice", people["obama"])]
    first, second = enroller.enrol(photos)
    assert first.error is trouble
    assert first.as_dict()["error"] == trouble.as_dict()
    assert second.as_dict() == {
        "name": "alice",
        "photo": people["obama"],
        "status": "enrolled",
        "template": 1,
        "quality": round(second.quality, 4),
        "error": None,
    }
    assert str(second) == f"alice: {people['obama']} enrolled as template 1"


def test_what_is_answered_is_on_the_disk_and_an_interrupted_run_goes_on(
    extractor, store, people, tmp_path
):
    photos = [NamedPhoto("alice", people["obama"]), NamedPhoto("bob", people["biden"])]
    answers = Enroller(extractor, store, None).enrol(photos, workers=1)
    first = next(answers)
    with open_store(str(tmp_path / "gallery")) as reader:
        assert [one.sequence for one in reader.of("alice")] == [first.sequence]
    answers.close()
    found = [one.status for one in Enroller(extractor, store, None).enrol(photos)]
    assert found[0] == "already"
    assert list(store.names()) == [("alice", 1), ("bob", 1)]


def test_the_audit_log_holds_what_was_enrolled(enrol, tmp_path, store):
    path = tmp_path / "audit.jsonl"
    enrol(("alice", "obama"), ("alice", "wall"), ("alice", "obama"), audit=AuditLog(path))
    enrol(("bob", "obama"), guarded=False, audit=AuditLog(path))
    assert check_audit_log(path).problems == []
    alice, bob = map(json.loads, path.read_text().splitlines())
    (stored,) = store.of("alice")
    assert (alice["event"], alice["name"], alice["forced"]) == ("enrol", "alice", False)
    assert alice["photo_hash"] == stored.photo_hash.hex()
    assert (alice["template"], alice["model_id"]) == (stored.sequence, stored.model)
    assert (bob["name"], bob["forced"]) == ("bob", True)


def test_a_log_that_cannot_be_written_stops_enrolment(enrol, tmp_path):
    with pytest.raises(OutputError, match="audit log"):
        enrol(("alice", "obama"), audit=AuditLog(tmp_path / "missing" / "audit.jsonl"))


def test_a_gallery_of_another_model_gets_no_templates_even_by_force(extractor, store, people):
    list(Enroller(extractor, store, None).enrol([NamedPhoto("alice", people["obama"])]))
    (template,) = store.of("alice")
    store.replace_model(extractor.model.id, [template], model="feedfacefeedface")
    with pytest.raises(GalleryError, match="feedfacefeedface"):
        Enroller(extractor, store, None)
