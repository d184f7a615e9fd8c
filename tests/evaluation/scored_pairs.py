"""Made-up scores for tests: with ties, both kinds, and failed comparisons."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def scored(draw, *, both=True, failures=False, most=60):
    """(distances, same): few distinct distances, so that ties are the rule."""
    size = draw(st.integers(2 if both else 1, most))
    steps = draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    same = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    distances, same = np.array(steps) / 10, np.array(same)
    if both:
        same[0], same[1] = True, False
    if failures:
        distances[draw(st.lists(st.booleans(), min_size=size, max_size=size))] = np.inf
    return distances, same


def lfw_like(seed=0, *, pairs=6000, people=4000, spread=0.15):
    """(distances, same, fold, first, second) in the order of LFW View 2."""
    draws = np.random.default_rng(seed)
    same = np.tile(np.repeat([True, False], pairs // 20), 10)
    distances = np.clip(np.where(same, 0.5, 1.0) + spread * draws.standard_normal(pairs), 0, 2)
    first = draws.integers(people, size=pairs)
    second = np.where(same, first, (first + draws.integers(1, people, size=pairs)) % people)
    return (
        distances,
        same,
        np.repeat(np.arange(10), pairs // 10),
        first.astype(str),
        second.astype(str),
    )
