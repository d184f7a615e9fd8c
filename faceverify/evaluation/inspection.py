"""Say what a file of an evaluation is and holds (``faceverify data inspect``)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from faceverify.evaluation.pair_rows import integer, read_lines, wrong_line
from faceverify.evaluation.pairs import PairList, read_pairs
from faceverify.evaluation.sniffing import sniff
from faceverify.evaluation.template_lists import read_points, read_template_media

if TYPE_CHECKING:
    from pathlib import Path

TITLES = {
    "lfw-view2": "LFW View 2: pairs in official folds",
    "lfw-view1": "LFW View 1: pairs for development",
    "lfw-lines": "LFW lines without a header (RFW, MFR2)",
    "calfw": "CALFW: two lines a pair, label is the fold",
    "cplfw": "CPLFW: two lines a pair, label 0 or 1",
    "cfp": "CFP protocol folder",
    "csv": "CSV pair list",
    "tsv": "TSV pair list",
    "jsonl": "JSON-lines pair list",
    "ijb": "IJB template pairs",
    "pack": "InsightFace verification pack",
    "people": "LFW people list (no pairs)",
    "ijb-media": "IJB list of photo, template, media (no pairs)",
    "ijb-points": "IJB list of photo, five points, detector score (no pairs)",
}


@dataclass(frozen=True)
class Inspection:
    """What a file is and holds.

    Args:
        source, kind, title: the file, its kind as ``--kind`` takes it, and in words.
        facts: counts by name, in the order to print.
        notes: what a user should know before trusting figures from it, one line each.
    """

    source: str
    kind: str
    title: str
    facts: dict[str, int]
    notes: list[str] = field(default_factory=list)


def inspect(path: Path, *, kind: str | None = None) -> Inspection:
    """Read a file of an evaluation and say what it holds.

    Raises:
        PairListError: it is none that is known, or is damaged.
    """
    kind = sniff(path) if kind is None else kind
    title = TITLES.get(kind, kind)
    if kind == "people":
        return Inspection(str(path), kind, title, _people(path))
    if kind == "ijb-media":
        media = read_template_media(path)
        facts = {
            "photos": len(media.image),
            "templates": len(np.unique(media.template)),
            "media": len(np.unique(media.media)),
        }
        return Inspection(str(path), kind, title, facts)
    if kind == "ijb-points":
        return Inspection(str(path), kind, title, {"photos": len(read_points(path).image)})
    if kind == "pack":
        from faceverify.evaluation.packs import read_pack

        pack = read_pack(path)
        pairs, sizes = pack.pairs, [len(image) for image in pack.images]
        facts = {**_facts(pairs), "smallest image, bytes": min(sizes), "largest, bytes": max(sizes)}
        return Inspection(str(path), kind, title, facts, pair_notes(pairs))
    pairs = read_pairs(path, kind=kind)
    return Inspection(str(path), kind, title, _facts(pairs), pair_notes(pairs))


def _facts(pairs: PairList) -> dict[str, int]:
    genuine = int(np.count_nonzero(pairs.same))
    facts = {
        "pairs": len(pairs),
        "genuine": genuine,
        "impostor": len(pairs) - genuine,
        "images": len(pairs.images),
    }
    if pairs.first_identity and pairs.second_identity:
        facts["people"] = len({*pairs.first_identity, *pairs.second_identity})
    if pairs.fold is not None:
        facts["folds"] = len(np.unique(pairs.fold))
    if pairs.group is not None:
        facts["groups"] = len(set(pairs.group))
    return facts


def pair_notes(pairs: PairList) -> list[str]:
    """Say what a user should know before trusting figures from a pair list, one line each."""
    keys = Counter(frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True))
    repeated = sum(count - 1 for count in keys.values())
    selves = sum(first == second for first, second in zip(pairs.first, pairs.second, strict=True))
    genuine = int(np.count_nonzero(pairs.same))
    notes = []
    if repeated:
        notes.append(f"{repeated} pairs are listed again: each counts as often as it is listed")
    if selves:
        notes.append(f"{selves} pairs compare a photo with itself: they flatter any model")
    if genuine in (0, len(pairs)):
        only = "impostor" if not genuine else "genuine"
        notes.append(f"only {only} pairs: what needs both kinds will be n/a")
    if pairs.fold is not None and len(np.unique(pairs.fold)) < 2:
        notes.append("one fold: 10-fold accuracy is n/a")
    return notes


def _people(path: Path) -> dict[str, int]:
    people, images, folds = 0, 0, 0
    for number, text in read_lines(path)[1:]:
        fields = text.split()
        if len(fields) == 2:
            people, images = people + 1, images + integer(path, number, fields[1], "NAME COUNT")
        elif len(fields) == 1:
            folds += integer(path, number, fields[0], "a count of people") > 0
        else:
            raise wrong_line(path, number, repr(text), "NAME COUNT", "correct the line")
    return {"people": people, "images": images, "folds": max(folds, 1)}
