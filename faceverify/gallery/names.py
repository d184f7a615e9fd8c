"""Names of people: what may be one, and the nearest to one that nobody has."""

from __future__ import annotations

import difflib
import unicodedata
from itertools import islice
from typing import TYPE_CHECKING

from faceverify.errors import GalleryError
from faceverify.runtime.text import is_line

if TYPE_CHECKING:
    from faceverify.gallery.store import Store

MOST_COMPARED = 50_000  # names that a misspelt one is compared with: about a second


def checked_name(text: str) -> str:
    """Check a person's name, and bring it into the form in which galleries keep it.

    One name, one form: file systems take "é" apart that keyboards write as one letter, and the
    same name of both sources must be one person (Unicode's composed form, NFC).

    Raises:
        GalleryError: it is empty, or not one line of text (code ``gallery-name``).
    """
    name = unicodedata.normalize("NFC", text)
    if not name or name != name.strip() or not is_line(name):
        raise GalleryError(
            f"{text!a} is no name of a person",
            cure="give one line of text, without spaces at its ends",
            code="gallery-name",
        )
    return name


def unknown_name(name: str, store: Store) -> GalleryError:
    """The error about a name that nobody is enrolled under; the nearest spelling is its cure."""
    known = {other.casefold(): other for other, _ in islice(store.names(), MOST_COMPARED)}
    near = difflib.get_close_matches(name.casefold(), known, 1)
    return GalleryError(
        f"nobody is enrolled as {name!r}",
        cure=f"did you mean {known[near[0]]!r}?" if near else "see `faceverify gallery list`",
        code="gallery-unknown-name",
    )
