"""What a run learns, and of what, in words: for its messages, the model file and the report."""

from __future__ import annotations

from collections.abc import Sequence

from faceverify.training.config.schema import Config, Joined, Loss, Method
from faceverify.training.data.loading.source import Source
from faceverify.training.methods import method_class

LearnedBy = Loss | Method | Joined  # sections of the configuration


def learned_by(config: Config) -> list[LearnedBy]:
    """The sections of a configuration that say what is learned."""
    if not method_class(config).learns_by_loss:
        return [config.method]
    beside = [config.method] if config.method.name != "supervised" else []
    return [config.loss, *beside, *([config.joined] if config.joined.name else [])]


def names_of(learned_by: Sequence[LearnedBy]) -> str:
    """What a model learned by, in a few words."""
    return " + ".join(one.name for one in learned_by)


def described(source: Source, *, named: bool) -> str:
    """Number of images of a source, and of people where they have names."""
    people = f" of {source.num_identities:,} people" if named else ""
    return f"{source.images:,} {'images' if named else 'photos'}{people}"
