"""Lines of photo paths with spaces between them, and perhaps within them.

PyTorch repositories of face recognition list pairs so: ``PATH PATH LABEL``, or ``LABEL PATH PATH``.
"""

from __future__ import annotations

import re

from faceverify.evaluation.lists.rows import is_label
from faceverify.images.discovery import EXTENSIONS

# where a path ends: behind the extension of a photo
PATH_END = re.compile(
    rf"(?:{'|'.join(map(re.escape, sorted(EXTENSIONS, key=len, reverse=True)))})(?=\s|$)", re.I
)


def spaced_paths(line: str) -> list[str]:
    """Two paths that end with the extension of a photo, and what stands before or behind them.

    >>> spaced_paths("Ann Lee/1 a.jpg Bob/2.JPG 1"), spaced_paths("0 a.jpg b c.png")
    (['Ann Lee/1 a.jpg', 'Bob/2.JPG', '1'], ['0', 'a.jpg', 'b c.png'])

    Args:
        line: without tabs.

    Returns:
        No cells where the line has other than two such paths.
    """
    ends = [match.end() for match in PATH_END.finditer(line)]
    if len(ends) != 2:
        return []
    first, second, behind = line[: ends[0]], line[ends[0] : ends[1]], line[ends[1] :].split()
    before, _, path = first.strip().partition(" ")
    if not behind and path and is_label(before):
        return [before, path.strip(), second.strip()]
    return [first.strip(), second.strip(), *behind]
