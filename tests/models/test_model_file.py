import json
import os
import random
from dataclasses import asdict, replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import THRESHOLD, small_contract, small_model, small_net

from faceverify.errors import ModelError
from faceverify.faces.alignment import BoxCrop, FivePoints
from faceverify.models.contract import Contract
from faceverify.models.model_file import (
    CONTRACT,
    PROVENANCE,
    THRESHOLDS,
    ModelFile,
    as_json,
    load_model_file,
    metadata_entry,
    parse_model_file,
    split_metadata,
)
from faceverify.models.protobuf import fields, read_varint, write_varint
from faceverify.runtime.onnx_session import open_session

MODEL = small_model()
FILE = MODEL.to_bytes()
ENTRIES = {
    CONTRACT: MODEL.contract.as_dict(),
    PROVENANCE: asdict(MODEL.provenance),
    THRESHOLDS: [asdict(THRESHOLD)],
}


def written(**changes) -> bytes:
    """A model file with some of its documents replaced; None leaves one out."""
    documents = {**ENTRIES, **{f"faceverify.{key}": value for key, value in changes.items()}}
    return MODEL.graph + b"".join(
        metadata_entry(key, value if isinstance(value, str) else json.dumps(value))
        for key, value in documents.items()
        if value is not None
    )


def error_of(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        parse_model_file(data, "some.onnx")
    message = str(caught.value)
    assert message.startswith("some.onnx: ")
    assert "\n" not in message
    assert len(message) < 1_000
    return message


# --- what must stay the same ----------------------------------------------------------------------


def test_round_trip(tmp_path):
    MODEL.save(tmp_path / "small.onnx")
    loaded = load_model_file(tmp_path / "small.onnx", "small")
    assert loaded == MODEL
    assert loaded.to_bytes() == (tmp_path / "small.onnx").read_bytes() == FILE
    assert loaded.id == MODEL.id
    assert len(loaded.id) == 16


def test_the_file_stays_an_onnx_model_with_our_metadata():
    model = onnx.load_from_string(FILE)
    onnx.checker.check_model(model, full_check=True)
    metadata = {item.key: json.loads(item.value) for item in model.metadata_props}
    assert metadata[CONTRACT] == MODEL.contract.as_dict()
    assert metadata[PROVENANCE]["source"] == MODEL.provenance.source
    crops = np.zeros((2, 3, 16, 16), np.float32)
    for data in (FILE, MODEL.graph):
        assert open_session(data).run(None, {"crops": crops})[0].shape == (2, 64)


def test_another_program_may_write_it_again():
    again = onnx.load_from_string(FILE).SerializeToString()
    assert parse_model_file(again, "small").id == MODEL.id


@pytest.mark.parametrize("seed", range(5))
def test_the_id_does_not_depend_on_where_the_metadata_stands(seed):
    spans = [FILE[start:end] for _, start, _, end in fields(FILE)]
    ours = [span for span in spans if b"faceverify." in span]
    others = [span for span in spans if b"faceverify." not in span]
    assert len(ours) == 3
    for span in random.Random(seed).sample(ours, 3):
        others.insert(random.Random(seed).randrange(len(others) + 1), span)
    assert parse_model_file(b"".join(others), "small") == MODEL


def test_the_id_is_that_of_graph_and_contract_alone():
    same = [
        MODEL.with_thresholds([]),
        replace(MODEL, name="other"),
        replace(MODEL, provenance=replace(MODEL.provenance, licence="MIT")),
        replace(MODEL, contract=replace(MODEL.contract, mean=(127.5, 127.5, 127.5))),
    ]
    assert {model.id for model in same} == {MODEL.id}
    others = [
        replace(MODEL, contract=replace(MODEL.contract, **{field: value}))
        for field, value in {
            "width": 17,
            "height": 17,
            "colour_order": "BGR",
            "mean": (127.5, 127.5, 127.0),
            "scale": (127.5, 128.0, 128.0),
            "alignment": BoxCrop(0.1),
            "embedding_size": 65,
            "flip_average": False,
        }.items()
    ]
    others.append(ModelFile("small", small_net(seed=1), MODEL.contract, MODEL.provenance))
    assert len({model.id for model in others} | {MODEL.id}) == len(others) + 1


@pytest.mark.parametrize(
    "alignment",
    [BoxCrop(0), FivePoints(((1, 2), (3, 4), (5, 6), (7, 8), (9, 10)), (1, 1, 0, 1, 1))],
)
def test_whole_numbers_are_the_same_contract_as_floats(alignment):
    contract = replace(small_contract(), mean=(0, 0, 0), scale=(1, 1, 1), alignment=alignment)
    model = replace(MODEL, contract=contract)
    assert parse_model_file(model.to_bytes(), "small").id == model.id


def test_thresholds_are_found_by_their_rate():
    assert MODEL.threshold_for(0.001) == THRESHOLD
    with pytest.raises(ModelError, match=r"0\.01 \(calibrated: 0\.001\)") as caught:
        MODEL.threshold_for(0.01)
    assert caught.value.code == "model-not-calibrated"


def test_what_is_not_json_is_not_written():
    with pytest.raises(ValueError, match="JSON"):
        MODEL.with_thresholds([replace(THRESHOLD, fnmr=float("nan"))]).to_bytes()


# --- files that are something else ----------------------------------------------------------------


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match="no such model file; `faceverify weights list`"):
        load_model_file(tmp_path / "none.onnx")


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000])
def test_what_cannot_be_read(tmp_path, name):
    with pytest.raises(ModelError, match="cannot be read"):
        load_model_file(tmp_path / name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\xff" * 100,
        b"PK\x03\x04" + bytes(100),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x80\x02}q\x00.",
        b"# Some text\n" * 50,
        bytes(10_000),
    ],
)
def test_foreign_files(data):
    assert "not an ONNX file" in error_of(data)


