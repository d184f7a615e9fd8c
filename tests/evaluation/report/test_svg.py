"""Axes and charts."""

from faceverify.evaluation.report.svg import Axis, Chart, round_steps


def test_axes_place_values():
    log = Axis("", 1e-4, 1, log=True)
    assert [log.place(value) for value in (1e-9, 1e-4, 1e-2, 1, 5)] == [0, 0, 0.5, 1, 1]
    assert [text for _, text in log.marks()] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert round_steps(0.0, 0.12) == [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12]
    chart = Chart("", Axis("", 0, 1), Axis("", 0, 1))
    assert chart.at(0, 0)[1] > chart.at(0, 1)[1]  # y grows upwards
