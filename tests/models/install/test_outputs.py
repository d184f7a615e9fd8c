"""The output that is the embedding."""

import numpy as np
import pytest
from small_nets import small_net

from faceverify.errors import ModelError, UsageError
from faceverify.models.embedder import Embedder
from faceverify.models.install.install import import_model
from faceverify.models.install.outputs import choose_output
from faceverify.models.install.preprocessing import Preprocessing

RNG = np.random.default_rng(0)
EMBEDDING = RNG.normal(size=(3, 64)).astype(np.float32)
LOGITS = RNG.normal(size=(3, 100)).astype(np.float32)
NORM = np.linalg.norm(EMBEDDING, axis=1, keepdims=True)


def choose(wanted="", **outputs):
    return choose_output(outputs, 3, name="net", wanted=wanted)


def test_the_only_one_that_can_be():
    assert choose(embedding=EMBEDDING) == "embedding"
    assert choose(norm=NORM, embedding=EMBEDDING) == "embedding"
    assert choose(embedding=EMBEDDING, norm=NORM) == "embedding"
    assert choose(age=EMBEDDING[:, :2], maps=EMBEDDING[:, :, None], e=EMBEDDING) == "e"


def test_the_same_at_another_length():
    assert choose(unit=EMBEDDING / NORM, raw=EMBEDDING) == "unit"
    with pytest.raises(UsageError):
        choose(unit=EMBEDDING / NORM, other=EMBEDDING[::-1])


def test_several_are_named_and_one_has_to_be_said():
    with pytest.raises(
        UsageError, match=r"logits \(100 numbers\) and e \(64 numbers\).*--output logits or e"
    ):
        choose(logits=LOGITS, e=EMBEDDING)
    assert choose("e", logits=LOGITS, e=EMBEDDING) == "e"
    assert choose("logits", logits=LOGITS, e=EMBEDDING) == "logits"
    with pytest.raises(UsageError, match="--output norm: it returns"):
        choose("norm", norm=NORM, e=EMBEDDING)
    with pytest.raises(UsageError, match="--output none: it returns"):
        choose("none", e=EMBEDDING)


@pytest.mark.parametrize("rows", [NORM, LOGITS[:2], EMBEDDING[:, None], EMBEDDING[0]])
def test_none_of_them(rows):
    with pytest.raises(ModelError, match="which are no embeddings"):
        choose(rows=rows)


@pytest.mark.parametrize("logits", ["first", "last"])
def test_a_net_with_a_classifier_beside_the_embedding(tmp_path, logits):
    (tmp_path / "plain.onnx").write_bytes(small_net(side=112))
    (tmp_path / "net.onnx").write_bytes(small_net(side=112, logits=logits))
    with pytest.raises(UsageError, match="embeddings"):
        import_model(tmp_path / "net.onnx")
    model = import_model(tmp_path / "net.onnx", stated=Preprocessing(output="embeddings"))
    crops = RNG.integers(0, 256, (2, 112, 112, 3), np.uint8)
    expected = Embedder(import_model(tmp_path / "plain.onnx")).embed(crops)
    np.testing.assert_allclose(Embedder(model).embed(crops), expected, atol=1e-6)
    other = import_model(tmp_path / "net.onnx", stated=Preprocessing(output="logits"))
    assert other.contract.embedding_size == 100
    assert Embedder(other).embed(crops).shape == (2, 100)
    assert other.id != model.id


def test_an_output_that_does_not_depend_on_the_input(tmp_path):
    (tmp_path / "net.onnx").write_bytes(small_net(side=112, still=True))
    with pytest.raises(ModelError, match="output embeddings does not depend on the input"):
        import_model(tmp_path / "net.onnx")