def test_an_onnx_file_without_contract():
    assert "`faceverify weights import`" in error_of(MODEL.graph)
    assert "`faceverify weights import`" in error_of(written(contract=None))


@pytest.mark.parametrize("missing", ["provenance", "thresholds"])
def test_missing_documents(missing):
    assert f"faceverify.{missing} is missing" in error_of(written(**{missing: None}))


def test_two_contracts():
    error_of(FILE + metadata_entry(CONTRACT, as_json(MODEL.contract.as_dict())))


@pytest.mark.parametrize("end", [*range(40), *range(len(FILE) - 40, len(FILE))])
def test_truncated(end):
    error_of(FILE[:end])


@pytest.mark.parametrize("entry", ["contract", "provenance", "thresholds"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        "NaN",
        "Infinity",
        "null",
        "true",
        "0",
        "-1e400",
        "9" * 10_000,
        '""',
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 900 + "]" * 900,
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "[null]",
        '["x"]',
        '{"name": 1}',
        "\ufeff{}",
        '"' + "x" * 1_000_000 + '"',
    ],
    ids=lambda text: text[:12],
)
def test_documents_that_are_something_else(entry, text):
    if (entry, text) == ("thresholds", "[]"):
        assert parse_model_file(written(thresholds=text), "small").thresholds == ()
    else:
        error_of(written(**{entry: text}))


