"""Robustness: faces of degraded photos, the rates among those decided, the photos chosen."""

import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from photographs import BIDEN, FACES, OBAMA, OBAMA2
from PIL import Image

from faceverify.embeddings.cache import EmbeddingCache
from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import UsageError
from faceverify.evaluation.benchmark import read_benchmark
from faceverify.evaluation.degradation import DEGRADATIONS
from faceverify.evaluation.degradation.face_frame import CROP, FaceFrame
from faceverify.evaluation.intervals.identity_bootstrap import IdentityBootstrap
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import error_rates
from faceverify.evaluation.metrics.error_versus_discard import error_versus_discard
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.robustness.discard import discard_curves
from faceverify.evaluation.robustness.faces import (
    AROUND,
    CLEAN,
    LARGEST,
    DegradedFaces,
    _shown,
    cells_of,
    degraded_faces,
)
from faceverify.evaluation.robustness.measure import measure_robustness
from faceverify.evaluation.robustness.rates import compare, error_estimates
from faceverify.evaluation.robustness.sections import robustness_evaluation
from faceverify.evaluation.robustness.selection import select_photos
from faceverify.evaluation.robustness.table import robustness_table
from faceverify.faces.options import FaceOptions
from faceverify.matching.distance import cosine_distance
from faceverify.matching.operating_point import OperatingPoint
from faceverify.models.registry import load_model

PHOTOS = [Path(OBAMA), Path(OBAMA2), Path(BIDEN)]
ANY_QUALITY = FaceOptions(min_quality=0.0)
CELLS = [(CLEAN, 0.0), ("blocks", 6.0), ("turned", 180.0)]


def no_load():
    raise AssertionError("all is in the cache")


def embedded(cache, *, photos=PHOTOS, cells=CELLS, options=ANY_QUALITY, load=None, workers=2):
    load = load or partial(FaceEmbedder.load, "default", options)
    return degraded_faces(
        photos, cells, load, load_model("default"), options, cache, workers=workers
    )


@pytest.fixture(scope="module")
def faces():
    return embedded(EmbeddingCache(None))


