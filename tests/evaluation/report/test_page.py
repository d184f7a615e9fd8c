"""The HTML page: escaped and self-contained."""

import re

import numpy as np
from evaluated_pairs import evaluated_pairs

from faceverify.evaluation.report.page import ShownModel, ShownPair, page
from faceverify.evaluation.results import Estimate, Evaluation, Section


def test_names_are_escaped_and_nothing_is_asked_for():
    evil = '<script>alert(1)</script>" onload="x'
    found, *_ = evaluated_pairs()
    section = Section("s", evil, (Estimate("k", evil, 0.5, detail=evil),))
    evaluation = Evaluation(evil, "10fold", evil, "id", (section,), (evil,), found.counts)
    pair = ShownPair((evil, evil), ("data:image/jpeg;base64,AA", None), np.inf, error=True)
    text = page([ShownModel(evaluation, [], [pair], [])], [], [])
    assert "<script" not in text
    assert 'onload="x' not in text
    assert "no face found" in text
    assert "default-src 'none'" in text
    assert set(re.findall(r'(?:src|href)="([^"]{0,11})', text)) == {"data:image/", "data:,"}
