"""One object, one line of JSON: what commands print and files hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def json_line(value: Mapping[str, Any]) -> str:
    r"""Write an object as one line, without its end; it can always be encoded as UTF-8.

    A path that is no UTF-8 is escaped; Python's ``json.loads`` gives the same path back.

    >>> json_line({"photo": "é.jpg"}), json_line({"photo": "\udce9.jpg"})
    ('{"photo": "é.jpg"}', '{"photo": "\\udce9.jpg"}')
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    return text
