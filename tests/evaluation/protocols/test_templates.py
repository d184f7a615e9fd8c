"""Protocol ``templates``: what is said about a threshold of single photos."""

from pathlib import Path

import numpy as np
import pytest

from faceverify.evaluation.lists.ijb import TemplateMedia
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.protocols.protocol import EmbeddedPhotos, Settings
from faceverify.evaluation.protocols.template_benchmark import TemplateBenchmark
from faceverify.evaluation.protocols.templates import evaluate
from faceverify.matching.operating_point import OperatingPoint

PEOPLE = 60


def measured(photos_each: int, fmr: float | None):
    """60 people, photos that all share a direction; every template against every other's."""
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((PEOPLE, 16)) + 0.5
    rows = np.repeat(centres, photos_each, axis=0) + draws.standard_normal(
        (PEOPLE * photos_each, 16)
    )
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    template = np.repeat(np.arange(PEOPLE), photos_each)
    single = all_against_all(rows, [str(one) for one in template])
    threshold = single.distances[np.searchsorted(np.cumsum(single.impostor), 44)]  # of 44,250
    first, second = np.triu_indices(PEOPLE, k=1)
    pairs = PairList(
        "list", "ijb", list(map(str, first)), list(map(str, second)), np.zeros(len(first), bool)
    )
    media = TemplateMedia([f"{n}.jpg" for n in range(len(rows))], template, np.arange(len(rows)))
    benchmark = TemplateBenchmark(
        "list", [Path(name) for name in media.image], media, pairs, None, [], None
    )
    point = OperatingPoint(
        float(threshold), "model", "id", fmr=fmr, dataset="View 1" if fmr else ""
    )
    embedded = EmbeddedPhotos(rows, np.ones(len(rows), bool), "model", "id", point, ("a note",))
    return evaluate(benchmark, embedded, Settings()).evaluation


@pytest.mark.thorough
def test_pooled_templates_are_no_single_photos():
    found = measured(5, 1e-3)
    assert found.estimate("fmr").interval.low > 1e-3  # what it is for single photos
    assert found.estimate("threshold").detail == "calibrated for FMR 0.001 of single photos"
    assert found.notes[:2] == ("a note", "the threshold was calibrated on View 1")
    assert found.notes[2].startswith("60 of 60 templates pool several photos (at most 5)")
    assert "the FMR of 0.001 is no promise about them" in found.notes[2]


@pytest.mark.parametrize(("photos_each", "fmr"), [(1, 1e-3), (5, None)])
def test_single_photos_and_thresholds_by_hand_need_no_word(photos_each, fmr):
    found = measured(photos_each, fmr)
    assert not any("pool several" in note for note in found.notes)
    assert "single photos" not in found.estimate("threshold").detail
