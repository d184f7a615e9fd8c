"""Prompts: sentences that describe each label, of which a zero-shot classification is made.

TOML (``label = "sentence"`` or ``label = ["sentence", ...]``), a table with the columns label and
sentence, or lines ``label: sentence``. A label may have several sentences.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faceverify.errors import PairListError
from faceverify.runtime.headed_table import headed_rows, table_text
from faceverify.runtime.table_lines import is_row
from faceverify.runtime.text import shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

COLUMNS = {
    "label": ("label", "class", "name", "category"),
    "sentence": ("sentence", "prompt", "caption", "text", "description"),
}


@dataclass(frozen=True)
class Prompts:
    """Sentences of each label.

    Args:
        source: the file.
        sentences: by label, one or more each, in the order of the file.
    """

    source: str
    sentences: dict[str, tuple[str, ...]]


def prompt_error(message: str, cure: str) -> PairListError:
    """PairListError with the code ``prompts``."""
    return PairListError(message, cure=cure, code="prompts")


def read_prompts(path: Path) -> Prompts:
    """The prompts of a file, by its ending.

    Raises:
        PairListError: it cannot be read, a label or a sentence is empty, or there is one label.
    """
    read = {".toml": _toml, ".csv": _table, ".tsv": _table}.get(path.suffix.lower(), _lines)
    found = dict[str, dict[str, None]]()
    for place, label, sentence in read(path):
        words = " ".join(sentence.split())
        if not label.strip() or not words:
            lack = "label" if words else f"sentence for label {shown(label)}"
            raise prompt_error(f"{place}: has no {lack}", "fill it in, or remove it")
        found.setdefault(label.strip(), {})[words] = None
    if len(found) < 2:
        raise prompt_error(
            f"{path}: found {len(found)} label, expected two or more to choose between",
            "give lines such as: label: a sentence",
        )
    return Prompts(str(path), {label: tuple(own) for label, own in found.items()})


def _toml(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        values = tomllib.loads(table_text(path, complain=prompt_error))
    except tomllib.TOMLDecodeError as error:
        raise prompt_error(f"{path}: is no TOML ({error})", "correct it") from error
    for label, value in values.items():
        sentences = value if isinstance(value, list) else [value]
        if not sentences or not all(isinstance(one, str) for one in sentences):
            raise prompt_error(
                f"{path}: found {shown(value)} for label {shown(label)}",
                "give a sentence, or a list of sentences",
            )
        for sentence in sentences:
            yield str(path), label, sentence


def _table(path: Path) -> Iterator[tuple[str, str, str]]:
    for line, cells in headed_rows(path, COLUMNS, {}, complain=prompt_error):
        yield f"{path}:{line}", cells["label"], cells["sentence"]


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, text in enumerate(table_text(path, complain=prompt_error).split("\n"), 1):
        if not is_row(text):
            continue
        label, colon, sentence = text.partition(":")
        if not colon:
            raise prompt_error(
                f"{path}:{number}: found {shown(text)}, expected LABEL: SENTENCE",
                "or name a .toml or .csv file",
            )
        yield f"{path}:{number}", label, sentence
