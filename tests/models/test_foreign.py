"""Files given as a model that are none, and nets that the engine is too old for."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from faceverify.errors import ModelError
from faceverify.models.foreign import foreign_kind
from faceverify.models.model_file import load_model_file


def written(save):
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def archive(*names):
    def save(stream):
        with zipfile.ZipFile(stream, "w") as out:
            for name in names:
                out.writestr(name, b"x")

    return written(save)


def safetensors():
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


FILES = [
    (archive("net/data.pkl", "net/version"), "a file of PyTorch (torch.save)", "weights import"),
    (archive("net/code/a.py", "net/constants.pkl"), "a TorchScript program", "torch.onnx"),
    (archive("config.json", "model.weights.h5"), "a model of Keras", "tf2onnx"),
    (archive("det.onnx", "rec.onnx"), "an archive of det.onnx, rec.onnx", "unpack it"),
    (archive("photo.jpg"), "a zip archive", "unpack it"),
    (written(lambda stream: np.savez(stream, a=np.zeros(2))), "an .npz file", ""),
    (b"\x80\x02}q\x00.", "a file of PyTorch", "ONNX"),
    (b"\x80\x04\x95\0\0\0\0\0\0\0\0.", "a file of PyTorch", "ONNX"),
    (safetensors(), "a safetensors file: weights without the net", "torch.onnx"),
    (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file", "tf2onnx"),
    (b"\x1c\0\0\0TFL3" + bytes(99), "a TensorFlow Lite model", "tf2onnx"),
    (b"GGUF\3\0\0\0" + bytes(99), "a GGUF file", "torch.onnx"),
    (b'<?xml version="1.0"?>\n<net name="a" version="11">', "a model of OpenVINO", "torch.onnx"),
    (struct.pack("<QQ", 0x112, 0) + bytes(99), "weights of MXNet", "torch.onnx"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
    (b"<!DOCTYPE html><html>", "a web page", "download"),
    (b"\x1f\x8b\x08" + bytes(99), "a gzip archive", "unpack it"),
    (written(lambda stream: Image.new("RGB", (9, 9)).save(stream, "JPEG")), "a JPEG", ""),
    (b"just a text", "text, not", ""),
]  # fmt: skip


@pytest.mark.parametrize(("data", "name", "cure"), FILES, ids=[name for _, name, _ in FILES])
def test_what_is_given_as_a_model_is_named(run, tmp_path, data, name, cure):
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    for words in (["weights", "show", path], ["verify", path, path, "--model", path]):
        ran = run(*words)
        assert (ran.status, len(ran.err.splitlines())) == (2, 1)
        assert name in ran.err
        assert cure in ran.err
        assert "not an ONNX file" in ran.err


@pytest.mark.parametrize(
    ("data", "name"),
    [(data, name) for data, name, _ in FILES if "PyTorch" not in name and "archive of" not in name],
)  # fmt: skip
def test_what_cannot_be_imported_is_named(run, tmp_path, data, name):
    path = tmp_path / "net.pt"
    path.write_bytes(data)
    ran = run("weights", "import", path, "--to", f"{tmp_path}/")
    assert (ran.status, name in ran.err) == (2, True), ran.err


def test_what_is_unknown_stays_unknown(tmp_path):
    assert foreign_kind(b"\1\2\3\xff") is None
    (tmp_path / "a.onnx").write_bytes(b"\1\2\3\xff")
    with pytest.raises(ModelError, match="not an ONNX file, or a damaged one"):
        load_model_file(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("change", "said", "cure"),
    [
        ({"ir": 99}, "it is of ONNX's IR version 99, and this engine reads up to", "an older onnx"),
        ({"opset": 99}, "it is of opset 99, and this engine has up to", "lower opset_version"),
        ({"operator": "NoSuchOp"}, "it has an operator NoSuchOp", "onnxruntime"),
        ({"domain": "my.ops"}, "it has an operator my.ops:Identity", "without operators"),
    ],
)
def test_a_net_that_the_engine_is_too_old_for(run, tmp_path, change, said, cure):
    helper = pytest.importorskip("onnx").helper
    floats = [helper.make_tensor_value_info(name, 1, [1, 3, 112, 112]) for name in "xy"]
    settings = {"ir": 8, "opset": 13, "operator": "Identity", "domain": ""} | change
    node = helper.make_node(settings["operator"], ["x"], ["y"], domain=settings["domain"])
    opsets = [helper.make_opsetid("", settings["opset"])]
    if settings["domain"]:
        opsets.append(helper.make_opsetid(settings["domain"], 1))
    graph = helper.make_graph([node], "net", floats[:1], floats[1:])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=settings["ir"])
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    ran = run("weights", "import", tmp_path / "net.onnx", "--to", f"{tmp_path}/out/")
    assert (ran.status, len(ran.err.splitlines())) == (2, 1)
    assert said in ran.err
    assert cure in ran.err
    assert "onnxruntime_src" not in ran.err
