"""Estimates and their text."""

from faceverify.evaluation.metrics.wilson import Interval
from faceverify.evaluation.results import format_value, rate_estimate


def test_numbers_are_written_for_people():
    assert format_value(0.9987654, "rate") == "99.877 %"
    assert format_value(2e-5, "rate") == "0.002 %"
    assert format_value(3.2e-8, "rate") == "3.20e-06 %"
    assert format_value(0.0, "rate") == "0.000 %"
    assert format_value(29_640_749, "count") == "29,640,749"
    assert format_value(float("nan"), "number") == "n/a"


def test_few_errors_have_wilsons_bounds():
    few = rate_estimate("k", "n", 2, 3000, over_identities=Interval(0.0, 0.002))
    many = rate_estimate("k", "n", 200, 3000, over_identities=Interval(0.05, 0.08))
    assert (few.method, many.method) == ("wilson", "identities")
    assert few.interval.low > 0
    assert rate_estimate("k", "n", 0, 0).value is None
