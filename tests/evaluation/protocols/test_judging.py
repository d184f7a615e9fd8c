"""Protocols that judge embeddings of people: knn, linear, few-shot; what they refuse."""

import numpy as np
import pytest
from measured_embeddings import measured

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.options import USED_BY, ProtocolOptions
from faceverify.evaluation.protocols import PROTOCOLS, few_shot, knn, linear
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.photo_split import shuffled_photos, split_photos


def cloud(people=6, photos=10, size=16, noise=0.8, seed=0):
    draws = np.random.default_rng(seed)
    names = [f"p{i % people}" for i in range(people * photos)]
    rows = draws.standard_normal((people, size))[np.arange(people * photos) % people]
    return unit_rows(rows + noise * draws.standard_normal(rows.shape)), names


def judged(protocol, rows, names, *, enrolled=None, **options):
    chosen = ProtocolOptions(**options)
    return measured(
        protocol.evaluate, rows, names, enrolled=enrolled, replicates=50, options=chosen
    ).evaluation


def benchmark_of(names, files=None, source="folder", training=None):
    files, nowhere = files or [f"{i}.jpg" for i in range(len(names))], np.zeros(0, np.int64)
    return Benchmark(
        source, "knn", files, files, None, nowhere, nowhere, list(names), training=training
    )


JUDGES = {
    "knn": (knn, {}, "knn"),
    "linear": (linear, {}, "linear"),
    "few-shot": (few_shot, {"queries": 4, "episodes": 40}, "5_way_1_shot"),
}


@pytest.mark.parametrize("name", JUDGES)
def test_each_tells_people_apart_and_noise_not(name):
    protocol, options, key = JUDGES[name]
    good = judged(protocol, *cloud(noise=0.5), **options).estimate(key)
    assert good.value > 0.95
    assert good.interval.low <= good.value <= good.interval.high
    rows, names = cloud(noise=0.5)
    blind = judged(protocol, np.random.default_rng(3).permutation(rows), names, **options)
    assert blind.estimate(key).value < 0.5


@pytest.mark.parametrize("name", JUDGES)
def test_photos_without_a_face_are_wrong_answers(name):
    """Nobody's photo but those of p0 fails: what is asked of p0 is wrong, the others are right."""
    protocol, options, key = JUDGES[name]
    rows, names = cloud(noise=0.05)
    enrolled = np.array([one != "p0" for one in names])
    found = judged(protocol, rows, names, enrolled=enrolled, **options).estimate(key)
    if name == "few-shot":  # how often p0 is asked is drawn
        assert 0.75 < found.value < 0.92
    else:
        assert found.value == pytest.approx(5 / 6)


@pytest.mark.parametrize("name", JUDGES)
def test_the_order_of_the_photos_does_not_matter(name):
    protocol, options, key = JUDGES[name]
    rows, names = cloud(noise=1.2)
    order = np.random.default_rng(1).permutation(len(names))
    files = [f"{i}.jpg" for i in range(len(names))]
    found = []
    for one in (np.arange(len(names)), order):
        mixed = benchmark_of([names[i] for i in one], [files[i] for i in one])
        from faceverify.evaluation.protocols.protocol import EmbeddedPhotos, Settings

        embedded = EmbeddedPhotos(rows[one], np.ones(len(one), bool), "m", "id")
        settings = Settings(replicates=20, options=ProtocolOptions(**options))
        found.append(protocol.evaluate(mixed, embedded, settings).evaluation.estimate(key))
    assert found[0] == found[1]
    assert 0.3 < found[0].value < 1


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.parametrize("names", [["a"] * 6, ["a"]])
def test_one_person_is_refused(name, names):
    protocol, options, _ = JUDGES[name]
    with pytest.raises(UsageError, match="found 1 person, and --protocol"):
        judged(protocol, np.eye(len(names), 8, dtype=np.float32), names, **options)


@pytest.mark.parametrize("name", ["knn", "linear"])
def test_a_photo_a_person_is_refused(name):
    with pytest.raises(UsageError, match="found no person with"):
        judged(JUDGES[name][0], np.eye(6, dtype=np.float32), list("abcdef"))


