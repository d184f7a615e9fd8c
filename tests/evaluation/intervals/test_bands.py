"""Confidence bands of the ROC."""

from evaluated_pairs import evaluated_pairs

from faceverify.evaluation.intervals.bands import BAND_TARGETS, band_of_replicates
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS, rates_at_fmr


def test_the_band_holds_the_curve():
    found, resampled, _ = evaluated_pairs()
    band = band_of_replicates(resampled)
    assert len(band) > 5
    for target, low, high in band:
        assert low <= rates_at_fmr(found.counts, target).tmr <= high
    assert set(FMR_TARGETS) <= set(BAND_TARGETS)
