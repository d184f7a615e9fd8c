"""``faceverify doctor``."""

import shutil

import numpy as np
import pytest

import faceverify
from faceverify.models.registry import bundled_folder


@pytest.fixture
def broken_weights(tmp_path, monkeypatch):
    """A copy of the bundled weights, to be damaged, in place of them."""
    folder = tmp_path / "weights"
    shutil.copytree(bundled_folder(), folder)
    for module in ("faceverify.cli.doctor_checks", "faceverify.models.registry"):
        monkeypatch.setattr(f"{module}.bundled_folder", lambda: folder)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty place for the user's own models."""
    monkeypatch.setenv("FACEVERIFY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_all_is_well(run):
    ran = run("doctor")
    assert ran.status == 0
    assert ran.err == ""
    assert ran.out.splitlines()[-1] == "all is well"
    assert f"faceverify       {faceverify.__version__}" in ran.out
    assert "PROBLEM" not in ran.out


def test_one_object(run):
    ran = run("doctor", "--json")
    (found,) = ran.objects
    assert found["ok"]
    assert found["versions"]["numpy"] == np.__version__
    assert set(found["optional"]) == {"torch", "torchvision", "facenet-pytorch", "pyarrow"}
    assert "CPUExecutionProvider" in found["providers"]
    assert found["processors"] >= 1
    assert [item["problem"] for item in found["weights"]] == [None] * 4
    test = found["self_test"]
    assert min(test["load"], test["detect"], test["embed"]) > 0
    assert found["problems"] == []


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_damaged_and_missing_weights_are_named(run, broken_weights):
    damage(broken_weights / "dlib-resnet29.onnx")
    (broken_weights / "mtcnn-onet.onnx").unlink()
    ran = run("doctor")
    assert ran.status == 2
    problems = [line for line in ran.out.splitlines() if line.startswith("PROBLEM")]
    assert "dlib-resnet29.onnx: SHA-256 is" in problems[0]
    assert "mtcnn-onet.onnx: cannot be read" in problems[1]
    assert "self-test: " in problems[2]
    assert len(problems) == 3
    (found,) = run("doctor", "--json").objects
    assert (found["ok"], found["self_test"]["load"]) == (False, None)


def test_a_missing_manifest_is_a_problem_not_a_crash(run, broken_weights):
    (broken_weights / "manifest.toml").unlink()
    ran = run("doctor")
    assert ran.status == 2
    assert "manifest.toml" in ran.out


def test_a_model_of_the_users_that_is_none_is_named(run, home):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "mine.onnx").write_bytes(b"nothing of the kind")
    ran = run("doctor")
    assert ran.status == 2
    assert "mine.onnx: text, not an ONNX file" in ran.out


def test_embeddings_that_are_not_unit_are_a_problem(run, monkeypatch):
    monkeypatch.setattr("faceverify.models.embedder.Embedder.normalised", lambda self, rows: rows)
    ran = run("doctor", "--json")
    assert ran.status == 2
    assert "lengths" in ran.objects[0]["self_test"]["problem"]


@pytest.mark.parametrize("module", ["faces.detector_net", "models.embedder"])
def test_a_broken_engine_is_a_problem(run, monkeypatch, module):
    def broken(model):
        raise RuntimeError("illegal instruction")

    monkeypatch.setattr(f"faceverify.{module}.open_session", broken)
    ran = run("doctor")
    assert ran.status == 2
    assert "illegal instruction" in ran.out
