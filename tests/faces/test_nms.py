"""Non-maximum suppression, against brute force."""

import numpy as np
import pytest

from faceverify.faces.nms import suppress


def brute_suppress(boxes, scores, overlap, of_smaller):
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        a = boxes[index]
        for other in kept:
            b = boxes[other]
            width = min(a[2], b[2]) - max(a[0], b[0])
            height = min(a[3], b[3]) - max(a[1], b[1])
            shared = max(width, 0) * max(height, 0)
            areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
            if shared > overlap * (min(areas) if of_smaller else sum(areas) - shared):
                break
        else:
            kept.append(int(index))
    return kept


@pytest.mark.parametrize("of_smaller", [False, True])
@pytest.mark.parametrize("count", [0, 1, 20, 150])  # 150: more than a block
def test_suppress_is_the_greedy_rule(count: int, of_smaller: bool):
    random = np.random.default_rng(count)
    corner = random.integers(0, 60, (count, 2))
    boxes = np.hstack([corner, corner + random.integers(5, 40, (count, 2))]).astype(np.float32)
    scores = random.permutation(count).astype(np.float32)
    kept = suppress(boxes, scores, 0.5, of_smaller=of_smaller).tolist()
    assert kept == brute_suppress(boxes.astype(float), scores, 0.5, of_smaller)
