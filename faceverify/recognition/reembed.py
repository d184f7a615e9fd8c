"""A gallery of another model: everybody is embedded again, from the photos that they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from faceverify.embeddings.extractor import TemplateExtractor
from faceverify.errors import FaceverifyError, GalleryError, ImageError
from faceverify.gallery.store import Enrolment, Store, StoredTemplate
from faceverify.images.photo import open_photo
from faceverify.runtime.parallel import map_ordered


@dataclass(frozen=True)
class Rebuilt:
    """What became of a template.

    Attributes:
        old: the template.
        new: of the other model; None where there is none.
        error: why there is none.
    """

    old: StoredTemplate
    new: Enrolment | None
    error: FaceverifyError | None = None


def embed_again(
    extractor: TemplateExtractor, templates: Iterable[StoredTemplate], *, workers: int | None = None
) -> Iterator[Rebuilt]:
    """Embed the photos of templates with another model, in order.

    A photo that is gone, or is another one by now, gives none: its error says so.
    """

    def rebuilt(old: StoredTemplate) -> Rebuilt:
        try:
            photo = open_photo(old.photo)
            if bytes.fromhex(photo.sha256) != old.photo_hash:
                raise ImageError(
                    f"{old.photo}: is another photo than the one that was enrolled",
                    code="image-changed",
                )
            (template,) = extractor.extract(photo)
        except FaceverifyError as error:
            return Rebuilt(old, None, error)
        quality = float(template.quality.score)
        return Rebuilt(old, replace(old, embedding=template.embedding, quality=quality))

    return map_ordered(rebuilt, templates, workers=workers)


def old_model(store: Store, new: str) -> str:
    """The one model that a gallery's templates are of, and that is to be replaced.

    Raises:
        GalleryError: they are of the new one already, of several, or there are none.
    """
    counts = store.count()
    others = sorted(model for model in counts if model != new)
    if len(others) == 1:
        return others[0]
    if not others:
        found = "is empty" if not counts else f"is of model {new} already"
        raise GalleryError(f"{store.url}: {found}: nothing to rebuild")
    raise GalleryError(
        f"{store.url}: holds templates of several models ({', '.join(others)})",
        cure="say which by --from",
    )
