"""Cars196 annotations as MATLAB files: Krause et al., 3DRR 2013.

``cars_annos.mat`` (``relative_im_path``, ``class``, ``test``), or the development kit's
``cars_train_annos.mat`` and ``cars_test_annos_withlabels.mat`` (``fname``, ``class``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faceverify.errors import PairListError
from faceverify.evaluation.lists.identity_list import (
    Entry,
    IdentityList,
    identity_format,
    identity_list,
)

ANNOTATIONS, CLASS, TEST = "annotations", "class", "test"
PATHS = ("relative_im_path", "fname")


def cars(path: Path) -> IdentityList:
    """The list of a MATLAB file.

    Raises:
        PairListError: it is no such file, or has other fields.
    """
    from scipy.io import loadmat  # comes with scikit-learn

    try:
        with path.open("rb") as stream:
            rows = loadmat(stream, squeeze_me=True, variable_names=[ANNOTATIONS])[ANNOTATIONS]
            fields: tuple[str, ...] = rows.dtype.names or ()
    except OSError as error:
        raise PairListError(
            f"{path}: cannot be read ({error.strerror or error})", cure="check the path"
        ) from error
    except Exception as error:  # of a reader of a foreign format: what it raises is not told
        raise PairListError(
            f"{path}: found no {ANNOTATIONS!r} that can be read, expected Cars196 annotations",
            cure="save it as MATLAB 5, or as a CSV with the columns image, class and test",
        ) from error
    column = next((name for name in PATHS if name in fields), None)
    if column is None or CLASS not in fields:
        raise PairListError(
            f"{path}: found fields {', '.join(fields) or 'none'}, expected {CLASS} and one of "
            f"{', '.join(PATHS)}",
            cure="of the test photos, take the file with labels",
        )

    def entry(row: Any) -> Entry:
        training = not int(row[TEST]) if TEST in fields else None
        return Entry(str(row[column]), str(int(row[CLASS])), training)

    return identity_list(path, "cars", path.parent, map(entry, rows.reshape(-1)))


FORMAT = identity_format(
    "cars", "Cars196 annotations (MATLAB)", lambda file: file.suffix == ".mat", cars
)
