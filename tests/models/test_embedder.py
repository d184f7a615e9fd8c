"""The embedder keeps to the contract: colour order, mean, scale, flip, length 1."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from faceverify.errors import ModelError
from faceverify.faces.alignment import BoxCrop
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.metadata import Provenance
from faceverify.models.model_file import ModelFile

CONTRACT = Contract(
    width=4,
    height=3,
    colour_order="RGB",
    mean=(1.0, 2.0, 3.0),
    scale=(2.0, 4.0, 8.0),
    alignment=BoxCrop(),
    embedding_size=36,
    flip_average=False,
)


def flat_net(batch: int | str = "N", width: int = 4, factor: float = 1.0) -> bytes:
    """A net whose embedding is its input, times a factor."""
    value = numpy_helper.from_array(np.array(factor, np.float32), "factor")
    nodes = [
        helper.make_node("Flatten", ["crops"], ["flat"], axis=1),
        helper.make_node("Mul", ["flat", "factor"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "flat",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, [batch, 3, 3, width])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [batch, None])],
        [value],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def embedder(contract: Contract = CONTRACT, **net) -> Embedder:
    return Embedder(ModelFile("flat.onnx", flat_net(**net), contract, Provenance("flat")))


CROPS = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3), np.uint8)


def by_hand(crop: np.ndarray, contract: Contract) -> np.ndarray:
    """The contract, one number at a time."""
    out = []
    for channel in range(3):
        source = channel if contract.colour_order == "RGB" else 2 - channel
        for row in range(3):
            for column in range(4):
                value = float(crop[row, column, source])
                out.append((value - contract.mean[channel]) / contract.scale[channel])
    return np.array(out)


@pytest.mark.parametrize("colour_order", ["RGB", "BGR"])
@pytest.mark.parametrize("flip", [False, True])
def test_crops_go_in_as_the_contract_says(colour_order: str, flip: bool):
    contract = replace(CONTRACT, colour_order=colour_order, flip_average=flip)
    rows = embedder(contract).embed(CROPS)
    for crop, row in zip(CROPS, rows, strict=True):
        expected = by_hand(crop, contract)
        if flip:
            expected = expected + by_hand(crop[:, ::-1], contract)
        assert np.allclose(row, expected / np.linalg.norm(expected), atol=1e-6)


@pytest.mark.parametrize("batch", ["N", 1, 2, 7])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_crops_through_any_batch_size(batch: int | str, count: int):
    rows = embedder(batch=batch).embed(CROPS[:count])
    assert np.allclose(rows, embedder().embed(CROPS)[:count])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf")])
def test_what_is_no_embedding_is_refused(factor: float):
    with pytest.raises(ModelError, match="NaN, infinity or zero") as caught:
        embedder(factor=factor).embed(CROPS)
    assert caught.value.code == "model-output"


def test_a_graph_that_is_not_the_contracts_is_refused():
    with pytest.raises(ModelError, match="its graph takes"):
        embedder(width=5)
    with pytest.raises(ModelError, match="contract says 35"):
        embedder(replace(CONTRACT, embedding_size=35)).embed(CROPS)


def test_a_damaged_graph_is_refused():
    graph = bytearray(flat_net())
    graph[len(graph) // 2 :] = b""
    model = ModelFile("torn.onnx", bytes(graph), CONTRACT, Provenance("torn"))
    with pytest.raises(ModelError, match=r"torn\.onnx: the engine cannot load"):
        Embedder(model)


def test_the_graphs_bytes_are_a_valid_onnx_file():
    onnx.load_from_string(flat_net())


def test_the_engine_leaves_the_processors_arithmetic_as_it_was():
    embedder().embed(CROPS)
    assert np.nextafter(0, 1) > 0  # tiny numbers are not flushed to zero
