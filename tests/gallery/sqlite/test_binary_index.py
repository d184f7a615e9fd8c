"""Search by binary templates: the nearest are found, and what is measured is true."""

import numpy as np
import pytest

from faceverify.choices import CodeMethod, Fusion, SearchMethod
from faceverify.errors import GalleryError, UsageError
from faceverify.gallery.sqlite import index
from faceverify.gallery.sqlite.store import SqliteStore
from faceverify.gallery.store import Enrolment

MODEL = "0123456789abcdef"
WIDTH, PEOPLE, EACH = 32, 500, 2


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def enrolments(start, count, generator):
    """Two templates a person, in a cone, as embeddings are."""
    people = np.repeat(np.arange(start, start + count), EACH)
    centres = generator.standard_normal((count, WIDTH)) + 4 * np.eye(WIDTH)[0]
    rows = unit(
        np.repeat(centres, EACH, axis=0) + 0.3 * generator.standard_normal((len(people), WIDTH))
    )
    return [
        Enrolment(
            f"p{who:05d}",
            row,
            f"{who}-{i}.jpg",
            bytes(28) + (1000 * who + i).to_bytes(4, "big"),
            1.0,
        )
        for i, (who, row) in enumerate(zip(people.tolist(), rows, strict=True))
    ]


@pytest.fixture(
    params=[
        pytest.param(None, id="open"),
        pytest.param("ab" * 32, id="encrypted", marks=pytest.mark.slow),
    ]
)
def gallery(request, tmp_path, monkeypatch):
    if request.param:
        pytest.importorskip("cryptography")
    monkeypatch.setattr(index, "LEAST", 100)
    store = SqliteStore(str(tmp_path / "g"), create=True, key=request.param)
    store.add(enrolments(0, PEOPLE, np.random.default_rng(0)), model=MODEL)
    store.close()

    def reopen(search=SearchMethod.CODES):
        return SqliteStore(str(tmp_path / "g"), key=request.param, search=search)

    return reopen


@pytest.mark.parametrize("method", list(CodeMethod))
def test_a_search_by_codes_finds_the_same_people(gallery, method):
    with gallery() as store:
        fit = store.fit_codes(MODEL, bits=256, method=method)
        assert (fit.bits, fit.bytes, fit.embedding_bytes) == (256, 32, 4 * WIDTH)
        assert fit.recall > 0.9
        assert fit.searches == 100
    queries = np.stack([one.embedding for one in enrolments(0, 50, np.random.default_rng(0))])
    with gallery(SearchMethod.EXACT) as store:
        expected = store.search(queries, 3, model=MODEL)
    with gallery() as store:
        found = store.search(queries, 3, model=MODEL)
        assert [row[0] for row in found] == [row[0] for row in expected]
        means = store.search(queries, 3, model=MODEL, fusion=Fusion.MEAN)
    with gallery(SearchMethod.EXACT) as store:
        assert means == store.search(queries, 3, model=MODEL, fusion=Fusion.MEAN)


def test_who_was_enrolled_or_removed_since_is_found_or_not(gallery):
    with gallery() as store:
        store.fit_codes(MODEL, bits=128, method=CodeMethod.CENTRED)
        new = enrolments(9000, 10, np.random.default_rng(9))
        store.add(new, model=MODEL)
        row = store.search(new[4].embedding[None], 1, model=MODEL)[0][0]
        assert row.name == new[4].name
        assert row.distance == pytest.approx(0, abs=1e-6)
        gone = enrolments(0, 10, np.random.default_rng(0))[6]
        assert store.search(gone.embedding[None], 1, model=MODEL)[0][0].name == gone.name
        store.remove(gone.name)
        assert store.search(gone.embedding[None], 1, model=MODEL)[0][0].name != gone.name
    with gallery() as store:  # the directions outlive the removal, the codes are made anew
        assert store.search(new[0].embedding[None], 1, model=MODEL)[0][0].name == new[0].name


def test_codes_of_other_directions_are_not_used(gallery):
    query = enrolments(0, 1, np.random.default_rng(0))[0]
    with gallery() as store:
        store.fit_codes(MODEL, bits=128, method=CodeMethod.RANDOM)
        store.search(query.embedding[None], 1, model=MODEL)
        store.fit_codes(MODEL, bits=128, method=CodeMethod.CENTRED)
        assert store.search(query.embedding[None], 1, model=MODEL)[0][0].name == query.name
    with gallery() as store:
        assert store.search(query.embedding[None], 1, model=MODEL)[0][0].name == query.name


def test_what_is_impossible_is_one_line(gallery):
    with gallery() as store:
        query = np.eye(1, WIDTH, dtype=np.float32)
        with pytest.raises(
            GalleryError, match="has no binary templates; faceverify gallery fit-codes"
        ):
            store.search(query, 1, model=MODEL)
        with pytest.raises(UsageError, match="100 bits"):
            store.fit_codes(MODEL, bits=100, method=CodeMethod.CENTRED)
        with pytest.raises(GalleryError, match="holds no template of model other"):
            store.fit_codes("other", bits=128, method=CodeMethod.CENTRED)
