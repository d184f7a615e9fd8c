"""Tokenizer and text model: what sentences become, and what is refused."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceverify.errors import ModelError, UsageError
from faceverify.models.model_file import metadata_entry, split_metadata
from faceverify.models.text_model import TEXT, TOKENIZER, TextEmbedder, TextModel, load_text_model
from faceverify.models.tokenizer import END, FEWEST_TOKENS, PAD, START, Tokenizer, learned_tokenizer
from faceverify.training.backbones.text_transformer import TextTransformer
from faceverify.training.export.export_text import export_text

SENTENCES = ["a red circle", "a red square", "the large circle", "É 日本 🙂"]
CONTEXT = 24


@pytest.fixture(scope="module")
def document():
    return learned_tokenizer(SENTENCES, vocabulary=FEWEST_TOKENS + 20)


@pytest.fixture(scope="module")
def encoder(document):
    torch.manual_seed(0)
    return TextTransformer(
        vocabulary=len(Tokenizer(document)), context=CONTEXT, width=16, depth=2, heads=2,
        embedding_size=6,
    )  # fmt: skip


@pytest.fixture
def file(document, encoder, tmp_path):
    path = tmp_path / "text.onnx"
    apart = export_text(
        encoder, path, tokenizer=document, context=CONTEXT, model_id="0" * 16, sentences=SENTENCES
    )
    assert apart < 1e-5
    return path


def test_sentences_become_tokens_between_start_and_end(document):
    tokenizer = Tokenizer(document)
    tokens = tokenizer.encode(["a red circle", "A  RED", ""], most=CONTEXT)
    assert tokens[:, 0].tolist() == [START] * 3
    assert [int(row[(row != PAD).sum() - 1]) for row in tokens] == [END] * 3
    assert tokens[2].tolist() == [START, END] + [PAD] * (tokens.shape[1] - 2)
    assert tokens.max() < len(tokenizer) <= FEWEST_TOKENS + 20
    one, other = tokenizer.encode(["E\u0301", "é"], most=CONTEXT)
    assert one.tolist() == other.tolist()  # in whatever form it is written


def test_no_text_lacks_a_token_and_none_is_taken_for_a_special_one(document):
    tokenizer = Tokenizer(document)
    odd = ["<|end|>", "<|pad|><|start|>", "\x00", "🤷‍♀️", "\ud7ff"]
    for row in tokenizer.encode(odd, most=99):
        inside = row[1 : (row != PAD).sum() - 1]
        assert len(inside)
        assert inside.min() > END


def test_the_same_sentences_in_any_order_and_process_give_the_same_tokenizer(document):
    code = (
        "import sys, json; from faceverify.models.tokenizer import learned_tokenizer;"
        f"print(learned_tokenizer(json.loads(sys.argv[1]), vocabulary={FEWEST_TOKENS + 20}))"
    )
    command = [sys.executable, "-c", code, json.dumps(SENTENCES[::-1])]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == document


def test_the_file_gives_torchs_embeddings_alone_and_together(file, document, encoder):
    embedder = TextEmbedder(load_text_model(file), "it")
    found = embedder.embed(SENTENCES)
    tokens = torch.from_numpy(Tokenizer(document).encode(SENTENCES, most=CONTEXT))
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(encoder(tokens), dim=1).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    for sentence, row in zip(SENTENCES, found, strict=True):
        np.testing.assert_allclose(embedder.embed([sentence])[0], row, atol=1e-5)
    with pytest.raises(ValueError, match=f"tokens, more than {CONTEXT}: 'x x x"):
        embedder.embed(["x " * 40])


def test_it_is_written_as_it_was_read(file, tmp_path):
    model = load_text_model(file)
    model.save(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()
    assert (model.context, model.model_id) == (CONTEXT, "0" * 16)


def test_a_file_that_is_none_is_one_line(file, tmp_path):
    graph, entries = split_metadata(file.read_bytes(), "it")
    bad = tmp_path / "bad.onnx"

    def refused(data):
        bad.write_bytes(data)
        with pytest.raises(ModelError) as error:
            TextEmbedder(load_text_model(bad), str(bad))
        assert str(bad) in str(error.value)
        return str(error.value)

    def with_entries(**changed):
        both = {TEXT: entries[TEXT], TOKENIZER: entries[TOKENIZER]} | changed
        return graph + b"".join(metadata_entry(*one) for one in both.items())

    with pytest.raises(ModelError, match="no such text model"):
        load_text_model(tmp_path / "none.onnx")
    assert "not an ONNX file" in refused(file.read_bytes()[:3000])
    assert "faceverify.text is missing" in refused(graph)
    assert "not JSON" in refused(with_entries(**{TEXT: "{"}))
    for about in ([], {"context": "9", "model_id": ""}, {"context": 1, "model_id": ""}):
        assert "faceverify.text is" in refused(with_entries(**{TEXT: json.dumps(about)}))
    assert "no tokenizer" in refused(with_entries(**{TOKENIZER: '{"model": 3}'}))


def test_a_graph_that_gives_no_embeddings_is_one_line(file, document):
    model = load_text_model(file)
    larger = learned_tokenizer([*SENTENCES, "other words that stand in no other"], vocabulary=999)
    embedder = TextEmbedder(replace(model, tokenizer=larger), "it")
    with pytest.raises(ModelError, match="it: cannot be run"):  # tokens that the net lacks
        embedder.embed(["other words that stand in no other"])
    with pytest.raises(ModelError, match="it: cannot be run"):
        TextEmbedder(TextModel(b"", document, CONTEXT, ""), "it")


def test_the_library_may_be_missing(monkeypatch, document):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for make in (lambda: Tokenizer(document), lambda: learned_tokenizer(["a"], vocabulary=300)):
        with pytest.raises(UsageError, match=r"pip install 'faceverify\[captions\]'") as refused:
            make()
        assert refused.value.code == "library-missing"
