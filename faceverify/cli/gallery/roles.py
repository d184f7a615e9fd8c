"""``faceverify gallery roles``: database users that may enroll or search only."""

from __future__ import annotations

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, open_server
from faceverify.cli.options import Json


def roles(gallery: Gallery = None, json: Json = False) -> None:
    """Make the roles of a PostgreSQL gallery: one may enroll and remove, one may only search.

    They cannot log in. Make login users members of them: `GRANT faceverify_default_search TO door`.

    **Example:** `faceverify gallery roles --gallery postgresql://db/faces`
    """
    with open_server(gallery) as store:
        enroll, search = store.create_roles()
    Console(json).result({"enroll": enroll, "search": search}, f"{enroll}\n{search}")
