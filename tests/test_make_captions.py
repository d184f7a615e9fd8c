"""scripts/make_captions.py: captions of a labelled folder."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from photographs import OBAMA2
from PIL import Image, ImageOps

from faceverify.training.data.sets.captions import open_captions

pytestmark = pytest.mark.thorough

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_captions.py"


def made(folder, *options, table="captions.csv"):
    """Run the script, and return the captions of the photos."""
    place = folder / table
    command = [sys.executable, SCRIPT, folder, place, *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        return ran.stderr.strip()
    rows = csv.DictReader(place.read_text(encoding="utf-8").splitlines())
    return {row["photo"]: row["caption"] for row in rows}


@pytest.fixture
def folder(tmp_path):
    """Flat pictures of two labels."""
    for name, colour, side in (
        ("the_night/1.png", (20, 20, 20), 200), ("the_night/2.png", (10, 10, 50), 200),
        ("noon/1.png", (255, 225, 40), 64), ("noon/2.png", (120, 120, 122), 700),
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (side, side), colour).save(path)
    return tmp_path


def test_what_is_measured_is_said(folder):
    assert made(folder) == {
        "noon/1.png": "a photo of noon, bright, colourful, small",
        "noon/2.png": "a photo of noon, black and white, large",
        "the_night/1.png": "a photo of the night, dark, black and white",
        "the_night/2.png": "a photo of the night, dark, pale",
    }
    found = open_captions(folder / "captions.csv")
    assert found.captions[2] == ("a photo of the night, dark, black and white",)


def test_the_table_may_lie_elsewhere(folder):
    (folder / "lists").mkdir()
    found = made(folder, "--sentence", "{label}: a picture", table="lists/it.csv")
    assert found["../noon/2.png"] == "noon: a picture, black and white, large"
    assert len(open_captions(folder / "lists" / "it.csv")) == 4


def test_the_turn_of_a_head(tmp_path):
    (tmp_path / "one").mkdir()
    photo = Image.open(OBAMA2).convert("RGB")
    photo.save(tmp_path / "one" / "a.png")
    ImageOps.mirror(photo).save(tmp_path / "one" / "b.png")
    first, second = made(tmp_path).values()
    assert "turned to the left" in first
    assert first.replace("left", "right") == second.replace("left", "right")


@pytest.mark.parametrize(
    "table",
    [
        "photo,Wavy_Hair,Male,mood\nnoon/1.png,0.7,-1,merry\n2.png,1,1,\n",
        "image_id;Wavy_Hair;Male;mood\nnoon/1.png;1;-1;merry\n",
    ],
)
def test_attributes_are_said(folder, table):
    (folder / "more.csv").write_text(table)
    found = made(folder, "--attributes", folder / "more.csv")
    assert found["noon/1.png"].endswith("small; wavy hair, merry")
    assert ";" not in found["noon/2.png"]


def test_the_table_of_lfw(tmp_path):
    (tmp_path / "Ann_Lee").mkdir()
    Image.new("RGB", (150, 150), (90, 100, 130)).save(tmp_path / "Ann_Lee" / "Ann_Lee_0002.jpg")
    (tmp_path / "lfw.txt").write_text(
        "# lfw_attributes\n#\tperson\timagenum\tMale\tSmiling\nAnn Lee\t2\t-0.5\t1.25\n"
    )
    found = made(tmp_path, "--attributes", tmp_path / "lfw.txt")
    assert found["Ann_Lee/Ann_Lee_0002.jpg"].startswith("a photo of Ann Lee")
    assert found["Ann_Lee/Ann_Lee_0002.jpg"].endswith("; smiling")


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("photo,Male\nother.png,1\n", (), "of none of the 4 photos"),
        ("a,b\n1,2\n", (), "no column of photos"),
        ("photo,Male\nx.png\n", (), "1 cells"),
        ("photo,Male\nnoon/1.png,1\n", ("--sentence", "{name}"), "no sentence"),
    ],
)
def test_what_is_wrong_is_one_line(folder, table, options, said):
    (folder / "more.csv").write_text(table)
    found = made(folder, "--attributes", folder / "more.csv", *options)
    assert said in found
    assert "\n" not in found
    assert not (folder / "captions.csv").exists()


def test_a_photo_that_cannot_be_read_is_left_out(folder):
    (folder / "noon" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "noon/2.png" not in made(folder)


def test_colourfulness_is_that_of_the_paper():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from make_captions import colourfulness
    finally:
        sys.path.pop(0)
    pixels = np.random.default_rng(0).uniform(0, 255, (5, 4, 3)).astype(np.float32)
    first = [r - g for r, g, _ in pixels.reshape(-1, 3)]
    second = [0.5 * (r + g) - b for r, g, b in pixels.reshape(-1, 3)]
    spread = (np.var(first) + np.var(second)) ** 0.5
    mean = (np.mean(first) ** 2 + np.mean(second) ** 2) ** 0.5
    assert colourfulness(pixels) == pytest.approx(spread + 0.3 * mean, rel=1e-5)
