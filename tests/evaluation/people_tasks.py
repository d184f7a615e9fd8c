"""Tasks about photos of people, without the photos."""

import numpy as np

from faceverify.evaluation.protocols.protocol import EmbeddedPhotos, Settings
from faceverify.evaluation.protocols.task import Task


def measured(evaluate, rows, names, *, enrolled=None, point=None, **settings):
    """What a protocol of people says of embeddings, (N, D), whose people are named."""
    enrolled = np.ones(len(rows), bool) if enrolled is None else enrolled
    files, nowhere = [f"{index}.jpg" for index in range(len(rows))], np.zeros(0, np.int64)
    task = Task("folder", "all", files, files, None, nowhere, nowhere, list(names))
    return evaluate(task, EmbeddedPhotos(rows, enrolled, "m", "id", point), Settings(**settings))
