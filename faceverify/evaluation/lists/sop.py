"""Stanford Online Products: Song et al., CVPR 2016, https://arxiv.org/abs/1511.06452.

``Ebay_train.txt`` and ``Ebay_test.txt`` begin with ``image_id class_id super_class_id path``.
"""

from __future__ import annotations

from pathlib import Path

from faceverify.evaluation.lists.identity_list import (
    Entry,
    IdentityList,
    identity_format,
    identity_list,
)
from faceverify.evaluation.lists.rows import read_lines, wrong_line

HEADER = ["image_id", "class_id", "super_class_id", "path"]


def sop(path: Path) -> IdentityList:
    """The list of a file.

    Raises:
        PairListError: ``file:line: found ..., expected ...``.
    """
    entries = []
    for line, text in read_lines(path):
        fields = text.split(None, 3)
        if line == 1 and fields == HEADER:
            continue
        if len(fields) != 4 or not all(field.isdigit() for field in fields[:3]):
            raise wrong_line(path, line, repr(text), " ".join(HEADER), "correct the line")
        entries.append(Entry(fields[3], fields[1]))
    return identity_list(path, "sop", path.parent, entries)


FORMAT = identity_format(
    "sop", "Stanford Online Products list", lambda file: file.head[0] == HEADER, sop
)