def made_up(rng, kind, people=12, photos=4, lost=0.2, noise=0.5):
    """Faces around people's centres, some without an embedding."""
    centres = np.random.default_rng(7).standard_normal((people, 8))
    rows = np.repeat(centres, photos, axis=0) + noise * rng.standard_normal((people * photos, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    failure = ["no-face" if gone else "" for gone in rng.random(len(rows)) < lost]
    rows[[bool(code) for code in failure]] = 0
    strength = 0.0 if kind == CLEAN else 1.0
    return DegradedFaces(kind, strength, rows, np.ones(len(rows), np.float32), failure)


NAMES = [f"person {index // 4}" for index in range(48)]


@pytest.mark.thorough
def test_faces_of_clean_and_degraded_photos(faces):
    assert [(one.kind, one.strength) for one in faces] == CELLS
    clean, blocks, _ = faces
    assert clean.decided.all()
    embedder = FaceEmbedder.load("default")
    for row, path in zip(clean.embeddings, PHOTOS, strict=True):
        (face,) = embedder.extract(path)
        assert cosine_distance(row, face.embedding) < 0.02  # a large photo is made smaller
    for one in faces:
        assert np.isnan(one.quality).tolist() == (~one.decided).tolist()
        assert (np.linalg.norm(one.embeddings, axis=1) > 0.5).tolist() == one.decided.tolist()
        assert all(code == "no-face" for code in one.failure if code)
    assert np.abs(blocks.embeddings - clean.embeddings).max() > 0.02


@pytest.mark.thorough
def test_order_threads_and_company_change_nothing(faces):
    others = embedded(EmbeddingCache(None), photos=PHOTOS[::-1], cells=CELLS[::-1], workers=1)
    for one, other in zip(faces, others[::-1], strict=True):
        np.testing.assert_array_equal(one.embeddings, other.embeddings[::-1])
        np.testing.assert_array_equal(one.quality, other.quality[::-1])
        assert one.failure == other.failure[::-1]


@pytest.mark.thorough
def test_of_a_large_photo_what_lies_about_the_face_is_degraded():
    points = np.array(CROP.points)
    for size, place, scale in (((4000, 3000), (2500, 600), 1.0), ((900, 4000), (0, 0), 8.0)):
        image = Image.effect_noise(size, 50).convert("RGB")
        pixels, moved = _shown(image, points * scale + place)
        assert max(pixels.shape) <= 2 * AROUND * CROP.side * LARGEST + 2
        frame = FaceFrame.of(moved)
        assert frame.scale == pytest.approx(min(scale, LARGEST), rel=0.01)
        assert (moved > 0).all()
        assert (moved < pixels.shape[1::-1]).all()
        if scale == 1:
            (x, y), (to_x, to_y) = np.round(points[2] + place), np.round(moved[2])
            assert tuple(pixels[int(to_y), int(to_x)]) == image.getpixel((int(x), int(y)))
    small = Image.effect_noise((250, 250), 50).convert("RGB")
    pixels, moved = _shown(small, points * 1.2 + 50)
    np.testing.assert_array_equal(pixels, np.asarray(small))  # whole
    np.testing.assert_array_equal(moved, points * 1.2 + 50)


@pytest.mark.thorough
def test_each_is_embedded_once(tmp_path, faces):
    with EmbeddingCache(tmp_path) as cache:
        embedded(cache, cells=CELLS[:2])
        again = embedded(cache, cells=CELLS[:2], load=no_load)
        for one, other in zip(again, faces, strict=False):
            np.testing.assert_array_equal(one.embeddings, other.embeddings)
            np.testing.assert_array_equal(one.quality, other.quality)
            assert one.failure == other.failure
        for more in (CELLS[2], ("blocks", 2.0)):  # another kind, another strength
            with pytest.raises(AssertionError, match="all is in the cache"):
                embedded(cache, cells=[more], load=no_load)
        with pytest.raises(AssertionError, match="all is in the cache"):
            embedded(cache, cells=CELLS[:2], options=FaceOptions(min_quality=0.5), load=no_load)
        three = embedded(cache)  # what is missing alone
        np.testing.assert_array_equal(three[2].embeddings, faces[2].embeddings)


@pytest.mark.thorough
def test_what_the_options_refuse_is_undecided(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        every = embedded(cache, cells=[(CLEAN, 0.0), ("blur", 6.0)])
        least = float(np.nanmax(every[1].quality)) + 0.01
        assert least < np.nanmin(every[0].quality)
        strict = embedded(
            cache, cells=[(CLEAN, 0.0), ("blur", 6.0)], options=FaceOptions(min_quality=least)
        )
    assert strict[0].decided.all()
    assert set(strict[1].failure) == {"low-quality"} or "no-face" in strict[1].failure
    assert not strict[1].decided.any()
    assert np.isnan(strict[1].quality).all()


def test_photos_without_a_face_or_none_at_all(tmp_path):
    text, missing = tmp_path / "text.jpg", tmp_path / "missing.jpg"
    text.write_text("no photo")
    with EmbeddingCache(tmp_path / "cache") as cache:
        for _ in range(2):
            found = embedded(cache, photos=[text, PHOTOS[0], missing])
            assert found[0].failure == ["image-not-an-image", "", "image-missing"]
            assert found[1].failure == found[0].failure


@pytest.mark.thorough
def test_rates_of_one_set_are_those_of_all_against_all():
    rng = np.random.default_rng(0)
    for threshold in (0.05, 0.2, 0.6):
        one = made_up(rng, "blur")
        fmr, fnmr = error_estimates(compare(one, one), NAMES, threshold, replicates=0)
        names = [name for name, ok in zip(NAMES, one.decided, strict=True) if ok]
        rates = error_rates(all_against_all(one.embeddings[one.decided], names), threshold)
        assert (fmr.value, fnmr.value) == (rates.fmr, rates.fnmr)
        assert (fmr.extra["comparisons"], fnmr.extra["comparisons"]) == (
            rates.impostors, rates.genuines,
        )  # fmt: skip


def test_intervals_of_one_set_are_those_of_the_bootstrap_over_identities():
    one = made_up(np.random.default_rng(1), "blur", lost=0)
    fmr, fnmr = error_estimates(compare(one, one), NAMES, 0.3, replicates=500)
    oracle = IdentityBootstrap(one.embeddings, NAMES, replicates=500)
    assert (fmr.method, fnmr.method) == ("identities", "identities")
    for found, expected in ((fmr, oracle.fmr_interval(0.3)), (fnmr, oracle.fnmr_interval(0.3))):
        assert (found.interval.low, found.interval.high) == pytest.approx(
            (expected.low, expected.high)
        )


def test_rates_of_two_sets_one_comparison_at_a_time():
    rng = np.random.default_rng(2)
    clean, other = made_up(rng, CLEAN), made_up(rng, "blur")
    threshold, counts = 0.25, {True: [0, 0], False: [0, 0]}
    for i in range(48):
        for j in range(48):
            if i != j and clean.decided[i] and other.decided[j]:
                same = NAMES[i] == NAMES[j]
                counts[same][0] += 1
                near = cosine_distance(clean.embeddings[i], other.embeddings[j])
                counts[same][1] += near <= threshold
    fmr, fnmr = error_estimates(compare(clean, other), NAMES, threshold, replicates=100)
    assert fmr.value == counts[False][1] / counts[False][0]
    assert fnmr.value == (counts[True][0] - counts[True][1]) / counts[True][0]
    assert fmr.interval.low < fmr.value < fmr.interval.high


def test_nothing_decided_is_no_rate():
    lost = made_up(np.random.default_rng(3), "blur", lost=1.1)
    fmr, fnmr = error_estimates(compare(lost, lost), NAMES, 0.3, replicates=100)
    assert (fmr.value, fnmr.value) == (None, None)


def test_the_measurement_and_its_table():
    rng = np.random.default_rng(4)
    clean = made_up(rng, CLEAN, lost=0, noise=0.2)
    same = DegradedFaces("blocks", 8.0, *(clean.embeddings * 0 + clean.embeddings[:1],),
                         clean.quality, clean.failure)  # fmt: skip
    benchmark = Benchmark(
        "list", "all", [Path()] * 48, NAMES, None, np.zeros(0), np.zeros(0), NAMES
    )
    point = OperatingPoint(0.01, "model", "id", fmr=1e-3, dataset="View 1")
    found = measure_robustness(benchmark, [clean, same], point, replicates=100)
    discards = discard_curves([clean, same], NAMES, point.threshold)
    values = json.loads(json.dumps(robustness_evaluation(found, discards).as_dict()))
    first, second = values["clean"]["0"], values["blocks"]["8"]
    assert first["value"] == first["against_clean"]["fmr"]["value"]
    assert second["value"] == 1.0  # one embedding for everybody
    assert second["alike"]["fnmr"]["value"] == 0
    assert second["decided"]["value"] == 1.0
    assert values["summary"]["worst_fmr"]["value"] == 1.0
    assert values["summary"]["above"]["value"] == 1
    assert values["notes"] == ["the threshold was calibrated on View 1"]
    assert values["error_versus_discard"]["blocks_fmr"]["error"]["0"] == pytest.approx(0.5, abs=0.1)
    lines = robustness_table(found)
    assert len({len(line) for line in lines}) == 1  # aligned
    assert "!" not in lines[2]
    assert "| 100 % [" in lines[3]
    assert "!" in lines[3]  # the promise of 0.001 is broken


def test_a_quality_that_refuses_what_is_degraded():
    """The curves fall to 0 where the degraded half is discarded; faces below it are undecided."""
    rng = np.random.default_rng(5)
    clean = made_up(rng, CLEAN, lost=0.1, noise=0.2)
    one = clean.decided[:, None] * clean.embeddings[clean.decided][:1]  # for everybody
    lost = DegradedFaces("blocks", 8.0, one, clean.quality * np.float32(0.3), clean.failure)
    (curves,) = discard_curves([clean, lost], NAMES, 0.01)
    made = compare(lost, lost)
    code = np.array([int(name.split()[1]) for name in NAMES])
    impostors = int(np.count_nonzero(code[made.first] != code[made.second]))
    assert curves.fmr.comparisons == 2 * impostors
    assert curves.fmr.at(0) == pytest.approx(0.5, abs=0.02)
    assert curves.fmr.at(0.5) == pytest.approx(0, abs=0.02)
    assert curves.fmr.area() == pytest.approx(curves.fmr.at(0) / 2, abs=0.02)
    refused = lost.refused_below(0.5)
    assert not refused.decided.any()
    assert set(refused.failure) == {"low-quality", "no-face"}
    assert not refused.embeddings.any()
    assert clean.refused_below(0.5).failure == clean.failure
    assert [one.kind for one in discard_curves([clean, lost, refused], NAMES, 0.01)] == ["blocks"]
    other = made_up(rng, "blur")
    assert [one.kind for one in discard_curves([clean, lost, other], NAMES, 0.01)] == [
        "blocks", "blur", "all kinds",
    ]  # fmt: skip
    (empty,) = discard_curves([refused], NAMES, 0.01)
    assert (empty.fmr, empty.fnmr) == (None, None)


def test_curves_one_comparison_at_a_time():
    """The quality of a comparison is the lower one of its two faces'."""
    rng = np.random.default_rng(6)
    sets = [
        replace(one, quality=np.where(one.decided, rng.random(48), np.nan).astype(np.float32))
        for one in (made_up(rng, CLEAN), made_up(rng, "blur"), made_up(rng, "blur"))
    ]
    qualities, wrong = [], []
    for one in sets:
        kept = np.flatnonzero(one.decided).tolist()
        for i, j in itertools.combinations(kept, 2):
            if NAMES[i] != NAMES[j]:
                qualities.append(min(one.quality[i], one.quality[j]))
                wrong.append(cosine_distance(one.embeddings[i], one.embeddings[j]) <= 0.3)
    expected = error_versus_discard(qualities, wrong)
    (curves,) = discard_curves(sets, NAMES, 0.3)
    np.testing.assert_allclose(curves.fmr.error, expected.error)
    np.testing.assert_allclose(curves.fmr.discarded, expected.discarded)


def test_photos_are_chosen_by_their_names(tmp_path):
    people = {f"p{n}": 1 + n % 3 for n in range(30)}
    names = [f"{person}/{k}.jpg" for person, count in people.items() for k in range(count)]

    def benchmark(listed):
        identities = [name.split("/")[0] for name in listed]
        nowhere = np.zeros(0, np.int64)
        return Benchmark("list", "all", [Path(name) for name in listed], list(listed), None,
                         nowhere, nowhere, identities)  # fmt: skip

    found = select_photos(benchmark(names), people=15, photos_each=2)
    again = select_photos(benchmark(names[::-1]), people=15, photos_each=2)
    assert sorted(found.names) == sorted(again.names)
    assert len(found.names) == 30
    assert len(set(found.identities)) == 15
    assert all(found.identities.count(person) == 2 for person in found.identities)
    assert [name.split("/")[0] for name in found.names] == found.identities
    assert any("fewer than 20,000" in note for note in found.notes)
    every = select_photos(benchmark(names), people=25, photos_each=3)  # some with one photo
    assert len(set(every.identities)) == 25
    many = select_photos(benchmark([f"q{n}/{k}.jpg" for n in range(170) for k in range(2)]))
    assert (len(many.names), many.notes) == (320, ())


def test_every_photo_of_a_folder_of_people(tmp_path):
    for person, path in (("a", OBAMA), ("a", OBAMA2), ("b", BIDEN)):
        (tmp_path / person).mkdir(exist_ok=True)
        (tmp_path / person / Path(path).name).write_bytes(Path(path).read_bytes())
    found = select_photos(read_benchmark(tmp_path))
    assert sorted(photo.name for photo in found.photos) == sorted(
        path.name for path in FACES.glob("*.jpg") if path.name != "obama3.jpg"
    )


def test_cells():
    assert cells_of(["turned"])[0] == (CLEAN, 0.0)
    assert len(cells_of()) == 1 + sum(len(one.strengths) for one in DEGRADATIONS.values())
    with pytest.raises(UsageError, match="no degradation 'fog'"):
        cells_of(["fog"])
