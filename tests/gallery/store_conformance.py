"""The laws that every engine obeys: inherit ``StoreLaws`` and give a ``store_url`` fixture.

The fixture returns the URL of a place without a gallery; ``key`` may be overridden, too::

    class TestMine(StoreLaws):
        @pytest.fixture
        def store_url(self, tmp_path):
            return str(tmp_path / "gallery")
"""

import hashlib

import numpy as np
import pytest

from faceverify.choices import Fusion
from faceverify.errors import GalleryError
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Added, Enrolment, StoredTemplate
from faceverify.matching.distance import cosine_distance

MODEL, OTHER = "model-a", "model-b"
WIDTH = 16
CLOSE = 1e-6  # engines that keep float32 and compare in it err less


def directions(count, *, width=WIDTH, seed=0):
    """Random embeddings of length 1, (count, width)."""
    rows = np.random.default_rng(seed).standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def enrolment(name, embedding, photo=None, quality=0.5):
    photo = photo or f"/photos/{name}-{hashlib.sha256(embedding.tobytes()).hexdigest()[:8]}.jpg"
    digest = hashlib.sha256(photo.encode()).digest()
    return Enrolment(name, embedding, photo, digest, quality)


def people(count, templates=1, *, seed=0, width=WIDTH):
    """So many people with so many templates each, one person after the other."""
    rows = directions(count * templates, width=width, seed=seed)
    return [
        enrolment(f"person {index // templates:04}", row, f"/photos/{seed}/{index}.jpg")
        for index, row in enumerate(rows)
    ]


def expected(enrolled, query, count, fusion=Fusion.MAX):
    """The search, written out slowly."""
    by_name = {}
    for one in enrolled:
        by_name.setdefault(one.name, []).append(one.embedding)
    distances = {}
    for name, rows in by_name.items():
        if fusion is Fusion.MEAN:
            mean = np.mean(np.array(rows, np.float64), axis=0)
            rows = [(mean / np.linalg.norm(mean)).astype(np.float32)]
        distances[name] = min(float(cosine_distance(row, query)) for row in rows)
    return sorted(distances.items(), key=lambda item: item[1])[:count]


def numbers(added):
    """The sequence numbers of what was added."""
    return [one.sequence for one in added]


def found(candidates):
    return [(one.name, one.distance) for one in candidates]


def same(first, second):
    assert [name for name, _ in first] == [name for name, _ in second]
    np.testing.assert_allclose([d for _, d in first], [d for _, d in second], atol=CLOSE)


class Recorder:
    """Admits these places, and keeps what it was asked with."""

    def __init__(self, after, *, places):
        self.after, self._places, self.asked = after, places, []

    def __call__(self, late):
        self.asked.append(late)
        return self._places


