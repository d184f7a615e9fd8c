"""The files of a report."""

import numpy as np

from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.protocols.protocol import Measurement
from faceverify.evaluation.protocols.worst import worst_of_all
from faceverify.evaluation.report.writing import write_report
from faceverify.evaluation.results import Evaluation


def test_files_appear_whole_and_only_the_report(tmp_path):
    rows = unit_rows(np.random.default_rng(0).standard_normal((30, 4)))
    names = [str(index // 3) for index in range(30)]
    counts = all_against_all(rows, names)
    evaluation = Evaluation("folder", "all", "m", "id", (), (), counts, 0.5)
    worst = worst_of_all(rows, np.ones(30, bool), names)
    photos = [tmp_path / f"{index}.jpg" for index in range(30)]
    written_files = write_report(
        tmp_path / "a" / "b", [Measurement(evaluation, worst=worst)], photos, names
    )
    assert written_files[0].name == "report.html"
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == sorted(
        p.name for p in written_files
    )
    assert "no picture" in written_files[0].read_text()
