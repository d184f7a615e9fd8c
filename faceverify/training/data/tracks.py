"""Frames of tracks: photos of one folder show one person, whoever it is.

Another frame as the second view: Sermanet et al. 2018, Time-contrastive networks,
https://arxiv.org/abs/1704.06888; Gordon et al. 2020, https://arxiv.org/abs/2003.07990.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.training.config.fields import config_error
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet

IN_FOLDERS = ("photos", "folders")  # kinds of sets whose labels are folders


class Tracks:
    """The frames of each track.

    Args:
        labels: the track of each photo, (N,).
        alone: whether a photo lies in no track, (N,).
    """

    def __init__(self, labels: NDArray[np.int64], alone: NDArray[np.bool_]) -> None:
        self._order = np.argsort(labels, kind="stable")
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(labels))
        counts = np.bincount(labels)
        self._first = (np.cumsum(counts) - counts)[labels]
        self._frames = np.where(alone, 1, counts[labels])
        self.alone = int(np.count_nonzero(self._frames == 1))

    def others(self, photos: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Another frame of each photo's track, any with equal chance; of a lone one itself, (n,).

        Args:
            photos: positions in the set, (n,).
            draws: random numbers in [0, 1), (n,).
        """
        frames, own = self._frames[photos], self._place[photos] - self._first[photos]
        step = 1 + np.floor(draws * (frames - 1)).astype(np.int64)  # in 1 to frames - 1
        found = self._order[self._first[photos] + (own + step) % np.maximum(frames, 1)]
        result: NDArray[np.int64] = np.where(frames > 1, found, photos)
        return result


def tracks_of(photos: FaceSet) -> Tracks:
    """Tracks of a set: its folders; a photo beside the folders is none.

    Raises:
        TrainingError: a set without folders, or without two frames of one track.
    """
    cure = "name a folder with a folder a track, or leave --positives out"
    if photos.kind not in IN_FOLDERS:
        raise config_error(
            f"--positives tracks: {photos.source} has no folders that could be tracks "
            f"({photos.kind})",
            cure,
        )
    beside = np.array([name == "" for name in photos.identities], bool)
    tracks = Tracks(photos.labels, beside[photos.labels])
    if tracks.alone == len(photos):
        raise data_error(
            f"--positives tracks: {photos.source}: no folder in it has two photos", cure
        )
    if photos.num_identities == 1:
        raise data_error(
            f"--positives tracks: {photos.source}: all {len(photos):,} photos lie in one folder, "
            "and so are of one track",
            cure,
        )
    return tracks
