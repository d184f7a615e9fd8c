"""A file that gives each person's group: ``NAME<TAB>GROUP`` or ``NAME,GROUP`` a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceverify.evaluation.lists.rows import read_lines, wrong_line

if TYPE_CHECKING:
    from pathlib import Path


def read_groups(path: Path) -> dict[str, str]:
    """Read who belongs to which group.

    Raises:
        PairListError: ``file:line: found ..., expected ...``, also for a person in two groups.
    """
    groups: dict[str, str] = {}
    for line, text in read_lines(path):
        fields = [field.strip() for field in text.split("\t" if "\t" in text else ",")]
        if len(fields) != 2 or not all(fields):
            raise wrong_line(path, line, repr(text), "NAME<TAB>GROUP", "correct the line")
        name, group = fields
        if groups.setdefault(name, group) != group:
            raise wrong_line(path, line, f"{name} in {group}", f"in {groups[name]}", "remove one")
    return groups
