"""Moving between engines: every bit arrives, once, however often it is interrupted."""

from dataclasses import replace
from itertools import pairwise
from operator import attrgetter

import pytest
from enrolled_people import MODEL, enrolments

from faceverify.errors import GalleryError
from faceverify.gallery.copy import add_templates, copy_gallery
from faceverify.gallery.open import open_store

ENGINES = ["sqlite", "encrypted", "postgresql", "milvus"]


@pytest.fixture
def place(tmp_path, request):
    """Where a gallery of an engine is made: its URL and its key."""

    def of(engine):
        if engine == "postgresql":
            server = request.getfixturevalue("postgresql")
            return server.url(f"copy_{abs(hash(tmp_path)):x}"), None
        if engine == "milvus":
            return f"milvus://{tmp_path}/copy.db", None
        return str(tmp_path / engine), "5f" * 32 if engine == "encrypted" else None

    return of


def opened(place, engine):
    url, key = place(engine)
    return open_store(url, create=True, key=key)


def templates(store):
    fields = attrgetter("name", "model", "photo", "photo_hash", "quality", "time")
    return [(*fields(one), one.embedding.tobytes()) for one in store.since(0)]


def fill(store):
    store.add(enrolments(30, people=7), model=MODEL)
    store.add(enrolments(10, people=4, dimension=8, seed=3), model="another")
    odd = replace(enrolments(1, first=99)[0], name="Zoë 'x'", photo="/\udcff.jpg", quality=1 / 3)
    store.add([odd], model=MODEL)


@pytest.mark.parametrize(("first", "second"), [*pairwise(ENGINES), ("milvus", "sqlite")])
def test_every_bit_arrives(place, first, second):
    with opened(place, first) as source, opened(place, second) as target:
        fill(source)
        wanted = templates(source)
        seen = []
        count = copy_gallery(
            source, target, progress=lambda items: (seen.append(one) or one for one in items)
        )
        assert count == len(seen) == len(wanted)
        assert sorted(templates(target)) == sorted(wanted)
        order = [row for row in wanted if row[1] == MODEL]
        assert [row for row in templates(target) if row[1] == MODEL] == order
        assert target.check() == []


class Interrupted(Exception):
    pass


def broken_off(after):
    """Progress of a copy that is interrupted."""

    def progress(items):
        for number, one in enumerate(items):
            if number == after:
                raise Interrupted
            yield one

    return progress


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_copy_that_was_cut_short_is_made_again(place, engine):
    with opened(place, "encrypted") as source, opened(place, engine) as target:
        fill(source)
        for after in (0, 1, 9, 27, 39):
            with pytest.raises(Interrupted):
                copy_gallery(source, target, batch=4, progress=broken_off(after))
            assert target.stats().templates == sum(
                part // 4 * 4 for part in (min(after, 30), max(after - 30, 0))
            )
        assert copy_gallery(source, target, batch=4) == 41
        assert sorted(templates(target)) == sorted(templates(source))
        assert copy_gallery(source, target) == 41
        source.add(enrolments(3, first=200), model=MODEL)
        assert copy_gallery(source, target) == 44
        assert target.stats().templates == 44


def test_what_the_target_refuses_stops_the_copy(place):
    with opened(place, "sqlite") as source, opened(place, "encrypted") as target:
        fill(source)
        target.add(enrolments(1, dimension=5), model=MODEL)
        with pytest.raises(GalleryError) as error:
            copy_gallery(source, target)
        assert error.value.code == "gallery-model"


def test_a_stream_of_templates_is_added_in_batches(place):
    with opened(place, "sqlite") as source, opened(place, "encrypted") as target:
        fill(source)
        sizes = []
        real = target.add
        target.add = lambda batch, *, model: (
            sizes.append((model, len(batch))) or real(batch, model=model)
        )
        assert add_templates(target, source.since(0), batch=20) == 41
        assert sizes == [(MODEL, 20), (MODEL, 11), ("another", 10)]
