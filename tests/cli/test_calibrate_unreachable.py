"""``faceverify calibrate`` where a model cannot run at a rate, and who meets such models later."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from small_nets import THRESHOLD, small_model

from faceverify.models.model_file import load_model_file

CONSTANT = [("Mul", 0.0), ("Add", 1.0)]
NEARLY = [("Mul", 1e-7), ("Add", 1.0)]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEVERIFY_HOME", str(tmp_path / "home"))


@pytest.fixture
def people(tmp_path):
    """Twenty people with two made crops each: 20 genuine, 760 impostor comparisons."""
    rng = np.random.default_rng(0)
    for person in range(20):
        folder = tmp_path / "people" / f"person-{person:02}"
        folder.mkdir(parents=True)
        face = rng.integers(0, 256, (4, 4, 3))
        for photo in range(2):
            pixels = np.clip(face + rng.integers(-20, 20, (4, 4, 3)), 0, 255).astype(np.uint8)
            image = Image.fromarray(pixels).resize((112, 112), Image.Resampling.BICUBIC)
            image.save(folder / f"{photo}.png")
    return tmp_path / "people"


def saved(tmp_path, name, thresholds=(), **options):
    model = replace(small_model(name, **options), thresholds=tuple(thresholds))
    model.save(tmp_path / f"{name}.onnx")
    return tmp_path / f"{name}.onnx"


def aligned(command, *arguments):
    return command, *arguments, "--aligned", "arcface-112", "--no-cache"


@pytest.mark.thorough(but=("before0",))
@pytest.mark.parametrize("before", [CONSTANT, NEARLY])
def test_a_net_that_ignores_its_input(run, people, tmp_path, before):
    model = saved(tmp_path, "collapsed", before=before)
    ran = run(
        *aligned("calibrate", "--images", people, "--model", model, "--fmr", "0.1,0.02"),
        "--save", tmp_path / "out.onnx",
    )  # fmt: skip
    assert ran.status == 2
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert "collapsed.onnx: this model cannot run at FMR 0.1: at distance 0.000001" in line
    assert "100 % of 760 impostor comparisons match" in line
    assert "comparisons match, nor at 0.02; " in line
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.thorough
def test_one_placeholder_for_many_people(run, people, tmp_path):
    """15 of 760 impostor comparisons are of one file with itself: FMR 0.1, but not 0.015."""
    placeholder = (people / "person-00" / "0.png").read_bytes()
    for person in range(1, 6):
        (people / f"person-{person:02}" / "0.png").write_bytes(placeholder)
    model = saved(tmp_path, "model")
    common = aligned("calibrate", "--images", people, "--model", model, "--fmr", "0.1,0.015")
    ran = run(*common, "--save", tmp_path / "out.onnx")
    assert ran.status == 0, ran.err
    assert "cannot run at FMR 0.015: at distance 0.000001, where its matches begin, 1.97 %" in (
        ran.out
    )
    assert "6 photos of 6 people are the same file as a photo of somebody else" in ran.out
    (found,) = run(*common, "--dry-run", "--json").objects
    assert [one["fmr"] for one in found["thresholds"]] == [0.1]
    assert [one["fmr"] for one in found["unreachable"]] == [0.015]
    assert [one.fmr for one in load_model_file(tmp_path / "out.onnx").thresholds] == [0.1]

    # and what others make of a rate that is not there
    pair = (people / "person-00" / "0.png", people / "person-01" / "0.png")
    with_it = ("--model", tmp_path / "out.onnx", "--fmr", "0.015", "--aligned", "arcface-112")
    ran = run("verify", *pair, *with_it)
    assert (ran.status, ran.out) == (2, "")
    assert "no threshold for a false match rate of 0.015 (calibrated: 0.1); give --threshold" in (
        ran.err
    )
    ran = run("evaluate", people, *with_it, "--no-cache", "--replicates", "0", "--json")
    assert ran.status == 0
    assert "fixed" not in ran.objects[0]
    assert any("no threshold for a false match rate of 0.015" in n for n in ran.objects[0]["notes"])
    ran = run(
        "evaluate", people, "--model", tmp_path / "out.onnx", "--fmr", "0.1", "--no-cache",
        "--aligned", "arcface-112", "--replicates", "0", "--json",
    )  # fmt: skip
    assert 0.02 < ran.objects[0]["fixed"]["fmr"]["value"] <= 0.1


def test_pairs_that_compare_a_file_with_itself(run, people, tmp_path):
    copy = people / "person-01" / "2.png"
    copy.write_bytes((people / "person-00" / "0.png").read_bytes())
    lines = ["first,second,label"]
    lines += [f"person-{n:02}/0.png,person-{n:02}/1.png,1" for n in range(20)]
    lines += [f"person-{n:02}/0.png,person-{m:02}/1.png,0" for n in range(20) for m in range(n)]
    lines += ["person-00/0.png,person-01/2.png,0"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    model = saved(tmp_path, "model")
    ran = run(
        *aligned("calibrate", "--images", people, "--pairs", tmp_path / "list.csv"),
        "--model", model, "--fmr", "0.1", "--dry-run",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "note: 1 impostor pairs compare a file with itself" in ran.out


@pytest.mark.thorough
def test_two_thousand_copies_of_one_photo(run, people, tmp_path):
    first = people / "person-00" / "0.png"
    for person in range(1000):
        folder = tmp_path / "copies" / f"p{person}"
        folder.mkdir(parents=True)
        for photo in range(2):
            (folder / f"{photo}.png").hardlink_to(first)
    model = saved(tmp_path, "model")
    ran = run(
        *aligned("calibrate", "--images", tmp_path / "copies", "--model", model, "--fmr", "1e-3")
    )
    assert ran.status == 2
    (line,) = ran.err.splitlines()
    assert "cannot run at FMR 0.001: at distance 0.000001" in line
    assert "100 % of 1,998,000 impostor comparisons match" in line
    assert "2,000 photos of 1,000 people are the same file" in line


BROKEN = replace(THRESHOLD, fmr=0.01, distance=0.0, fnmr=0.0, interval=(0.94, 1.0))


@pytest.mark.thorough(but=("broken0",))
@pytest.mark.parametrize(
    "broken", [BROKEN, replace(BROKEN, distance=0.2), replace(BROKEN, interval=(0.0, 0.002))]
)
def test_what_was_stored_against_its_own_measurement_decides_nothing(run, people, tmp_path, broken):
    """Model files that an earlier version calibrated."""
    model = saved(tmp_path, "old", [broken], before=CONSTANT)
    assert load_model_file(model).calibration == []
    assert "does not hold, and is not used" in run("weights", "show", model).out
    pair = (people / "person-00" / "0.png", people / "person-01" / "0.png")
    how = ("--model", model, "--aligned", "arcface-112")
    ran = run("verify", *pair, *how, "--fmr", "0.01")
    assert (ran.status, ran.out) == (2, "")
    assert "0.01 (calibrated: none); the one it has does not hold (distance 0" in ran.err
    low, high = broken.interval
    assert f"FMR measured {low:g} to {high:g}); give --threshold" in ran.err
    ran = run("enroll", "--tree", people, "--gallery", tmp_path / "gallery", *how)
    assert ran.status == 2
    assert "no calibrated thresholds" in ran.err
    ran = run("identify", pair[0], "--gallery", tmp_path / "gallery", *how)
    assert ran.status == 2
    ran = run("evaluate", people, *how, "--fmr", "0.01", "--no-cache", "--json", "--replicates", 0)
    assert "fixed" not in ran.objects[0]
    assert any("the one it has does not hold" in note for note in ran.objects[0]["notes"])
    by_hand = ("--threshold", "0.1", "--min-quality", "0")
    assert run("verify", *pair, *how, *by_hand).status == 0  # the user's own word
