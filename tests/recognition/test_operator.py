"""Laws of every operator: many questions are answered as each alone, in order, and logged."""

import hashlib
import json

import pytest
from photographs import BIDEN, OBAMA, OBAMA2, OBAMA3
from PIL import Image

from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import FaceverifyError, OutputError, PairListError
from faceverify.gallery.audit import AuditLog, check_audit_log
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrollment
from faceverify.recognition.identify import Identifier
from faceverify.recognition.operator import Plain
from faceverify.recognition.verify import Verifier
from faceverify.recognition.verify_claim import ClaimVerifier


@pytest.fixture(scope="module")
def extractor() -> FaceEmbedder:
    return FaceEmbedder.load()


@pytest.fixture
def store(tmp_path, extractor):
    with open_store(str(tmp_path / "gallery"), create=True) as store:
        new = []
        for name, photo in (("barack", OBAMA), ("barack", OBAMA2), ("joe", BIDEN)):
            (face,) = extractor.extract(photo)
            digest = hashlib.sha256(photo.encode()).digest()
            new.append(Enrollment(name, face.embedding, photo, digest, 1.0))
        store.add(new, model=extractor.model.id)
        yield store


@pytest.fixture
def wall(tmp_path) -> str:
    Image.new("RGB", (100, 100), "navy").save(tmp_path / "wall.png")
    return str(tmp_path / "wall.png")


KINDS = ("pairs", "claims", "photos")


def made(kind, extractor, store, audit=None):
    """An operator, and a function that makes a question of a photo."""
    if kind == "pairs":
        return Verifier(extractor), lambda photo: (OBAMA, photo)
    if kind == "claims":
        return ClaimVerifier(extractor, store, audit=audit), lambda photo: (photo, "joe")
    return Identifier(extractor, store, audit=audit), lambda photo: photo


def plain(answer):
    return [one.as_dict() for one in (answer if isinstance(answer, list) else [answer])]


@pytest.mark.thorough(but=("claims-3",))
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_many_are_answered_as_each_alone(extractor, store, wall, kind, workers):
    operator, question = made(kind, extractor, store)
    photos = [OBAMA3, "missing.jpg", BIDEN, wall, OBAMA2, OBAMA3]
    asked = [Plain(question(photo)) for photo in photos]
    asked.insert(2, Plain(question("line.jpg"), PairListError("list:3: no such line")))
    answered = list(operator.answers(asked, workers=workers))
    assert [one for one, _ in answered] == asked
    for one, answer in answered:
        try:
            if one.error is not None:
                raise one.error
            alone = operator.answer(one.question)
        except FaceverifyError as error:
            alone = operator.undecided(one.question, error)
        assert plain(answer) == plain(alone)
    codes = [
        plain(answer)[0]["error"] and plain(answer)[0]["error"]["code"] for _, answer in answered
    ]
    assert codes == [None, "image-missing", "pair-list", None, "no-face", None, None]


@pytest.mark.thorough(but=("claims",))
@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_log_has_the_order_of_the_questions(extractor, store, tmp_path, kind):
    operator, question = made(kind, extractor, store, AuditLog(tmp_path / "log"))
    photos = [OBAMA3, "missing.jpg", BIDEN, OBAMA2, OBAMA]
    list(operator.answers([Plain(question(photo)) for photo in photos], workers=3))
    logged = [json.loads(line)["photo"] for line in (tmp_path / "log").read_text().splitlines()]
    assert logged == [photo for photo in photos if photo != "missing.jpg"]
    assert check_audit_log(tmp_path / "log").problems == []


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS[1:])
def test_nothing_is_decided_that_the_log_does_not_hold(extractor, store, tmp_path, kind):
    operator, question = made(kind, extractor, store, AuditLog(tmp_path))  # a folder
    with pytest.raises(OutputError, match="audit log cannot be written"):
        operator.answer(question(OBAMA3))
    with pytest.raises(OutputError, match="audit log cannot be written"):
        list(operator.answers([Plain(question(OBAMA3))]))
