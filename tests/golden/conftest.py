"""Fixed inputs, and the comparison of what is said of them with what was written down."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from generated_people import write_people
from golden_values import check
from photographs import FACES
from PIL import Image

PAIRS = """first,second,label,fold,group
barack/obama.jpg,barack/obama2.jpg,1,0,x
barack/obama.jpg,barack/obama3.jpg,1,1,y
barack/obama2.jpg,barack/obama3.jpg,1,1,y
joe/biden.jpg,barack/obama.jpg,0,0,x
joe/biden.jpg,barack/obama2.jpg,0,0,x
joe/biden.jpg,barack/obama3.jpg,0,1,y
"""


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write the golden values again")


@pytest.fixture
def golden(request) -> Callable[..., None]:
    """Compare with golden values: ``golden(name, found, tolerances)``."""
    return partial(check, write=request.config.getoption("--write-golden", default=False))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> Path:
    """Photos of two people, what is no photo of one, generated people, lists and embeddings."""
    folder = tmp_path_factory.mktemp("inputs")
    small = {}
    for path in sorted(FACES.glob("*.jpg")):
        shutil.copy(path, folder)
        person = folder / "people" / ("joe" if path.stem == "biden" else "barack")
        person.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, person)
        image = Image.open(path).convert("RGB")
        small[path.stem] = image.resize([side * 420 // max(image.size) for side in image.size])
    couple = Image.new("RGB", (840, 420))
    couple.paste(small["obama3"], (0, 0))
    couple.paste(small["biden"], (420, 0))
    couple.save(folder / "couple.png")
    Image.new("RGB", (100, 100), "navy").save(folder / "wall.png")
    (folder / "torn.jpg").write_bytes((FACES / "obama.jpg").read_bytes()[:2000])
    write_people(folder / "patterns", people=8, images=4, size=112)
    (folder / "pairs.csv").write_text(PAIRS)
    write_embeddings(folder)
    write_templates(folder)
    return folder


def write_embeddings(folder: Path) -> None:
    """``rows.npz``, embeddings of 20 people, 3 each, and ``rows.csv``, 120 pairs of them."""
    draws = np.random.default_rng(0)
    rows = np.repeat(draws.standard_normal((20, 8)), 3, axis=0)
    rows += 0.6 * draws.standard_normal(rows.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    names = [f"p{number // 3:02d}/{number % 3}.jpg" for number in range(60)]
    np.savez(folder / "rows.npz", photos=names, embeddings=rows, model_id="0123456789abcdef")
    pairs = [(n, n // 3 * 3 + (n + 1) % 3, 1) for n in range(60)]
    pairs += [(n, (n + 3 * (1 + n % 19)) % 60, 0) for n in range(60)]
    lines = ["first,second,label,fold,group,first_identity,second_identity"]
    folds = sorted(range(120), key=lambda number: number % 10)  # each whole, one after the other
    for number, (one, other, label) in ((number, pairs[number]) for number in folds):
        facts = (names[one], names[other], label, number % 10, "ab"[number % 2])
        lines.append(",".join(map(str, (*facts, names[one][:3], names[other][:3]))))
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")


def write_templates(folder: Path) -> None:
    """Templates as in the IJB protocols: media, pairs, a gallery and probes, of 30 features."""
    draws = np.random.default_rng(1)
    subjects = np.arange(30) % 6
    features = draws.standard_normal((6, 8))[subjects] + 0.5 * draws.standard_normal((30, 8))
    np.save(folder / "features.npy", features.astype(np.float32))
    media = [f"{n}.jpg {n % 12} {n % 24}" for n in range(30)]
    (folder / "media.txt").write_text("\n".join(media) + "\n")
    pairs = [f"{a} {b} {int(a % 6 == b % 6)}" for a in range(12) for b in range(a)]
    (folder / "template_pairs.txt").write_text("\n".join(pairs) + "\n")
    for name, templates in (("gallery", range(5)), ("probes", range(6, 12))):
        rows = [f"{template},s{template % 6}" for template in templates]
        (folder / f"{name}.csv").write_text("\n".join(["TEMPLATE_ID,SUBJECT_ID", *rows]) + "\n")


@pytest.fixture
def place(inputs, tmp_path, monkeypatch) -> Path:
    """A copy of the inputs as the working folder; nothing of the user's is read or written."""
    folder = tmp_path / "place"
    shutil.copytree(inputs, folder, copy_function=os.link)
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("FACEVERIFY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEVERIFY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEVERIFY_GALLERY", "gallery")
    return folder
