"""Every list of the field: which photos are compared, and who is on them.

A new format is a file with a ``ListFormat``, a line here, and a test.
"""

from __future__ import annotations

from faceverify.evaluation.lists import calfw, cfp, ijb, insightface_bin, lfw, tables
from faceverify.evaluation.lists.list_format import ListFormat

FORMATS: dict[str, ListFormat] = {
    # told by their names
    "cfp": cfp.FORMAT,
    "pack": insightface_bin.FORMAT,
    "csv": tables.CSV,
    "tsv": tables.TSV,
    "jsonl": tables.JSON_LINES,
    # told by their lines: the first that matches
    "lfw-view2": lfw.VIEW_2,
    "lfw-view1": lfw.VIEW_1,
    "people": lfw.PEOPLE,
    "calfw": calfw.CALFW,
    "cplfw": calfw.CPLFW,
    "ijb": ijb.PAIRS,
    "ijb-media": ijb.MEDIA,
    "ijb-points": ijb.POINTS,
    "lfw-lines": lfw.LINES,
}