BIG = 10**400
BAD_NUMBERS = [None, True, "1", [], {}, float("nan"), float("inf"), BIG, -BIG]
BAD_FIELDS = {
    "width": [*BAD_NUMBERS, 0, -1, 65_537, 1.0],
    "height": [*BAD_NUMBERS, 0],
    "embedding_size": [*BAD_NUMBERS, 0],
    "colour_order": [None, "rgb", "", ["RGB"], 3, {}],
    "mean": [*BAD_NUMBERS, [1, 2], [1, 2, 3, 4], "123", *([1, 2, bad] for bad in BAD_NUMBERS)],
    "scale": [*BAD_NUMBERS, [1, 2, 0], [0.0, 1, 1], *([1, 2, bad] for bad in BAD_NUMBERS)],
    "flip_average": [None, 0, 1, "true", []],
    "alignment": [
        *BAD_NUMBERS,
        {"kind": "box"},
        {"kind": "box", "margin": 1},
        {"kind": "box", "margin": -0.1},
        {"kind": "other", "margin": 0},
        {"kind": ["box"], "margin": 0},
        *({"kind": "box", "margin": bad} for bad in BAD_NUMBERS),
        *(
            {"kind": "five-points", "points": points, "weights": weights}
            for points, weights in [
                ([[0, 0]] * 4, [1] * 4),
                ([[0, 0], [1, 1]] * 3, [1] * 6),
                ([[0, 0]] * 5, [1] * 5),
                ([[0, 0], [1, 1], [0, 0], [0, 0], [0, 0]], [1, 0, 1, 1, 1]),
                ([[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]], [1, 0, 0, 0, 0]),
                ([[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]], [1, 1, 1, 1, -1]),
                ([[0, 0], [1, 1], [2, 2], [3, 3], [4, 4, 4]], [1] * 5),
                ([[0, 0], [1, 1], [2, 2], [3, 3], "44"], [1] * 5),
                ([[0, 0], [1, 1], [2, 2], [3, 3], [4, BIG]], [1] * 5),
                ([[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]], [1, 1, 1, 1, float("nan")]),
                ([[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]], "11111"),
            ]
        ),
    ],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in BAD_FIELDS.items() for value in values],
    ids=lambda value: str(value)[:40],
)
def test_contracts_that_cannot_be(field, value):
    error_of(written(contract={**ENTRIES[CONTRACT], field: value}))


def test_contracts_with_other_fields():
    values = ENTRIES[CONTRACT]
    assert "unknown ['more']" in error_of(written(contract={**values, "more": 1}))
    del (fewer := dict(values))["scale"]
    assert "missing ['scale']" in error_of(written(contract=fewer))
    error_of(written(contract=list(values)))
    error_of(written(contract={**values, **{f"more{n}": n for n in range(10_000)}}))


@pytest.mark.parametrize("field", ["name", "licence", "source"])
@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "\ud800", "\x9b", "\0", 1, None, []])
def test_texts_that_a_terminal_must_not_get(field, text):
    assert field in error_of(written(provenance={**ENTRIES[PROVENANCE], field: text}))
    error_of(written(thresholds=[{**asdict(THRESHOLD), "dataset": text}]))


def test_provenance_needs_a_name_and_knows_its_fields():
    error_of(written(provenance={"licence": "MIT"}))
    error_of(written(provenance={"name": "x", "more": "y"}))
    assert parse_model_file(written(provenance={"name": "x"}), "x").provenance.licence == "unknown"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            (field, bad)
            for field in ("fmr", "distance", "fnmr", "impostors", "genuine", "interval")
            for bad in BAD_NUMBERS
        ),
        ("fmr", 0),
        ("fmr", 1),
        ("distance", -0.1),
        ("distance", 2.1),
        ("fnmr", 1.1),
        ("fnmr", -0.1),
        ("impostors", -1),
        ("genuine", 1.5),
        ("interval", [0.1]),
        ("interval", [0, 0.1, 0.2]),
        ("interval", "01"),
        ("interval", [0, "1"]),
        ("interval", [-0.1, 0.5]),
        ("more", 1),
    ],
    ids=lambda value: str(value)[:12],
)
def test_thresholds_that_cannot_be(field, value):
    error_of(written(thresholds=[{**asdict(THRESHOLD), field: value}]))


# --- damage ---------------------------------------------------------------------------------------

LONG = [write_varint(2**31), write_varint(2**63), write_varint(2**64 - 1), b"\xff" * 9 + b"\x01"]


@pytest.mark.parametrize("length", LONG)
@pytest.mark.parametrize("number", [1, 7, 8, 14, 15, 2**28])
def test_lengths_beyond_the_file(number, length):
    field = write_varint(number << 3 | 2) + length
    for data in (field, FILE + field, FILE + field + bytes(1000)):
        assert "damaged" in error_of(data)


