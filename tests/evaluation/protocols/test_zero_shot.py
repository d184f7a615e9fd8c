"""Zero-shot classification: the nearest label, what else is an error, and how sure that is."""

import numpy as np
import pytest

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists.prompts import Prompts
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.wilson import wilson
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.comparison import difference_section
from faceverify.evaluation.protocols.label_embeddings import LabelEmbeddings, check_covered
from faceverify.evaluation.protocols.protocol import EmbeddedPhotos, Settings
from faceverify.evaluation.protocols.zero_shot import evaluate

LABELS = LabelEmbeddings(("circle", "square", "star"), unit_rows(np.eye(3)))
NOWHERE = np.zeros(0, np.int64)


def measured(rows, own, people=(), *, enrolled=None, **settings):
    files = [f"{index}.png" for index in range(len(rows))]
    benchmark = Benchmark(
        "it", "zero-shot", files, files, None, NOWHERE, NOWHERE, list(people), labels=list(own)
    )
    enrolled = np.ones(len(rows), bool) if enrolled is None else np.array(enrolled)
    photos = EmbeddedPhotos(np.asarray(rows, np.float32), enrolled, "m", "id")
    return evaluate(benchmark, photos, Settings(**{"labels": LABELS, **settings}))


def test_the_accuracy_written_out():
    random = np.random.default_rng(0)
    rows = unit_rows(random.normal(size=(200, 3)))
    own = random.integers(0, 3, 200)
    found = measured(rows, [LABELS.labels[one] for one in own]).evaluation
    right = [
        max(range(3), key=lambda label: float(row @ LABELS.rows[label])) == one
        for row, one in zip(rows, own, strict=True)
    ]
    accuracy = found.estimate("accuracy")
    assert accuracy.value == sum(right) / 200
    assert accuracy.interval == wilson(sum(right), 200)
    each = [np.mean([hit for hit, one in zip(right, own, strict=True) if one == label])
            for label in range(3)]  # fmt: skip
    assert found.estimate("balanced_accuracy").value == pytest.approx(np.mean(each))
    assert [found.estimate(label).value for label in LABELS.labels] == pytest.approx(each)
    assert found.estimate("most_common").value == max(np.bincount(own)) / 200


def test_a_photo_without_a_face_and_one_between_two_labels_are_errors():
    rows = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]]) / [[1], [2**0.5], [1], [1]]
    found = measured(
        rows, ["circle", "circle", "square", "circle"], enrolled=[True, True, False, True]
    ).evaluation
    assert found.estimate("accuracy").value == 0.25
    assert found.estimate("failed").value == 1
    circle, square = found.estimate("circle"), found.estimate("square")
    assert circle.extra["taken_for"] == {"circle": 1, "star": 1, "two labels as near": 1}
    assert circle.detail == "1 of 3; else star 1, two labels as near 1"
    assert square.extra["taken_for"] == {"no face": 1}
    assert found.notes == ("1 labels have sentences and no photo",)


def test_no_photo_with_a_face():
    found = measured(np.zeros((2, 3)), ["circle", "star"], enrolled=[False, False]).evaluation
    assert found.estimate("accuracy").value == 0


def test_the_interval_is_over_people_where_they_are_known():
    """Ten people, whose photos are all right or all wrong: ten facts, not four hundred."""
    rows = np.repeat(np.eye(3)[[0, 0, 0, 0, 0, 0, 1, 1, 1, 1]], 40, axis=0)
    labels, people = ["circle"] * 400, np.repeat([f"p{one}" for one in range(10)], 40)
    alone = measured(rows, labels).evaluation.estimate("accuracy")
    known = measured(rows, labels, people).evaluation.estimate("accuracy")
    assert (alone.method, known.method) == ("wilson", "identities")
    assert known.value == alone.value == 0.6
    widths = [one.interval.high - one.interval.low for one in (alone, known)]
    assert widths[1] > 4 * widths[0]
    wanted = np.quantile(np.random.default_rng(1).binomial(10, 0.6, 100_000) / 10, [0.025, 0.975])
    assert [known.interval.low, known.interval.high] == pytest.approx(list(wanted), abs=0.11)
    none = measured(rows, labels, people, replicates=0).evaluation.estimate("accuracy")
    assert none.method == "wilson"


def test_the_order_of_photos_and_labels_changes_nothing():
    random = np.random.default_rng(3)
    rows, own = unit_rows(random.normal(size=(60, 3))), random.choice(LABELS.labels, 60)
    order = random.permutation(60)
    other = LabelEmbeddings(LABELS.labels[::-1], LABELS.rows[::-1])
    people = random.choice(["ann", "bob", "eve", "joe"], 60)
    first = measured(rows, own, people).evaluation
    again = measured(rows[order], own[order], people[order], labels=other).evaluation
    assert first.as_dict() == again.as_dict()


def test_two_models_are_compared_photo_by_photo():
    rows = np.eye(3)[np.arange(90) % 3]
    labels = [LABELS.labels[index % 3] for index in range(90)]
    worse = rows.copy()
    worse[:30] = rows[1:31]
    one, other = (measured(each, labels) for each in (rows, worse))
    section = difference_section(one, other)
    assert [each.key for each in section.estimates] == ["accuracy", "balanced_accuracy"]
    for found in section.estimates:
        assert found.value == pytest.approx(-1 / 3)
        assert found.interval.high < 0


def test_no_sentences_or_too_few_are_one_line():
    with pytest.raises(UsageError, match="give --prompts"):
        measured(np.eye(3), LABELS.labels, labels=None)
    with pytest.raises(PairListError, match=r"no sentence for 'b', 'c', which 3 of 4 photos have"):
        check_covered(Prompts("p.txt", {"a": ("x",), "z": ("y",)}), ["a", "b", "b", "c"])
