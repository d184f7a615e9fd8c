"""How good is a face verification model: pair lists, error rates, intervals, protocols.

Everything here is numbers and lists; photos and models are brought by the caller.

The sign convention, once for all: a score is a **cosine distance**, 0 for the same direction, 2 for
the opposite. A comparison **matches when distance <= threshold**. A comparison that could not be
made (no face found: a failure to enroll) has the distance ``inf``: it never matches, and stays in
every denominator. NaN is refused.

Words of ISO/IEC 19795-1, with the common ones:

* genuine / impostor comparison: same / different people;
* false match rate, FMR (FAR): impostor comparisons that match, of all impostor comparisons;
* false non-match rate, FNMR: genuine comparisons that do not match; TMR (TAR, VAL) = 1 - FNMR.
"""