def test_more_neighbours_than_photos():
    rows, names = cloud(people=2, photos=3)
    with pytest.raises(UsageError, match=r"--k 6: found 5 other photos with a face"):
        judged(knn, rows, names, k=6)
    assert judged(knn, rows, names, k=5).estimate("gallery").value == 5
    assert "accuracy of 5 nearest" in judged(knn, rows, names).estimate("knn").name
    with pytest.raises(UsageError, match="found no other photo with a face"):
        judged(knn, rows, names, enrolled=np.arange(6) == 0)


def test_too_few_people_or_photos_for_an_episode():
    rows, names = cloud(people=6, photos=10)
    with pytest.raises(UsageError, match=r"found 0 of 6 people with 16 photos \(1 shots and 15"):
        judged(few_shot, rows, names)
    with pytest.raises(UsageError, match=r"found 6 of 6 people with 3 photos .* expected 7"):
        judged(few_shot, rows, names, ways=7, shots=(1,), queries=2)


def test_nobody_to_learn_from():
    rows, names = cloud(people=2, photos=4)
    enrolled = np.array([name == "p0" for name in names])
    with pytest.raises(UsageError, match="fewer than two people to learn from"):
        judged(linear, rows, names, enrolled=enrolled)


def test_a_gallery_split_asks_the_other_photos():
    rows, names = cloud(noise=0.5)
    found = judged(knn, rows, names, split=0.3, k=3)
    assert found.estimate("gallery").value == 18
    assert found.estimate("asked").value == 42
    assert found.estimate("knn").value > 0.9


# Splits


def test_a_split_leaves_some_on_both_sides():
    names = ["a"] * 10 + ["b"] * 2 + ["c"]
    for share in (0.01, 0.5, 0.99):
        split = split_photos(benchmark_of(names), share, 0, 0.5)
        of_a, of_b, of_c = split.learned[:10].sum(), split.learned[10:12].sum(), split.learned[12]
        assert (of_a, of_b, of_c) == ({0.01: 1, 0.5: 5, 0.99: 9}[share], 1, True)
        assert split.asked.tolist() == (~split.learned).tolist()


def test_a_split_follows_from_seed_and_names_not_from_the_place():
    names, files = ["a"] * 20, [f"a/{i}.jpg" for i in range(20)]
    here = benchmark_of(names, [f"x/y/{one}" for one in files], "x/y")
    there = benchmark_of(names, [f"/other/{one}" for one in files], "/other/")
    first, second = shuffled_photos(here, 0)[0], shuffled_photos(there, 0)[0]
    assert first.tolist() == second.tolist()
    assert first.tolist() != shuffled_photos(here, 1)[0].tolist()


def test_the_split_of_a_list_is_kept():
    training = [True, False, False, True, True]
    split = split_photos(benchmark_of("aabbc", training=training), None, 0, 0.5)
    assert split.learned.tolist() == training
    assert split.asked.tolist() == [False, True, True, False, False]
    only = split_photos(
        benchmark_of("aabbd", training=[True, False, False, False, False]), None, 0, 1
    )
    assert only.asked.tolist() == [False, True, False, False, False]  # nothing of b is known


# Options


@pytest.mark.parametrize(
    "wrong",
    [{"k": 0}, {"split": 0.0}, {"split": 1.0}, {"ways": 1}, {"shots": ()}, {"shots": (1, 0)},
     {"queries": 0}, {"episodes": 0}, {"seed": -1}],
)  # fmt: skip
def test_values_out_of_range(wrong):
    with pytest.raises(UsageError, match=f"--{next(iter(wrong))}"):
        ProtocolOptions(**wrong)


def test_an_option_of_another_protocol_is_refused():
    with pytest.raises(UsageError, match=r"--k is no option of all; it goes with --protocol knn"):
        ProtocolOptions(k=3).require_used_by("all")
    for protocol in PROTOCOLS:
        ProtocolOptions().require_used_by(protocol)
    assert {one for names in USED_BY.values() for one in names} <= set(PROTOCOLS)
