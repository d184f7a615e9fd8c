"""``faceverify calibrate``: thresholds out of photos, into a copy of the model file."""

import hashlib

import numpy as np
import pytest

from faceverify.models.model_file import load_model_file
from faceverify.models.registry import find_model, load_model


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("FACEVERIFY_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def people(tmp_path_factory, small_faces):
    """Two people, one with three photos: 3 genuine and 3 impostor comparisons."""
    root = tmp_path_factory.mktemp("people")
    for name, content in small_faces.items():
        folder = root / name.rstrip("0123456789")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(content)
    return root


@pytest.fixture
def crowd(tmp_path, shared_data):
    """Twelve people with six aligned photos each: 180 genuine, 2,376 impostor comparisons."""
    root = tmp_path / "crowd"
    for folder in sorted((shared_data / "train112").glob("pins_*"))[:12]:
        (root / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:6]:
            (root / folder.name / photo.name).symlink_to(photo.resolve())
    return root


@pytest.mark.thorough
def test_a_rate_with_too_few_expected_errors_is_refused(run, people, tmp_path):
    ran = run("calibrate", "--images", people, "--fmr", "1e-3")
    assert ran.status == 2
    assert "3 impostor comparisons allow 0.003 false matches, expected at least 10" in ran.err
    assert "--extrapolate" in ran.err
    assert not (tmp_path / "home").exists()


@pytest.mark.thorough
def test_the_rates_follow_from_the_data_where_none_was_given(run, crowd, people):
    ran = run("calibrate", "--images", crowd, "--aligned", "arcface-112", "--dry-run", "--json")
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert [one["fmr"] for one in found["thresholds"]] == [0.01]
    note = "too few impostor comparisons for thresholds at FMR 0.001, 0.0001, 1e-05"
    assert note in found["notes"]
    few = run("calibrate", "--images", people)
    assert few.status == 2
    assert "FMR 0.01: 3 impostor comparisons allow 0.03 false matches" in few.err


@pytest.mark.parametrize("text", ["0", "1", "a", "", "1e-3,,1e-4", "-1e-3", "nan"])
def test_rates_that_are_none(run, people, text):
    ran = run("calibrate", "--images", people, f"--fmr={text}")
    assert ran.status == 2
    assert "expected rates between 0 and 1" in ran.err


@pytest.mark.thorough
def test_thresholds_are_saved_into_a_copy_and_used(run, crowd, tmp_path, small_faces):
    bundled = find_model("default")
    before = hashlib.sha256(bundled.read_bytes()).digest()
    common = ("calibrate", "--images", crowd, "--aligned", "arcface-112", "--fmr")
    ran = run(*common, "1e-1,1e-2", "--json")
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    saved = load_model_file(tmp_path / "home/weights" / f"{found['model']}-calibrated.onnx")
    assert saved.id == load_model("default").id
    assert [one.fmr for one in saved.thresholds] == [0.1, 0.01]
    for one in saved.thresholds:
        assert (one.impostors, one.genuine) == (2376, 180)
        assert one.interval[0] < one.interval[1]
        assert "72 photos of 12 people" in one.dataset
    assert saved.thresholds[0].distance > saved.thresholds[1].distance
    assert 0 < found["probability"]["brier_score"]["value"] < 0.25
    assert hashlib.sha256(bundled.read_bytes()).digest() == before

    rate = run(
        "evaluate", crowd, "--aligned", "arcface-112", "--model", saved.name, "--fmr", "0.01",
        "--json",
    )  # fmt: skip
    fixed = rate.objects[0]["fixed"]
    assert 0.005 < fixed["fmr"]["value"] <= 0.01  # the rate it was set for, and not above
    assert fixed["fnmr"]["value"] == pytest.approx(saved.thresholds[1].fnmr)

    for name in ("obama", "obama2"):
        (tmp_path / f"{name}.jpg").write_bytes(small_faces[name])
    pair = (tmp_path / "obama.jpg", tmp_path / "obama2.jpg")
    decided = run("verify", *pair, "--model", saved.name, "--fmr", "0.01")
    assert decided.status == 0
    assert "false match rate 0.01" in decided.out


@pytest.mark.slow
def test_extrapolation_is_an_option_and_is_recorded_in_the_dataset_text(run, crowd, tmp_path):
    common = ("calibrate", "--images", crowd, "--aligned", "arcface-112", "--fmr", "1e-2,1e-3")
    assert run(*common).status == 2
    ran = run(*common, "--extrapolate", "--save", tmp_path / "mine.onnx")
    assert ran.status == 0, ran.err
    assert "extrapolated" in ran.out
    counted, followed = load_model_file(tmp_path / "mine.onnx").thresholds
    assert "extrapolated" not in counted.dataset
    assert "extrapolated: exponential tail of the 100 nearest impostor" in followed.dataset
    assert followed.distance < counted.distance
    ran = run(*common[:-1], "1e-7", "--extrapolate")
    assert ran.status == 2
    assert "100 times below" in ran.err


def test_pairs_of_a_list(run, people, tmp_path):
    lines = ["first,second,label"]
    lines += ["obama/obama.jpg,obama/obama2.jpg,1"] * 20
    lines += ["biden/biden.jpg,obama/obama.jpg,0"] * 20
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    ran = run(
        "calibrate", "--images", people, "--pairs", tmp_path / "list.csv", "--fmr", "0.5",
        "--dry-run", "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert found["saved"] is None
    assert found["thresholds"][0]["impostors"] == 20
    assert np.isfinite(found["thresholds"][0]["distance"])


def test_bundled_weights_are_never_written(run, people):
    ran = run("calibrate", "--images", people, "--fmr", "0.5", "--save", find_model("default"))
    assert ran.status == 2
    assert "bundled weights are never changed" in ran.err


def test_one_person_cannot_calibrate(run, people):
    ran = run("calibrate", "--images", people / "obama", "--fmr", "0.1")
    assert ran.status == 2
    assert "expected one folder a person" in ran.err
