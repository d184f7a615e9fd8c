"""Admission to a gallery: distances to others and to the same name, and their limits."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from enrolled_people import unit_rows

from faceverify.errors import GalleryError, ModelError, NoDecisionError, UsageError
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrollment
from faceverify.models.registry import load_model
from faceverify.recognition.admission import Admission, DuplicateCheck, own_limit
from faceverify.recognition.template_count import TemplateCount

OTHER_LIMIT = 0.69294  # of the default model, for an FPIR of 0.01 in a gallery of one template
OWN_LIMIT = 0.626719  # its calibrated distance that costs 0.7 % of genuine pairs; the next, 1.3 %


@pytest.fixture(scope="module")
def model():
    return load_model("default")


@pytest.fixture
def store(tmp_path):
    with open_store(str(tmp_path / "gallery"), create=True) as store:
        yield store


def at(start: np.ndarray, distance: float, seed: int = 0) -> np.ndarray:
    """A direction at this cosine distance from another."""
    across = np.random.default_rng(seed).normal(size=len(start))
    across -= (across @ start) * start
    across /= np.linalg.norm(across)
    cosine = 1 - distance
    return (cosine * start + np.sqrt(1 - cosine**2) * across).astype(np.float32)


ALICE, BOB, CAROL = unit_rows(3, dimension=128, seed=5)


def enrollment(name: str, embedding: np.ndarray) -> Enrollment:
    photo_hash = hashlib.sha256(name.encode() + embedding.tobytes()).digest()
    return Enrollment(name, embedding, f"/{name}.jpg", photo_hash, 1.0)


def refusals(admission: Admission, *faces: tuple[str, np.ndarray]) -> dict[int, NoDecisionError]:
    """Refusals of new faces, with nothing enrolled in between."""
    names = [f"{name}.jpg" for name, _ in faces]
    admit = admission.check_duplicates([enrollment(*face) for face in faces], names)
    assert sorted([*admit([]), *admit.refusals]) == list(range(len(faces)))
    return admit.refusals


def codes(admission: Admission, *faces: tuple[str, np.ndarray]) -> list[str]:
    """Refusal code of each new face; empty if it is admitted."""
    found = refusals(admission, *faces)
    return [found[place].code if place in found else "" for place in range(len(faces))]


def test_strangers_are_admitted_to_an_empty_gallery(store, model):
    assert codes(Admission(store, model), ("alice", ALICE), ("bob", BOB)) == ["", ""]


@pytest.mark.parametrize("where", ["stored", "in the batch"])
def test_a_face_of_another_person_is_refused_by_name_and_distance(store, model, where):
    first = [("alice", ALICE)] if where == "in the batch" else []
    if not first:
        store.add([enrollment("alice", ALICE)], model=model.id)
    admission = Admission(store, model)
    near, far = at(ALICE, OTHER_LIMIT - 0.001), at(ALICE, OTHER_LIMIT + 0.001, seed=1)
    (refusal,) = refusals(admission, *first, ("bob", near)).values()
    assert refusal.code == "matches-another"
    assert refusal.exit_status == 3
    for part in ("bob.jpg: ", "'alice'", "0.6919", "0.6929", "--force"):
        assert part in str(refusal)
    assert codes(Admission(store, model), *first, ("bob", far))[-1] == ""


def test_a_face_nearer_to_its_own_person_is_admitted_though_another_is_near(store, model):
    twin = at(ALICE, 0.05)
    store.add([enrollment("alice", ALICE), enrollment("twin", twin)], model=model.id)
    near = at(twin, 0.01, seed=4)
    assert 1 - near @ ALICE < 0.07  # within the limit
    assert codes(Admission(store, model), ("twin", near)) == [""]
    assert codes(Admission(store, model), ("twin", at(ALICE, 0.01))) == ["matches-another"]


def test_a_face_unlike_the_persons_own_is_refused(store, model):
    store.add([enrollment("alice", ALICE), enrollment("alice", BOB)], model=model.id)
    admission = Admission(store, model)
    assert codes(admission, ("alice", at(BOB, OWN_LIMIT - 0.001))) == [""]
    assert codes(admission, ("alice", at(BOB, OWN_LIMIT + 0.001))) == ["unlike-own"]
    assert codes(admission, ("alice", CAROL)) == ["unlike-own"]


def test_a_refused_face_is_not_compared_with(store, model):
    faces = [("alice", ALICE), ("alice", CAROL), ("carol", at(CAROL, 0.01)), ("alice", CAROL)]
    found = codes(Admission(store, model), *faces)
    assert found == ["", "unlike-own", "", "matches-another"]


def test_the_limit_follows_the_size_of_the_gallery(store, model):
    probe = at(ALICE, 0.6)
    store.add([enrollment("alice", ALICE)], model=model.id)
    assert codes(Admission(store, model), ("x", probe)) == ["matches-another"]
    crowd = unit_rows(400, dimension=128, seed=9)
    store.add([enrollment(f"p{i}", row) for i, row in enumerate(crowd)], model=model.id)
    # 0.01 / 401 is a rate of 2.5e-5, between the calibrated 0.517 and 0.571
    assert codes(Admission(store, model), ("x", probe)) == [""]
    assert codes(Admission(store, model, fpir=0.5), ("x", probe)) == ["matches-another"]
    assert codes(Admission(store, model, threshold=0.61), ("x", probe)) == ["matches-another"]


def test_a_batch_counts_towards_the_size_of_the_gallery(store, model):
    crowd = unit_rows(400, dimension=128, seed=9)
    faces = [("alice", ALICE), *((f"p{i}", row) for i, row in enumerate(crowd))]
    assert set(codes(Admission(store, model), *faces, ("x", at(ALICE, 0.6)))) == {""}
    assert codes(Admission(store, model), ("alice", ALICE), ("x", at(ALICE, 0.6)))[1]


def test_beyond_the_calibration_the_strictest_distance_stands(store, model):
    strictest = min(one.distance for one in model.thresholds)
    store.add([enrollment("alice", ALICE)], model=model.id)
    admission = Admission(store, model, fpir=1e-9)
    assert "1 templates are more than sface was calibrated for" in admission.outgrown()
    assert "about 1e-06 of new people" in admission.outgrown()
    assert Admission(store, model).outgrown() is None
    assert Admission(store, model, fpir=1e-9, threshold=0.1).outgrown() is None
    assert codes(admission, ("x", at(ALICE, strictest - 1e-4))) == ["matches-another"]
    assert codes(admission, ("x", at(ALICE, strictest + 1e-4))) == [""]


def test_the_own_limit_spares_99_of_100_photos(model):
    assert own_limit(model.thresholds) == OWN_LIMIT
    assert own_limit(model.thresholds[:1]) == model.thresholds[0].distance
    strict = [one for one in model.thresholds if one.fnmr > 0.1]
    assert own_limit(strict) == max(one.distance for one in strict)  # none spares so many
    assert own_limit([]) is None


def test_a_model_without_thresholds_needs_one(store, model):
    bare = model.with_thresholds([])
    with pytest.raises(ModelError, match=r"no calibrated thresholds .* --threshold"):
        Admission(store, bare)
    store.add([enrollment("alice", ALICE)], model=bare.id)
    admission = Admission(store, bare, threshold=0.1)
    found = codes(admission, ("bob", ALICE), ("bob", BOB), ("alice", CAROL))
    assert found == ["matches-another", "", ""]


def test_rates_that_make_no_sense_are_refused(store, model):
    for fpir in (0.0, -0.1, 1.5):
        with pytest.raises(UsageError, match="--fpir"):
            Admission(store, model, fpir=fpir)


def test_a_gallery_of_another_model_is_refused_and_both_are_named(store, model):
    store.add([enrollment("alice", ALICE)], model="feedfacefeedface")
    with pytest.raises(GalleryError) as caught:
        Admission(store, model)
    assert caught.value.code == "gallery-model"
    for part in ("feedfacefeedface", "not installed", "sface", model.id, "rebuild"):
        assert part in str(caught.value)
    store.add([enrollment("alice", ALICE)], model=model.id)
    assert TemplateCount(store, model)() == 1


@pytest.mark.parametrize("late", [0, 7])
def test_neighbours_are_those_of_a_search_one_by_one(store, late):
    """Some are stored before the search, some come after it; every third is refused."""
    rows = unit_rows(60, dimension=128, seed=3)
    people = [enrollment(f"p{i % 7}", row) for i, row in enumerate(rows)]
    known, new = people[:40], people[40:]
    store.add(known[late:], model="m")
    asked = []

    def refusal(photo, name, other, own, templates):
        asked.append((photo, name, other, own, templates))
        return None if len(asked) % 3 else NoDecisionError(photo, code="matches-another")

    photos = [f"{i}.jpg" for i in range(20)]
    admit = DuplicateCheck(store, "m", new, photos, templates=40 - late, refusal=refusal)
    store.add(known[:late], model="m")
    admitted = admit(list(store.since(admit.after, model="m")))
    assert admitted == [place for place in range(20) if (place + 1) % 3]
    for place, (one, (photo, name, other, own, templates)) in enumerate(
        zip(new, asked, strict=True)
    ):
        others = [(1 - float(one.embedding @ o.embedding.astype(float)), o.name)
                  for o in known if o.name != one.name]  # fmt: skip
        mine = [1 - float(one.embedding @ o.embedding.astype(float))
                for o in known if o.name == one.name]  # fmt: skip
        assert (photo, name, templates) == (photos[place], one.name, len(known))
        assert other == (pytest.approx(min(others)[0], abs=1e-6), min(others)[1])
        assert own == pytest.approx(min(mine), abs=1e-6)
        if place in admitted:
            known.append(one)


def test_a_face_without_neighbours_is_admitted(store):
    asked = []
    new = [enrollment("x", ALICE)]
    admit = DuplicateCheck(
        store, "another model", new, ["x"], templates=0, refusal=lambda *one: asked.append(one)
    )
    assert admit([]) == [0]
    assert asked == [("x", "x", None, None, 0)]


def test_a_photo_that_is_enrolled_is_looked_up_and_not_judged(store, model):
    """Other settings may have made another embedding of it."""
    admission = Admission(store, model)
    stored = enrollment("alice", ALICE)
    again = replace(stored, embedding=BOB)
    admit = admission.check_duplicates([stored, again, again], ["1", "2", "3"])
    assert admit([]) == [0, 1, 2]
    (added,) = store.add([stored], model=model.id)
    assert admit(list(store.since(admit.after, model=model.id))) == [0, 1, 2]
    admit = admission.check_duplicates([again], ["1"])
    assert store.add([again], model=model.id, admit=admit) == [added._replace(new=False)]
    assert codes(admission, ("alice", BOB)) == ["unlike-own"]


def test_who_came_meanwhile_is_compared_and_counted(store, model):
    admit = Admission(store, model).check_duplicates(
        [enrollment("bob", at(ALICE, 0.6))], ["bob.jpg"]
    )
    crowd = unit_rows(400, dimension=128, seed=9)
    store.add([enrollment("alice", ALICE)], model=model.id)
    assert admit(late := list(store.since(admit.after))) == []
    assert admit.refusals[0].code == "matches-another"
    assert "'alice'" in str(admit.refusals[0])
    store.add([enrollment(f"p{i}", row) for i, row in enumerate(crowd)], model=model.id)
    assert admit(list(store.since(admit.after))) == [0]  # among 401 the limit is stricter
    assert admit.refusals == {}
    assert admit(late) == []


def test_the_count_is_asked_for_again_after_a_second(store, model, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("faceverify.recognition.template_count.time.monotonic", lambda: now[0])
    count = TemplateCount(store, model)
    store.add([enrollment("alice", ALICE)], model=model.id)
    assert count() == 0
    count.grow(1)
    assert count() == 1
    store.add([enrollment("bob", BOB)], model=model.id)
    now[0] += 1.1
    assert count() == 2
