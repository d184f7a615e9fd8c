"""Samplers: what each batch holds, and that it is a function of seed and epoch alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceverify.errors import TrainingError
from faceverify.training.data.samplers import build_sampler, rank_part

SEEDS = st.integers(0, 2**31 - 1)


def label_lists(least, most):
    """Labels that neither start at 0 nor lie side by side: sizes of identities, shuffled."""
    sizes = st.lists(st.integers(least, most), min_size=2, max_size=12)

    def labels(sizes, seed):
        listed = np.repeat(np.arange(len(sizes)) * 7 + 3, sizes)
        return np.random.default_rng(seed).permutation(listed)

    return st.builds(labels, sizes, SEEDS)


def build(name, labels, *, seed=5, size=4, images=2, processes=1):
    return build_sampler(
        name, labels, seed=seed, size=size, images_per_identity=images, processes=processes
    )


@settings(deadline=None)
@given(label_lists(1, 9), SEEDS, st.integers(1, 40), st.integers(0, 5))
def test_shuffled_shows_every_image_once_and_few_twice(labels, seed, size, epoch):
    sampler = build("shuffled", labels, seed=seed, size=size)
    batches = list(sampler.batches(epoch))
    assert len(batches) == len(sampler) == -(-len(labels) // size)
    assert {len(batch) for batch in batches} == {size}
    shown = np.concatenate(batches)
    assert sorted(shown[: len(labels)]) == list(range(len(labels)))
    filling = len(shown) - len(labels)
    assert 0 <= filling < size
    assert np.array_equal(shown[len(labels) :], np.resize(shown[: len(labels)], filling))


@settings(deadline=None)
@given(label_lists(1, 9), SEEDS, st.integers(1, 20))
def test_balanced_shows_identities_equally_often_and_their_images_in_turn(labels, seed, size):
    sampler = build("balanced", labels, seed=seed, size=size)
    shown = np.concatenate(list(sampler.batches(0)))
    assert len(shown) == len(sampler) * size
    identities = np.unique(labels)
    times = np.array([(labels[shown] == one).sum() for one in identities])
    assert times.max() - times.min() <= 1
    images = np.bincount(shown, minlength=len(labels))
    for one in identities:
        own = images[labels == one]
        assert own.max() - own.min() <= 1


@settings(deadline=None)
@given(label_lists(1, 9), SEEDS, st.integers(2, 6), st.integers(2, 5), st.integers(0, 3))
def test_identities_are_p_times_k(labels, seed, each, images, epoch):
    found, sizes = np.unique(labels, return_counts=True)
    drawable = found[sizes >= 2]
    if len(drawable) < each:
        with pytest.raises(TrainingError):
            build("identities", labels, seed=seed, size=each * images, images=images)
        return
    sampler = build("identities", labels, seed=seed, size=each * images, images=images)
    times = dict.fromkeys(drawable.tolist(), 0)
    batches = list(sampler.batches(epoch))
    assert len(batches) == len(sampler)
    for batch in batches:
        groups = labels[batch].reshape(each, images)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == each
        for group in batch.reshape(each, images):
            assert len(set(group)) == min(images, (labels == labels[group[0]]).sum())
            times[int(labels[group[0]])] += 1
    # the last batch of each sweep draws fewer than P identities once more
    sweeps = len(sampler) // -(-len(drawable) // each)
    assert set(times.values()) <= set(range(sweeps, 2 * sweeps + 1))


def test_an_epoch_of_identities_is_about_as_long_as_the_data():
    labels = np.repeat(np.arange(50), 40)
    assert len(build("identities", labels, size=20, images=4)) == 100
    shown = np.concatenate(list(build("identities", labels, size=20, images=4).batches(0)))
    assert np.array_equal(np.sort(shown), np.arange(2000))  # and here shows every image once


@settings(deadline=None)
@given(label_lists(1, 12), SEEDS, st.integers(2, 4), st.integers(0, 3))
def test_facenet_batches_are_identities_and_others(labels, seed, images, epoch):
    size = 4 * images  # room for two identities, as many others
    try:
        sampler = build("facenet", labels, seed=seed, size=size, images=images)
    except TrainingError:
        return
    batches = list(sampler.batches(epoch))
    assert len(batches) == len(sampler)
    seen = set()
    for batch in batches:
        assert len(batch) == len(set(batch)) == size
        drawn = list(dict.fromkeys(labels[batch]))[:2]
        for one in drawn:
            assert (labels[batch] == one).sum() == min(images, (labels == one).sum()) >= 2
        head = labels[batch][: sum((labels[batch] == one).sum() for one in drawn)]
        assert set(head) == set(drawn)
        seen |= set(drawn)
    found, sizes = np.unique(labels, return_counts=True)
    assert seen == set(found[sizes >= 2])


def test_facenet_as_in_the_paper():
    labels = np.random.default_rng(0).integers(0, 300, 20_000)
    (batch,) = itertools.islice(build("facenet", labels, size=1800, images=40).batches(0), 1)
    found, sizes = np.unique(labels[batch], return_counts=True)
    assert (sizes == 40).sum() == 22
    assert len(batch) == 1800
    assert len(found) > 250  # the others are of everyone


def test_others_are_drawn_evenly():
    labels = np.repeat(np.arange(20), 10)
    sampler = build("facenet", labels, size=40, images=10)
    times = np.zeros(200)
    for epoch in range(400):
        for batch in sampler.batches(epoch):
            np.add.at(times, batch[20:], 1)
    assert times.sum() == 400 * len(sampler) * 20
    assert times.std() < 2 * np.sqrt(times.mean())


NAMES = ["shuffled", "balanced", "identities", "facenet"]


@settings(deadline=None)
@given(st.sampled_from(NAMES), label_lists(3, 6), SEEDS, st.integers(0, 9), st.data())
def test_resuming_is_skipping(name, labels, seed, epoch, data):
    try:
        sampler = build(name, labels, seed=seed)
    except TrainingError:
        return
    whole = list(sampler.batches(epoch))
    start = data.draw(st.integers(0, len(whole)))
    again = list(build(name, labels, seed=seed).batches(epoch, start=start))
    assert len(again) == len(whole) - start
    assert all(map(np.array_equal, whole[start:], again))
    assert all(batch.dtype == np.int64 for batch in whole)


@pytest.mark.parametrize("name", NAMES)
def test_epochs_and_seeds_differ(name):
    labels = np.repeat(np.arange(30), 8)

    def first(seed, epoch):
        return np.concatenate(list(build(name, labels, seed=seed).batches(epoch)))[:200].tolist()

    assert first(1, 0) != first(1, 1)
    assert first(1, 0) != first(2, 0)
    assert first(1, 1) != first(2, 0)


@pytest.mark.parametrize("name", NAMES)
def test_images_meet_others_in_every_epoch(name):
    labels = np.repeat(np.arange(6), 8)
    sampler = build(name, labels, size=12, images=3)
    groups = set()
    for epoch in range(20):
        for batch in sampler.batches(epoch):
            groups.update(frozenset(batch[labels[batch] == one]) for one in range(6))
    assert len(groups) > 50


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 8))
def test_parts_of_ranks_are_the_batch(world, share):
    batch = np.random.default_rng(0).permutation(100)[: world * share]
    parts = [rank_part(batch, rank, world) for rank in range(world)]
    assert {len(part) for part in parts} == {share}
    assert np.array_equal(np.concatenate(parts), batch)


def test_ranks_keep_identities_whole():
    labels = np.repeat(np.arange(30), 8)
    (batch,) = itertools.islice(build("identities", labels, size=32, images=4).batches(0), 1)
    for rank in range(4):
        assert np.unique(labels[rank_part(batch, rank, 4)], return_counts=True)[1].tolist() == [
            4,
            4,
        ]


IMPOSSIBLE = [
    ("identities", [0, 1, 2, 3], {}, "none of the 4 identities has two images"),
    ("facenet", [0, 1, 2, 3], {}, "none of the 4 identities has two images"),
    ("identities", [0, 0, 1, 1, 2], {"size": 6}, "3 identities with two images.* the data have 2"),
    ("identities", [0, 0, 0, 0], {}, "2 identities with two images.* the data have 1"),
    ("identities", [0, 0, 1, 1], {"size": 2}, "shows no two identities"),
    ("facenet", [0, 0, 0, 1, 1], {"size": 8}, "cannot be filled"),
    ("facenet", [0] * 9 + [1], {"size": 4}, "cannot be filled"),
    ("shuffled", [], {}, "no images"),
    ("identities", [], {}, "no images"),
    ("shuffled", [0, 0, 1, 1], {"processes": 3}, "4 images cannot be shared evenly by 3"),
    ("sorted", [0, 0, 1, 1], {}, "not one of shuffled"),
]


@pytest.mark.parametrize(("name", "labels", "options", "words"), IMPOSSIBLE)
def test_batches_that_cannot_be_are_one_clear_line(name, labels, options, words):
    with pytest.raises(TrainingError, match=words):
        build(name, np.array(labels, np.int64), **options)


def test_parts_that_cannot_be_even_are_refused():
    with pytest.raises(TrainingError, match="multiple of 3"):
        rank_part(np.arange(4), 0, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_million_images(name):
    import time
    import tracemalloc

    labels = np.random.default_rng(0).integers(0, 100_000, 10_000_000)
    tracemalloc.start()
    sampler = build(name, labels, size=1800, images=40)
    began = time.perf_counter()
    next(sampler.batches(0, start=len(sampler) - 1))
    assert time.perf_counter() - began < 30
    assert tracemalloc.get_traced_memory()[1] < 1.2e9
    tracemalloc.stop()
