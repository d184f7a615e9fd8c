"""Evaluation of face verification models: benchmarks, error rates, intervals, calibration.

The sign convention: a comparison score is a **cosine distance**, 0 for the same direction, 2 for
the opposite. A comparison **matches when distance <= threshold**. A comparison that could not be
made (no face found: a failure to enroll) has the distance ``inf``: it never matches, and stays in
every denominator. NaN is refused.

Terms of ISO/IEC 19795-1, with the common names in brackets:

* genuine / impostor comparison: same / different people;
* false match rate, FMR (FAR): impostor comparisons that match, of all impostor comparisons;
* false non-match rate, FNMR: genuine comparisons that do not match; TMR (TAR, VAL) = 1 - FNMR.
"""
