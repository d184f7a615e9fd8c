"""Photos that show too little of a face are refused, by every command that decides about people."""

import pytest
from PIL import Image

from faceverify.matching.threshold import DECADES, distance_at
from faceverify.models.registry import load_model


@pytest.fixture
def mosaics(enrolled_album):
    """Mosaics of two people in the album: what censors leave of a face."""
    for name in ("obama3", "biden"):
        with Image.open(f"{name}.jpg") as photo:
            coarse = photo.reduce(5).resize(photo.size, Image.Resampling.NEAREST)
        coarse.save(f"{name}-mosaic.png")
    return enrolled_album


REFUSED = {
    "verify": ["verify", "obama3-mosaic.png", "biden-mosaic.png"],
    "verify one good one": ["verify", "obama3.jpg", "biden-mosaic.png"],
    "verify --claim": ["verify", "obama3-mosaic.png", "--claim", "joe"],
    "identify": ["identify", "obama3-mosaic.png"],
    "enroll": ["enroll", "somebody", "obama3-mosaic.png"],
}
DECIDED = {"verify": 1, "verify one good one": 1, "verify --claim": 1}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_a_mosaic_decides_nothing(run, mosaics, arguments):
    plain = run(*arguments)
    assert (plain.status, plain.out, plain.err.count("\n")) == (3, "", 1)
    assert "-mosaic.png: face quality 0." in plain.err
    assert "(pixelated or compressed)" in plain.err
    assert "--min-quality" in plain.err
    ran = run(*arguments, "--json")
    assert ran.status == 3
    assert ran.objects[0]["error"]["code"] == "low-quality"


@pytest.mark.parametrize("name", DECIDED)
def test_who_wants_a_decision_gets_a_strict_one(run, mosaics, name):
    ran = run(*REFUSED[name], "--min-quality", "0", "--json")
    (told,) = ran.objects
    assert (ran.status, told["same"], told["error"]) == (1, False, None)
    good = [word.replace("-mosaic.png", ".jpg") for word in REFUSED[name]]
    (usual,) = run(*good, "--json").objects
    assert told["threshold"] < usual["threshold"]
    assert (told["fmr"], usual["fmr"]) == (1e-3, 1e-3)
    (by_hand,) = run(*REFUSED[name], "--min-quality", "0", "--threshold", "0.7", "--json").objects
    assert by_hand["threshold"] == 0.7


def test_identify_too(run, mosaics):
    (told,) = run("identify", "obama3-mosaic.png", "--min-quality", "0", "--json").objects
    (usual,) = run("identify", "obama3.jpg", "--json").objects
    assert told["quality"] < 0.25 < 1 == usual["quality"]
    assert told["threshold"] < usual["threshold"]
    assert (told["fpir"], told["templates"]) == (0.01, 3)


def test_a_claim_is_stricter_for_each_of_several_templates(run, mosaics):
    (told,) = run(
        "verify", "biden-mosaic.png", "--claim", "barack", "--min-quality", "0", "--json"
    ).objects
    rate = 1e-3 / told["templates"] * 10 ** (-DECADES * (1 - told["quality"]))
    expected = distance_at(load_model("default").calibration, rate)
    assert told["threshold"] == pytest.approx(expected, abs=1e-4)


def test_verify_tells_both_qualities(run, mosaics):
    (told,) = run(
        "verify", "biden.jpg", "obama3-mosaic.png", "--min-quality", "0", "--json"
    ).objects
    assert told["quality_a"] == 1
    assert told["quality_b"] < 0.25
    (claim,) = run("verify", "biden.jpg", "--claim", "joe", "--json").objects
    assert claim["quality"] == 1
    (refused,) = run("verify", "biden.jpg", "obama3-mosaic.png", "--json").objects
    assert (refused["quality_a"], refused["quality_b"]) == (None, None)


def test_what_is_enrolled_must_be_better_than_what_is_compared(run, mosaics):
    """A template is compared with every photo to come."""
    with Image.open("obama3.jpg") as photo:
        small = photo.resize((photo.width * 10 // 23, photo.height * 10 // 23))
        small.resize(photo.size, Image.Resampling.BICUBIC).save("soft.png")
    (told,) = run("verify", "soft.png", "obama.jpg", "--json").objects
    assert (told["same"], 0.25 <= told["quality_a"] < 0.5) == (True, True)
    ran = run("enroll", "somebody", "soft.png", "--json")
    assert (ran.status, ran.objects[0]["error"]["code"]) == (3, "low-quality")
    assert "below the required 0.5" in ran.objects[0]["error"]["message"]
    assert run("enroll", "barack", "soft.png", "--min-quality", "0").status == 0


@pytest.mark.thorough
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_photo_is_its_upright_self(run, enrolled_album, degrees):
    with Image.open("obama2.jpg") as photo:
        photo.rotate(-degrees, expand=True).save("turned.png")
    ran = run("verify", "obama2.jpg", "turned.png", "--json")
    (told,) = ran.objects
    assert (ran.status, told["same"]) == (0, True)
    assert told["distance"] < 0.02
    assert told["quality_b"] == 1
    (face,) = run("detect", "turned.png", "--json").objects[0]["faces"]
    assert face["turned"] == degrees
    assert f"in the photo turned by {degrees} degrees" in run("detect", "turned.png").out
