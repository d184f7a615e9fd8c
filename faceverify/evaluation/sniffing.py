"""Tell what kind of file one is from its name and first lines."""

from __future__ import annotations

from pathlib import Path

from faceverify.errors import PairListError
from faceverify.evaluation.cfp import is_cfp
from faceverify.evaluation.pair_rows import read_lines

KINDS = (
    "lfw-view2", "lfw-view1", "lfw-lines", "calfw", "cplfw", "ijb", "cfp", "csv", "tsv", "jsonl",
)  # fmt: skip
SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def sniff(path: Path) -> str:
    """Tell what a file is from its name and first lines.

    Returns one of ``KINDS``, or ``pack``, ``people``, ``ijb-media`` or ``ijb-points``: files that
    belong to an evaluation but hold no pairs.

    Raises:
        PairListError: it is none of these.
    """
    if path.is_dir():
        if is_cfp(path):
            return "cfp"
        raise PairListError(
            f"{path}: found a folder without 01/same.txt, expected a pair list",
            cure="for CFP name the folder Protocol/Split/FP",
        )
    if path.suffix.lower() == ".bin":
        return "pack"
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    lines = read_lines(path)
    head = [text.split() for _, text in lines[:200]]
    kind = _kind_of_head(head, tabs="\t" in lines[-1][1])
    if kind == "calfw" and not any(int(text.split()[-1]) > 1 for _, text in lines[1:]):
        return "cplfw"
    if kind is None:
        number, text = lines[0]
        raise PairListError(
            f"{path}:{number}: found {text[:80]!r}, expected the start of a pair list",
            cure=f"name its kind: {', '.join(KINDS)}",
        )
    return kind


def _kind_of_head(head: list[list[str]], *, tabs: bool) -> str | None:
    first, last = head[0], head[-1]
    numbers = [all(field.isdigit() for field in fields) for fields in head]
    if len(first) <= 2 and numbers[0]:
        if len(last) in (3, 4):
            return "lfw-view1" if len(first) == 1 else "lfw-view2"
        return "people"
    if len(last) == 2 and last[1].isdigit():
        return "calfw"
    if len(first) == 3 and numbers[0] and not tabs and {row[-1] for row in head} <= {"0", "1"}:
        return "ijb"
    if len(first) == 3 and "." in first[0] and not tabs and first[1].isdigit():
        return "ijb-media"
    if len(first) == 12:
        return "ijb-points"
    if len(first) in (3, 4) and first[1].isdigit() and first[-1].isdigit():
        return "lfw-lines"
    return None