class StoreLaws:
    """See the module."""

    @pytest.fixture
    def store_url(self):
        raise NotImplementedError

    @pytest.fixture
    def key(self):
        return None

    @pytest.fixture
    def again(self, store_url, key):
        """Opens the gallery that exists once more."""
        opened = []

        def open_it():
            opened.append(open_store(store_url, key=key))
            return opened[-1]

        yield open_it
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, store_url, key):
        with open_store(store_url, create=True, key=key) as store:
            yield store

    def test_a_gallery_that_is_missing_is_one_line(self, store_url, key):
        with pytest.raises(GalleryError) as problem:
            open_store(store_url, key=key)
        assert problem.value.code == "gallery-missing"
        assert "\n" not in str(problem.value)

    def test_what_is_added_is_there_word_for_word(self, store, again):
        enrolled = [
            enrolment("Ann", directions(1)[0], "/a/ünï.jpg", 0.25),
            enrolment("Bob 'o; DROP", directions(1, seed=1)[0], "/b.jpg", 1.0),
        ]
        sequences = numbers(store.add(enrolled, model=MODEL))
        for reader in (store, again()):
            assert list(reader.names()) == [("Ann", 1), ("Bob 'o; DROP", 1)]
            for one, sequence in zip(enrolled, sequences, strict=True):
                (stored,) = reader.of(one.name)
                assert (stored.name, stored.photo, stored.photo_hash, stored.quality) == (
                    one.name, one.photo, one.photo_hash, one.quality,
                )  # fmt: skip
                assert np.array_equal(stored.embedding, one.embedding)
                assert stored.embedding.dtype == np.float32
                assert (stored.sequence, stored.model) == (sequence, MODEL)
                assert 1.7e9 < stored.time < 1e11

    def test_every_bit_of_a_stored_template_comes_back(self, store, again):
        embedding = np.zeros(WIDTH, np.float32)
        embedding[:5] = -0.0, 1.4e-45, 0.1, -1 / 3, 0.6
        embedding[-1] = np.sqrt(1 - np.sum(embedding**2))
        given = StoredTemplate(
            name="""Ann 'Ö\\"; DROP TABLE templates; -- or person != \"""",
            embedding=embedding,
            photo="/photos/\udcff\t.jpg",  # a file name that is no UTF-8
            photo_hash=bytes(range(32)),
            quality=0.1 + 0.2,
            sequence=77,
            model="elsewhere",
            time=1.7e9 + 1 / 3,
        )
        (sequence,) = numbers(store.add([given], model=MODEL))
        for reader in (store, again()):
            (stored,) = reader.since(0)
            assert stored.embedding.tobytes() == embedding.tobytes()
            assert stored.embedding.dtype == np.float32
            assert (stored.sequence, stored.model) == (sequence, MODEL)
            for field in ("name", "photo", "photo_hash", "quality", "time"):
                assert getattr(stored, field) == getattr(given, field)
            assert len(reader.of(given.name)) == 1
            assert reader.of("Ann") == []
            assert reader.check() == []

    def test_an_empty_gallery_finds_nobody(self, store):
        assert store.search(directions(2), 3, model=MODEL) == [[], []]
        assert list(store.names()) == []
        assert list(store.since(0)) == []
        assert store.of("Ann") == []
        assert store.with_photo(bytes(32)) == []
        assert store.add([], model=MODEL) == []
        assert (store.stats().identities, store.stats().templates) == (0, 0)

    @pytest.mark.parametrize("fusion", Fusion)
    def test_search_is_exact(self, store, fusion):
        enrolled = people(40, 3)
        store.add(enrolled, model=MODEL)
        queries = np.concatenate([directions(5, seed=9), [enrolled[0].embedding]])
        for count in (1, 5, 100):
            answers = store.search(queries, count, model=MODEL, fusion=fusion)
            assert len(answers) == len(queries)
            for query, answer in zip(queries, answers, strict=True):
                same(found(answer), expected(enrolled, query, count, fusion))

    def test_the_nearest_template_is_told(self, store):
        enrolled = people(5, 3)
        sequences = numbers(store.add(enrolled, model=MODEL))
        for one, sequence in zip(enrolled, sequences, strict=True):
            ((nearest,),) = store.search(one.embedding[None], 1, model=MODEL)
            assert (nearest.name, nearest.sequence) == (one.name, sequence)
            assert nearest.distance == pytest.approx(0, abs=CLOSE)
        ((mean,),) = store.search(directions(1), 1, model=MODEL, fusion=Fusion.MEAN)
        assert mean.sequence is None

    @pytest.mark.parametrize("fusion", Fusion)
    def test_only_the_people_who_are_named(self, store, fusion):
        enrolled = people(20, 2)
        store.add(enrolled, model=MODEL)
        names = ["person 0003", "person 0017", "nobody"]
        for query in directions(3, seed=4):
            (answer,) = store.search(query[None], 5, model=MODEL, names=names, fusion=fusion)
            chosen = [one for one in enrolled if one.name in names]
            same(found(answer), expected(chosen, query, 5, fusion))
        assert store.search(directions(1), 5, model=MODEL, names=[]) == [[]]
        assert store.search(directions(1), 5, model=MODEL, names=["nobody"]) == [[]]

    def test_models_never_meet(self, store):
        store.add([enrolment("Ann", directions(1)[0], "/a.jpg")], model=MODEL)
        store.add([enrolment("Bob", directions(1)[0], "/b.jpg")], model=OTHER)
        store.add([enrolment("Ann", directions(1)[0], "/a.jpg")], model=OTHER)
        assert [one.name for one in store.search(directions(1), 5, model=MODEL)[0]] == ["Ann"]
        assert len(store.of("Ann")) == 2
        assert [one.model for one in store.of("Ann", model=OTHER)] == [OTHER]
        assert [one.name for one in store.since(0, model=OTHER)] == ["Bob", "Ann"]
        assert store.stats().models == {MODEL: 1, OTHER: 2}
        assert store.search(directions(1), 5, model="unknown") == [[]]

    def test_embeddings_of_another_width_are_refused(self, store):
        store.add(people(2), model=MODEL)
        with pytest.raises(GalleryError) as problem:
            store.add(people(1, width=WIDTH * 2, seed=1), model=MODEL)
        assert problem.value.code == "gallery-model"
        with pytest.raises(GalleryError):
            store.search(directions(1, width=WIDTH * 2), 1, model=MODEL)
        assert store.stats().templates == 2

    def test_what_is_no_embedding_is_refused_with_all_its_batch(self, store):
        for bad in (np.full(WIDTH, np.nan), np.zeros(WIDTH), np.full(WIDTH, 2.0)):
            with pytest.raises(GalleryError):
                store.add(
                    [*people(1), enrolment("Eve", bad.astype(np.float32), "/e.jpg")], model=MODEL
                )
        for name in ("", "two\nlines"):
            with pytest.raises(GalleryError):
                store.add([*people(1), enrolment(name, directions(1)[0])], model=MODEL)
        assert store.stats().templates == 0

    def test_a_query_that_is_no_embedding_is_refused(self, store):
        store.add(people(2), model=MODEL)
        for bad in (np.nan, np.inf):
            with pytest.raises(GalleryError):
                store.search(np.full((1, WIDTH), bad, np.float32), 1, model=MODEL)

    def test_the_same_photo_is_stored_once_a_person_and_model(self, store):
        one = enrolment("Ann", directions(1)[0], "/a.jpg")
        (first,) = store.add([one], model=MODEL)
        assert first.new
        assert store.add([one, one], model=MODEL) == [Added(first.sequence, new=False)] * 2
        other = enrolment("Bob", directions(1)[0], "/a.jpg")
        second, twice = store.add([other, other], model=MODEL)
        assert second.sequence > first.sequence
        assert (second.new, twice) == (True, Added(second.sequence, new=False))
        mixed = store.add([one, *people(1), other], model=MODEL)
        assert [found.new for found in mixed] == [False, True, False]
        assert [mixed[0].sequence, mixed[2].sequence] == [first.sequence, second.sequence]
        store.remove("person 0000")
        assert store.stats().templates == 2
        photo = store.with_photo(one.photo_hash, model=MODEL)
        assert [template.name for template in photo] == ["Ann", "Bob"]
        assert store.with_photo(one.photo_hash, model=OTHER) == []

    def test_what_is_stored_is_decided_by_who_is_asked(self, store):
        store.add(people(2), model=MODEL)
        admit = Recorder(store.newest(), places=[0, 2])
        store.add(late := people(3, seed=1), model=MODEL)
        store.add(people(1, seed=2), model=OTHER)
        some = people(4, seed=3)
        added = store.add(some, model=MODEL, admit=admit)
        (seen,) = admit.asked
        assert [(one.name, one.photo, one.model) for one in seen] == [
            (one.name, one.photo, MODEL) for one in late
        ]
        assert np.array_equal(seen[2].embedding, late[2].embedding)
        assert [one.new for one in added] == [True, True]
        found = [(one.sequence, one.name) for one in store.since(seen[-1].sequence, model=MODEL)]
        assert found == list(zip(numbers(added), ["person 0000", "person 0002"], strict=True))
        assert store.add(some[:1] * 2, model=MODEL, admit=Recorder(0, places=[1])) == [
            Added(added[0].sequence, new=False)
        ]
        before = list(store.names())
        stranger = [enrolment("Eve", directions(1)[0])]
        assert store.add(stranger, model=MODEL, admit=Recorder(0, places=[])) == []
        assert list(store.names()) == before
        assert store.check() == []

    def test_whatever_comes_is_newer_than_the_newest(self, store):
        last = store.newest()
        for seed in range(3):
            sequences = numbers(store.add(people(2, seed=seed), model=MODEL))
            assert last < min(sequences)
            assert max(sequences) <= (last := store.newest())
        store.remove("person 0001")
        assert store.newest() >= last

    def test_numbers_rise_and_are_never_used_again(self, store, again):
        first = numbers(store.add(people(3), model=MODEL))
        assert first == sorted(first)
        store.remove("person 0002")
        second = numbers(again().add(people(3, seed=1), model=MODEL))
        assert min(second) > max(first)
        assert [one.sequence for one in store.since(first[1])] == second
        assert [one.sequence for one in store.since(0)] == first[:2] + second

    def test_since_goes_on_while_others_write(self, store, again):
        store.add(people(10), model=MODEL)
        reading = again().since(0)
        next(reading)
        store.add(people(10, seed=1), model=MODEL)
        store.remove("person 0000")
        assert len(list(reading)) >= 8

    def test_a_removed_person_is_found_no_more(self, store, again):
        enrolled = people(10, 2)
        store.add(enrolled, model=MODEL)
        reader = again()
        reader.search(directions(1), 1, model=MODEL)
        assert store.remove("person 0004") == 2
        assert store.remove("person 0004") == 0
        left = [one for one in enrolled if one.name != "person 0004"]
        for one in (store, reader, again()):
            for fusion in Fusion:
                (answer,) = one.search(enrolled[8].embedding[None], 20, model=MODEL, fusion=fusion)
                same(found(answer), expected(left, enrolled[8].embedding, 20, fusion))
            assert one.of("person 0004") == []
            assert one.stats().identities == 9
        store.add(enrolled[8:10], model=MODEL)
        (answer,) = reader.search(enrolled[8].embedding[None], 20, model=MODEL)
        same(found(answer), expected(enrolled, enrolled[8].embedding, 20))

    def test_some_templates_of_a_person_are_removed(self, store):
        enrolled = people(3, 3)
        sequences = numbers(store.add(enrolled, model=MODEL))
        foreign, own = sequences[0], sequences[4]
        assert store.remove("person 0001", sequences=[own, foreign, 10**9]) == 1
        assert [one.sequence for one in store.of("person 0001")] == [sequences[3], sequences[5]]
        assert len(store.of("person 0000")) == 3
        (answer,) = store.search(enrolled[4].embedding[None], 9, model=MODEL)
        same(found(answer), expected([*enrolled[:4], *enrolled[5:]], enrolled[4].embedding, 9))

    def test_a_person_gets_another_name(self, store, again):
        enrolled = people(3, 2)
        store.add(enrolled, model=MODEL)
        reader = again()
        reader.search(directions(1), 1, model=MODEL)
        assert store.rename("person 0001", "Zoë") == 2
        assert store.rename("person 0001", "Zoë") == 0
        for one in (store, reader):
            assert [name for name, _ in one.names()] == ["Zoë", "person 0000", "person 0002"]
            ((nearest,),) = one.search(enrolled[2].embedding[None], 1, model=MODEL)
            assert nearest.name == "Zoë"
            assert len(one.of("Zoë")) == 2
            assert one.of("person 0001") == []
        with pytest.raises(GalleryError, match="person 0002"):
            store.rename("Zoë", "person 0002")

    def test_another_model_takes_the_place_of_one(self, store):
        store.add(people(4, 2), model=MODEL)
        renewed = [
            enrolment(one.name, row, one.photo)
            for one, row in zip(people(3, 2), directions(6, width=32, seed=7), strict=True)
        ]
        sequences = store.replace_model(MODEL, renewed, model=OTHER)
        assert [one.sequence for one in store.since(0)] == sequences
        assert store.stats().models == {OTHER: 6}
        assert len(list(store.names())) == 3
        assert store.search(directions(1), 5, model=MODEL) == [[]]
        (answer,) = store.search(renewed[3].embedding[None], 5, model=OTHER)
        same(found(answer), expected(renewed, renewed[3].embedding, 5))

    def test_a_model_that_cannot_be_replaced_stays(self, store):
        store.add(people(4), model=MODEL)
        with pytest.raises(GalleryError):
            store.replace_model(MODEL, [enrolment("x", np.zeros(WIDTH, np.float32))], model=OTHER)
        assert store.stats().models == {MODEL: 4}

    def test_the_count_follows_every_change(self, store, again):
        def counted(expected):
            for one in (store, again()):
                assert one.count() == expected
                assert one.stats().models == expected

        counted({})
        enrolled = people(5, 2)
        store.add(enrolled, model=MODEL)
        store.add(enrolled[:3], model=OTHER)
        counted({MODEL: 10, OTHER: 3})
        store.add(enrolled, model=MODEL)  # nothing is stored twice
        store.remove("person 0000")
        store.rename("person 0001", "Ann")
        counted({MODEL: 8, OTHER: 1})
        store.remove("Ann", sequences=[store.of("Ann", model=OTHER)[0].sequence])
        counted({MODEL: 8})
        store.replace_model(MODEL, enrolled[4:7], model=OTHER)
        counted({OTHER: 3})

    def test_stats_tell_no_password(self, store):
        store.add(people(4, 2), model=MODEL)
        stats = store.stats()
        assert (stats.identities, stats.templates, stats.models) == (4, 8, {MODEL: 8})
        assert stats.url == store.url
        assert "secret" not in stats.url

    def test_a_whole_gallery_has_nothing_to_tell(self, store):
        store.add(people(4, 2), model=MODEL)
        store.remove("person 0000")
        store.compact()
        assert store.check() == []
        (answer,) = store.search(directions(1), 9, model=MODEL)
        same(found(answer), expected(people(4, 2)[2:], directions(1)[0], 9))

    def test_what_others_add_is_found_at_once(self, store, again):
        reader = again()
        enrolled = people(30)
        for start in range(0, 30, 10):
            store.add(enrolled[start : start + 10], model=MODEL)
            query = enrolled[start + 5].embedding
            (answer,) = reader.search(query[None], 3, model=MODEL)
            same(found(answer), expected(enrolled[: start + 10], query, 3))

    def test_many_queries_are_as_good_as_one(self, store):
        enrolled = people(50, 2)
        store.add(enrolled, model=MODEL)
        queries = directions(300, seed=3)
        together = store.search(queries, 3, model=MODEL)
        for index in (0, 17, 255, 256, 299):
            (alone,) = store.search(queries[index][None], 3, model=MODEL)
            same(found(together[index]), found(alone))
