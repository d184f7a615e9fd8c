"""Tokenizer: byte-level byte-pair encoding of sentences, by the library tokenizers.

Sennrich et al. 2016, https://arxiv.org/abs/1508.07909, on bytes (Radford et al. 2019, section 2.2),
of text in lower case between a start and an end token, as CLIP has it
(https://arxiv.org/abs/2103.00020, section 2.4). The same sentences give the same tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.runtime.text import shown

PAD, START, END = 0, 1, 2
SPECIAL = ("<|pad|>", "<|start|>", "<|end|>")
FEWEST_TOKENS = 256 + len(SPECIAL)  # every byte is a token, so that no text lacks one
SHORTEST = 3  # tokens: start, end, and one between them


def import_tokenizers() -> Any:
    """The module ``tokenizers``.

    Raises:
        UsageError: it is not installed.
    """
    # threads of its own would outlive a fork, of which it warns; captions take no time
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
    except ImportError as error:
        raise UsageError(
            "captions and prompts are read by the library tokenizers, which is not installed",
            cure="pip install 'faceverify[captions]'",
            code="library-missing",
        ) from error
    return tokenizers


def learned_tokenizer(sentences: Iterable[str], *, vocabulary: int) -> str:
    """Learn a tokenizer from sentences: its JSON document.

    Args:
        sentences: in any order.
        vocabulary: most tokens, at least ``FEWEST_TOKENS``.

    Raises:
        UsageError: the library is not installed.
    """
    library = import_tokenizers()
    made = library.Tokenizer(library.models.BPE())
    made.normalizer = library.normalizers.Sequence(
        [library.normalizers.NFC(), library.normalizers.Lowercase()]
    )
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.post_processor = library.processors.TemplateProcessing(
        single=f"{SPECIAL[START]} $A {SPECIAL[END]}",
        special_tokens=[(SPECIAL[START], START), (SPECIAL[END], END)],
    )
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(sorted(sentences), trainer)
    document: str = made.to_str()
    return document


class Tokenizer:
    """Sentences to tokens.

    Args:
        document: JSON of :func:`learned_tokenizer`.

    Raises:
        UsageError: the library is not installed.
        ValueError: the document is none of a tokenizer.
    """

    def __init__(self, document: str) -> None:
        library = import_tokenizers()
        try:
            self._made = library.Tokenizer.from_str(document)
        except Exception as error:  # the library raises plain exceptions
            raise ValueError(f"no tokenizer: {error}") from error
        self._made.no_truncation()
        self._made.no_padding()
        self._made.encode_special_tokens = True  # "<|end|>" in a sentence is text

    def __len__(self) -> int:
        """Number of different tokens."""
        return int(self._made.get_vocab_size())

    def encode(self, sentences: Sequence[str], *, most: int) -> NDArray[np.int64]:
        """Tokens of N sentences, padded with ``PAD`` to the length of the longest, (N, L).

        Args:
            sentences: N.
            most: largest number of tokens in a sentence.

        Raises:
            ValueError: a sentence has more.
        """
        rows = [found.ids for found in self._made.encode_batch(list(sentences))]
        lengths = [len(row) for row in rows]
        longest = max(lengths, default=0)
        if longest > most:
            worst = shown(sentences[lengths.index(longest)])
            raise ValueError(f"{longest} tokens, more than {most}: {worst}")
        tokens = np.full((len(rows), longest), PAD, np.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        return tokens