def test_numbers_without_end():
    for data in (b"\x80" * 10, b"\xff" * 100, FILE + b"\x08" + b"\x80" * 20):
        assert "damaged" in error_of(data)
    with pytest.raises(ValueError, match="64 bits"):
        read_varint(b"\x80" * 10 + b"\x01", 0)


@pytest.mark.parametrize("wire", [3, 4, 6, 7])
def test_wire_types_that_nobody_writes(wire):
    assert "damaged" in error_of(FILE + write_varint(99 << 3 | wire))


def test_fixed_size_fields_at_the_end():
    for wire, size in ((1, 8), (5, 4)):
        tag = write_varint(99 << 3 | wire)
        assert parse_model_file(FILE + tag + bytes(size), "x").contract == MODEL.contract
        error_of(FILE + tag + bytes(size - 1))


def test_metadata_that_is_no_text():
    for entry in (b"\x72\x05\x0a\x03\xff\xfe\xfd", b"\x72\x02\x0a\x09", b"\x70\x05"):
        error_of(FILE + entry)


def test_countless_fields_end_early(monkeypatch):
    monkeypatch.setattr("faceverify.models.protobuf.MOST_FIELDS", 1_000)
    assert "damaged" in error_of(FILE + b"\x08\x01" * 1_001)


def survives(data: bytes) -> bool:
    """Whether a file is read; anything but an answer or a ModelError is a test that fails."""
    try:
        model = parse_model_file(data, "some.onnx")
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 1_000  # noqa: PT017
        return False
    assert Contract.from_dict(model.contract.as_dict()) == model.contract
    assert parse_model_file(model.to_bytes(), "again").id == model.id
    return True


HOSTILE = [*LONG, b"\x80", b"\x00", b"\xff", b"[", b"{", b"NaN", b"1e999", b'"\\ud800"', b"-"]


def damaged(rng: random.Random) -> bytes:
    """A file with a few bits, bytes or stretches of it changed, mostly in the metadata."""
    data = bytearray(FILE)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        low = 0 if rng.random() < 0.3 else len(MODEL.graph)
        at = rng.randrange(min(low, max(len(data) - 1, 0)), max(len(data), 1))
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = bytes(
                    [(data[at] if at < len(data) else 0) ^ 1 << rng.randrange(8)]
                )
            case 1:
                data[at : at + 1] = rng.randbytes(1)
            case 2:
                del data[at : at + rng.choice([1, 2, 8, 100])]
            case 3:
                data[at:at] = rng.choice(HOSTILE)
            case 4:
                source = rng.randrange(len(data) + 1)
                data[at:at] = data[source : source + rng.choice([1, 8, 100])]
            case 5:
                data[at : at + 8] = rng.choice(HOSTILE)
    return bytes(data)


def test_mutations():
    rng = random.Random(0)
    read = sum(survives(damaged(rng)) for _ in range(1_500))
    assert 0 < read < 1_500  # some damage hits what is not ours to read, such as the weights


@pytest.mark.slow
def test_many_mutations():
    rng = random.Random(int(os.environ.get("FACEVERIFY_FUZZ_SEED", "1")))
    for _ in range(30_000):
        survives(damaged(rng))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data):
    assert not survives(data)
    with pytest.raises(ModelError):
        split_metadata(data + b"\x80", "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5)
    ),
    max_leaves=12,
)


@pytest.mark.thorough
@given(st.sampled_from(["contract", "provenance", "thresholds"]), st.data())
@settings(max_examples=150, deadline=None)
def test_any_document(entry, data):
    """Any JSON in the place of a document, or of one of its fields."""
    whole = ENTRIES[f"faceverify.{entry}"]
    inner = whole[0] if isinstance(whole, list) else whole
    field = data.draw(st.sampled_from([None, *inner]))
    value = data.draw(JSON)
    if field is not None:
        value = {**inner, field: value}
        value = [value] if isinstance(whole, list) else value
    survives(written(**{entry: value}))
