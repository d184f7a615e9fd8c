"""Weights in a second file: taken in whole, or refused in one line."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from small_nets import small_model, small_net

from faceverify.errors import ModelError
from faceverify.models.embedder import Embedder
from faceverify.models.install.install import import_model
from faceverify.models.install.whole_file import read_whole
from faceverify.models.model_file import load_model_file, split_metadata
from faceverify.runtime.onnx_session import open_session


def split(folder: Path, data: bytes = b"", *, second="net.onnx.data") -> Path:
    """Write a net with its weights in a second file; return the first file's path."""
    model = onnx.load_from_string(data or small_net(side=112))
    folder.mkdir(exist_ok=True)
    path = folder / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location=second, size_threshold=0)
    assert (folder / second).stat().st_size > 1000
    return path


def test_both_files_become_one(tmp_path):
    path, whole = split(tmp_path / "two"), tmp_path / "one.onnx"
    whole.write_bytes(small_net(side=112))
    model = import_model(path, name="mine")
    (path.parent / "net.onnx.data").unlink()
    model.save(tmp_path / "mine.onnx")
    read = load_model_file(tmp_path / "mine.onnx")
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    expected = Embedder(import_model(whole)).embed(crops)
    np.testing.assert_array_equal(Embedder(read).embed(crops), expected)


def test_whose_weights_they_are_does_not_depend_on_where_a_command_runs(tmp_path, monkeypatch):
    """Another net's weights, under the same name, where the command runs."""
    path = split(tmp_path / "two")
    split(tmp_path / "other", small_net(side=112, seed=1))
    ids = set()
    for folder in ("two", "other", "."):
        monkeypatch.chdir(tmp_path / folder)
        ids.add(import_model(path).id)
    assert len(ids) == 1
    assert import_model(tmp_path / "other" / "net.onnx").id not in ids


def test_the_engine_takes_no_weights_from_the_folder_it_runs_in(tmp_path, monkeypatch):
    path = split(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="xternal"):
        open_session(path.read_bytes())


def test_a_model_file_is_taken_in_whole_too(tmp_path):
    model = small_model(side=16)
    path = split(tmp_path, model.to_bytes())
    with pytest.raises(ModelError, match="cannot load"):
        Embedder(load_model_file(path))
    whole = import_model(path)
    crops = np.zeros((1, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(Embedder(whole).embed(crops), Embedder(model).embed(crops))


@pytest.mark.parametrize("damage", ["missing", "short", "long", "outside", "absolute", "folder"])
def test_a_second_file_that_cannot_be_taken_in(tmp_path, damage):
    path = split(tmp_path / "two")
    second = path.parent / "net.onnx.data"
    says = "does not hold"
    match damage:
        case "missing":
            second.unlink()
            says = "is not there"
        case "short":
            second.write_bytes(second.read_bytes()[:100])
        case "long":  # of a tensor whose length is not stated: as long as the file
            model = onnx.load(path, load_external_data=False)
            for tensor in model.graph.initializer:
                lengths = [entry for entry in tensor.external_data if entry.key == "length"]
                tensor.external_data.remove(lengths[0])
            path.write_bytes(model.SerializeToString())
            second.write_bytes(second.read_bytes() + b"\0")
        case "folder":
            second.unlink()
            second.mkdir()
            says = "is not there"
        case _:
            outside = tmp_path / "net.onnx.data"
            second.rename(outside)
            location = str(outside) if damage == "absolute" else "../net.onnx.data"
            model = onnx.load(path, load_external_data=False)
            for tensor in model.graph.initializer:
                for entry in tensor.external_data:
                    entry.value = location if entry.key == "location" else entry.value
            path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=rf"second file, .*net\.onnx\.data, which {says}") as error:
        import_model(path)
    assert error.value.code == "model-second-file"
    assert "\n" not in str(error.value)


def test_a_node_keeps_a_tensor_there_too(tmp_path):
    tensor = numpy_helper.from_array(np.arange(4, dtype=np.float32), "kept")
    (tmp_path / "second").write_bytes(tensor.raw_data)
    external_data_helper.set_external_data(tensor, "second", offset=0, length=16)
    tensor.ClearField("raw_data")
    branch = helper.make_graph([helper.make_node("Constant", [], ["k"], value=tensor)], "b", [], [])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    whole = onnx.load_from_string(read_whole(tmp_path / "net.onnx"))
    for attribute in whole.graph.node[0].attribute:
        found = attribute.g.node[0].attribute[0].t
        assert found.data_location == TensorProto.DEFAULT
        np.testing.assert_array_equal(numpy_helper.to_array(found), np.arange(4))


def test_a_file_that_only_mentions_a_location_is_kept_byte_for_byte(tmp_path):
    model = onnx.load_from_string(small_net())
    model.metadata_props.add(key="location", value="somewhere")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert read_whole(tmp_path / "net.onnx") == (tmp_path / "net.onnx").read_bytes()
    assert split_metadata(read_whole(tmp_path / "net.onnx"), "net")[1] == {}


def test_what_is_no_onnx_file(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"location, and no model" * 9)
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_whole(tmp_path / "net.onnx")
    for missing in (tmp_path / "none", tmp_path, tmp_path / "\0"):
        with pytest.raises(ModelError, match="cannot be read"):
            read_whole(missing)
