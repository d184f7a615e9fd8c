"""Identification and claims on real photos, at a threshold that depends on the gallery's size."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photographs import FACES
from PIL import Image

from faceverify.choices import FaceChoice, Fusion
from faceverify.embeddings.extractor import FaceEmbedder, FaceEmbedding
from faceverify.errors import GalleryError, ModelError, NoFaceError, UsageError
from faceverify.faces.options import FaceOptions
from faceverify.gallery.audit import AuditLog, check_audit_log
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrollment
from faceverify.matching.threshold import MEAN_MARGIN, distance_at
from faceverify.recognition.identify import Identifier
from faceverify.recognition.verify_claim import ClaimVerifier, fused_distance

OBAMA, OBAMA2, OBAMA3, BIDEN = (f"{name}.jpg" for name in ("obama", "obama2", "obama3", "biden"))


@pytest.fixture(scope="module")
def extractor() -> FaceEmbedder:
    return FaceEmbedder.load()


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Path:
    """A folder of the free photos, reduced to be quick."""
    folder = tmp_path_factory.mktemp("album")
    for path in FACES.glob("*.jpg"):
        with Image.open(path) as image:
            image.thumbnail((420, 420))
            image.save(folder / path.name, quality=92)
    return folder


@pytest.fixture(autouse=True)
def in_album(album, monkeypatch) -> None:
    monkeypatch.chdir(album)


@pytest.fixture(scope="module")
def templates(extractor, album) -> dict[str, FaceEmbedding]:
    return {path.name: extractor.extract(path)[0] for path in album.iterdir()}


@pytest.fixture
def store(tmp_path, extractor, templates):
    """A gallery of two people: one with two templates, one with one."""
    with open_store(str(tmp_path / "gallery"), create=True) as store:
        people = ((OBAMA, "barack"), (OBAMA2, "barack"), (BIDEN, "joe"))
        new = [
            Enrollment(name, templates[photo].embedding, photo, digest(photo), 1.0)
            for photo, name in people
        ]
        store.add(new, model=extractor.model.id)
        yield store


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def strangers(count: int) -> list[Enrollment]:
    """People far from all others."""
    rows = np.random.default_rng(1).normal(size=(count, 128))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Enrollment(f"p{i}", row.astype(np.float32), "", digest(f"p{i}"), 1.0)
        for i, row in enumerate(rows)
    ]


def distance(templates, first: str, second: str) -> float:
    return 1 - float(templates[first].embedding.astype(float) @ templates[second].embedding)


def test_the_nearest_people_come_with_their_distances(extractor, store, templates):
    (answer,) = Identifier(extractor, store).identify(OBAMA3)
    assert answer.identified == "barack"
    assert (answer.photo, answer.face, answer.exit_status) == (OBAMA3, 0, 0)
    first, second = answer.candidates
    near = min(distance(templates, OBAMA3, OBAMA), distance(templates, OBAMA3, OBAMA2))
    assert (first.name, first.distance) == ("barack", pytest.approx(near, abs=1e-6))
    far = distance(templates, OBAMA3, BIDEN)
    assert (second.name, second.distance) == ("joe", pytest.approx(far, abs=1e-6))
    values = answer.as_dict()
    assert [one["match"] for one in values["candidates"]] == [True, False]
    assert (values["templates"], values["fpir"], values["error"]) == (3, 0.01, None)
    assert values["fmr"] == pytest.approx(0.01 / 3)
    assert str(answer).startswith("barack: distance 0.2")


def test_a_stranger_is_nobody(extractor, store):
    store.remove("barack")
    (answer,) = Identifier(extractor, store).identify(OBAMA)
    assert (answer.identified, answer.exit_status) == (None, 1)
    assert [one.name for one in answer.candidates] == ["joe"]
    assert str(answer).startswith("nobody: nearest joe 0.9")
    assert answer.as_dict()["identified"] is None


def test_an_empty_gallery_holds_nobody(extractor, tmp_path):
    with open_store(str(tmp_path / "empty"), create=True) as empty:
        (answer,) = Identifier(extractor, empty).identify(OBAMA)
    assert (answer.identified, answer.candidates, answer.exit_status) == (None, (), 1)
    assert "nobody is enrolled" in str(answer)


def test_top_and_fusion(extractor, store, templates):
    (answer,) = Identifier(extractor, store, top=1).identify(OBAMA3)
    assert [one.name for one in answer.candidates] == ["barack"]
    (answer,) = Identifier(extractor, store, fusion=Fusion.MEAN).identify(OBAMA3)
    mean = templates[OBAMA].embedding.astype(float) + templates[OBAMA2].embedding
    mean /= np.linalg.norm(mean)
    expected = 1 - float(mean @ templates[OBAMA3].embedding)
    assert answer.candidates[0].distance == pytest.approx(expected, abs=1e-6)
    assert answer.candidates[0].sequence is None
    calibration = extractor.model.calibration
    assert answer.point.threshold == distance_at(calibration, 0.01 / 3 / MEAN_MARGIN)
    assert answer.point.comparisons == 3


def test_the_threshold_follows_the_gallery_while_it_grows(extractor, store, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("faceverify.recognition.template_count.time.monotonic", lambda: now[0])
    identifier = Identifier(extractor, store, fpir=1e-3)
    calibration = extractor.model.calibration
    assert identifier.point.threshold == distance_at(calibration, 1e-3 / 3)
    store.add(strangers(97), model=extractor.model.id)
    now[0] += 2
    (answer,) = identifier.identify(OBAMA3)
    assert answer.point.comparisons == 100
    assert answer.point.threshold == distance_at(calibration, 1e-5)
    assert answer.identified == "barack"
    store.add(strangers(2000)[97:], model=extractor.model.id)
    now[0] += 2
    with pytest.raises(ModelError, match=r"among 2,003 templates .* --fpir 0.0021 or more"):
        identifier.identify(OBAMA3)
    (answer,) = Identifier(extractor, store, threshold=0.3).identify(OBAMA3)
    assert (answer.identified, answer.point.fpir) == ("barack", None)


def test_a_gallery_is_counted_and_never_read_to_identify(extractor, store, monkeypatch):
    for name in ("stats", "names", "since", "check"):
        monkeypatch.setattr(store, name, lambda *_, **__: pytest.fail("the gallery is read"))
    monkeypatch.setattr("faceverify.recognition.template_count.FRESH", -1.0)  # counted every time
    (answer,) = Identifier(extractor, store).identify(OBAMA3)
    assert (answer.identified, answer.point.comparisons) == ("barack", 3)


def test_every_face_gets_an_answer(store):
    everybody = FaceEmbedder.load(options=FaceOptions(face=FaceChoice.ALL))
    couple = Image.new("RGB", (1000, 600))
    for left, path in ((0, OBAMA3), (500, BIDEN)):
        couple.paste(Image.open(path), (left, 0))
    answers = Identifier(everybody, store).identify(couple)
    assert {one.identified for one in answers} == {"barack", "joe"}
    assert [one.face for one in answers] == [0, 1]


def test_what_gives_no_face_is_undecided(extractor, store):
    identifier = Identifier(extractor, store)
    with pytest.raises(NoFaceError) as caught:
        identifier.identify(Image.new("RGB", (200, 200)))
    (answer,) = identifier.undecided("wall.jpg", caught.value)
    assert (answer.exit_status, answer.identified) == (3, None)
    values = answer.as_dict()
    assert (values["photo"], values["candidates"]) == ("wall.jpg", [])
    assert values["error"]["code"] == "no-face"
    assert str(answer).startswith("no decision: ")


def test_rates_that_make_no_sense_are_refused(extractor, store):
    for fpir in (0.0, 1.5):
        with pytest.raises(UsageError, match="--fpir"):
            Identifier(extractor, store, fpir=fpir)


def test_decisions_are_logged_before_they_are_told(extractor, store, tmp_path):
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path)
    Identifier(extractor, store, audit=audit).identify(OBAMA3)
    claims = ClaimVerifier(extractor, store, fmr=1e-3, audit=audit)
    claims.verify(OBAMA3, "joe")
    with pytest.raises(GalleryError):
        claims.verify(OBAMA3, "nobody")
    assert check_audit_log(path).problems == []
    identified, verified = map(json.loads, path.read_text().splitlines())
    assert (identified["event"], identified["identified"]) == ("identify", "barack")
    assert identified["distance"] < identified["threshold"]
    assert (verified["event"], verified["claim"], verified["same"]) == ("verify", "joe", False)


# claims


def test_claims(extractor, store, templates):
    claims = ClaimVerifier(extractor, store, fmr=1e-3)
    right, wrong = claims.verify(OBAMA3, "barack"), claims.verify(OBAMA3, "joe")
    assert (right.same, right.exit_status, right.templates) == (True, 0, 2)
    assert (wrong.same, wrong.exit_status, wrong.templates) == (False, 1, 1)
    near = min(distance(templates, OBAMA3, OBAMA), distance(templates, OBAMA3, OBAMA2))
    assert right.distance == pytest.approx(near, abs=1e-6)
    values = right.as_dict()
    assert list(values)[:3] == ["photo", "claim", "templates"]
    assert (values["photo"], values["claim"], values["error"]) == (OBAMA3, "barack", None)


def test_the_rate_of_a_claim_is_shared_by_its_comparisons(extractor, store):
    calibration = extractor.model.calibration
    claims = ClaimVerifier(extractor, store, fmr=1e-3)
    assert claims.verify(OBAMA3, "joe").point.threshold == distance_at(calibration, 1e-3)
    assert claims.verify(OBAMA3, "barack").point.threshold == distance_at(calibration, 5e-4)
    assert claims.verify(OBAMA3, "barack").point.fmr == 1e-3
    by_hand = ClaimVerifier(extractor, store, fmr=1e-3, threshold=0.3)
    assert by_hand.verify(OBAMA3, "barack").point.threshold == 0.3
    assert by_hand.verify(OBAMA3, "barack").point.fmr is None
    strict = ClaimVerifier(extractor, store, fmr=1e-6)
    assert strict.verify(BIDEN, "joe").same
    with pytest.raises(ModelError, match="against 2 templates"):
        strict.verify(OBAMA3, "barack")
    with pytest.raises(ModelError, match="no threshold for a false match rate"):
        ClaimVerifier(extractor, store, fmr=2e-3)


def test_an_unknown_name_is_an_error_before_the_photo_is_looked_at(extractor, store):
    claims = ClaimVerifier(extractor, store, fmr=1e-3)
    with pytest.raises(GalleryError) as caught:
        claims.verify("missing.jpg", "Barak")
    assert caught.value.code == "gallery-unknown-name"
    assert "did you mean 'barack'?" in str(caught.value)
    undecided = claims.undecided(("missing.jpg", "Barak"), caught.value)
    assert (undecided.exit_status, undecided.as_dict()["same"]) == (2, None)


def test_a_person_of_another_model_is_no_unknown_name(extractor, store):
    store.add(strangers(1), model="feedfacefeedface")
    with pytest.raises(GalleryError) as caught:
        ClaimVerifier(extractor, store, fmr=1e-3).verify(OBAMA, "p0")
    assert caught.value.code == "gallery-model"


@pytest.mark.parametrize("fusion", Fusion)
def test_a_claim_and_a_search_measure_the_same_distance(extractor, store, templates, fusion):
    stored = store.of("barack", model=extractor.model.id)
    for template in templates.values():
        query = template.embedding[None]
        ((found,),) = store.search(
            query, 1, model=extractor.model.id, fusion=fusion, names=["barack"]
        )
        assert fused_distance(template.embedding, stored, fusion) == pytest.approx(
            found.distance, abs=1e-6
        )


def test_templates_that_cancel_out_are_at_distance_one(templates, store):
    (one,) = store.of("joe")
    pair = [one, replace(one, embedding=-one.embedding)]
    assert fused_distance(templates[OBAMA].embedding, pair, Fusion.MEAN) == 1


def test_a_model_that_the_gallery_does_not_hold(extractor, tmp_path):
    with open_store(str(tmp_path / "other"), create=True) as other:
        other.add(strangers(1), model="feedfacefeedface")
        for opened in (
            lambda: Identifier(extractor, other),
            lambda: ClaimVerifier(extractor, other, fmr=1e-3),
        ):
            with pytest.raises(GalleryError, match=r"\(feedface.* sface") as caught:
                opened()
            assert caught.value.code == "gallery-model"
