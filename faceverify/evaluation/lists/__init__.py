"""Formats of evaluation lists: pairs of photos, templates, identities.

To add a format: a file with a ``ListFormat``, a line here, and a test.
"""

from __future__ import annotations

from faceverify.evaluation.lists import (
    calfw,
    cars,
    cfp,
    cub,
    identity_table,
    ijb,
    insightface_bin,
    lfw,
    sop,
    tables,
)
from faceverify.evaluation.lists.list_format import ListFormat

FORMATS: dict[str, ListFormat] = {
    # detected by name
    "cfp": cfp.FORMAT,
    "pack": insightface_bin.FORMAT,
    "cub": cub.FORMAT,
    "cars": cars.FORMAT,
    "identities": identity_table.FORMAT,  # a CSV or TSV whose header names no pair
    "csv": tables.CSV,
    "tsv": tables.TSV,
    "jsonl": tables.JSON_LINES,
    # detected by content: the first that matches
    "sop": sop.FORMAT,
    "lfw-view2": lfw.VIEW_2,
    "lfw-view1": lfw.VIEW_1,
    "people": lfw.PEOPLE,
    "calfw": calfw.CALFW,
    "cplfw": calfw.CPLFW,
    "ijb": ijb.PAIRS,
    "ijb-media": ijb.MEDIA,
    "ijb-points": ijb.POINTS,
    "lfw-lines": lfw.LINES,
    "labelled": tables.LABELLED,
}
