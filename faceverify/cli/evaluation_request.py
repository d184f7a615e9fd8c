"""What a user asks of ``faceverify evaluate``, and which of its options exclude each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faceverify.choices import Classes, Distance
from faceverify.cli.evaluation_options import Protocol, ReferenceProtocol, TemplateFiles
from faceverify.errors import UsageError
from faceverify.evaluation.options import ProtocolOptions
from faceverify.faces.options import FaceOptions


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of the command, under their own names.

    Raises:
        UsageError: two of them exclude each other.
    """

    source: Path
    images: Path | None
    pattern: str
    kind: str | None
    protocol: Protocol | None
    classes: Classes
    model: str | None
    compare: list[str]
    against: str | None
    embeddings: Path | None
    fmr: float
    threshold: float | None
    group: str | None
    reference: ReferenceProtocol | None
    templates: TemplateFiles
    prompts: Path | None
    robustness: bool
    replicates: int
    judging: ProtocolOptions
    faces: FaceOptions
    workers: int | None

    @property
    def models(self) -> list[str]:
        """Names of the models to measure, the first one first."""
        return [self.model or "default", *self.compare]

    @property
    def of_templates(self) -> bool:
        """Whether photos are pooled into templates, as in IJB."""
        return self.templates.media is not None or self.protocol is Protocol.TEMPLATES

    def __post_init__(self) -> None:
        protocol, embeddings, media = self.protocol, self.embeddings, self.templates.media
        if embeddings is not None and self.compare:
            raise UsageError("--compare embeds photos itself", cure="leave --embeddings out")
        other = (self.compare, embeddings, self.group, self.reference, media)
        if self.robustness and (any(other) or protocol not in (None, Protocol.ALL)):
            raise UsageError(
                "--robustness degrades photos itself, and goes with --protocol all alone"
            )
        if (protocol is Protocol.ZERO_SHOT) != (self.prompts is not None):
            raise UsageError(
                "--protocol zero-shot and --prompts FILE go together", cure="give both"
            )
        if self.prompts and (self.group or self.reference or media or self.kind):
            raise UsageError("--protocol zero-shot takes no --group, --compat, --media or --kind")
        if self.against is not None and (protocol is not Protocol.REPRESENTATION or embeddings):
            raise UsageError(
                "--against compares the layers of two models",
                cure="use it with --protocol representation, and without --embeddings",
            )
        if self.robustness:
            self.judging.require_used_by("--robustness")
        if protocol is Protocol.INVARIANCE:
            self.judging.require_used_by(protocol.value)
            if any((embeddings, self.group, self.reference, media, self.threshold is not None)):
                raise UsageError(
                    "--protocol invariance changes photos itself, and has no threshold",
                    cure="leave --embeddings, --group, --compat, --media and --threshold out",
                )
        if self.reference is not None and self.judging.distance is not Distance.COSINE:
            raise UsageError("--compat has a distance of its own", cure="leave --distance out")
        if self.of_templates:
            if protocol not in (None, Protocol.TEMPLATES) or any(
                (self.compare, self.group, self.reference)
            ):
                raise UsageError("--media goes with --protocol templates, and with no comparison")
            self.judging.require_used_by("templates")
            if self.classes is not Classes.ALL:
                raise UsageError("--classes is of people or classes, not of templates")
