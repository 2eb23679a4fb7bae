"""A request's parameters, out of its query or body."""

import json
from enum import Enum
from functools import lru_cache
from typing import cast
from urllib.parse import unquote

_MOST_FIELDS = 500


class BodyKind(Enum):
    """The kinds of body that the service sends."""

    FORM = "application/x-www-form-urlencoded"
    JSON = "application/json"


# The service always writes the same one.
@lru_cache(maxsize=64)
def body_kind(content_type: str) -> BodyKind | None:
    """Return the kind that a ``Content-Type`` announces; None if it cannot be read here."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = {
        value.strip(" \"'")
        for name, _, value in (parameter.partition("=") for parameter in parameters)
        if name.strip() == "charset"
    }
    if not charsets <= {"utf-8", "utf8", "us-ascii"}:
        return None
    return next((kind for kind in BodyKind if kind.value == media), None)


def form_pairs(text: str) -> list[tuple[str, str]]:
    """Return the decoded names and values of a form or a query, blank ones included.

    Raises:
        ValueError: There are more than 500 fields, or something in it is no UTF-8.
    """
    if text.count("&") >= _MOST_FIELDS:
        raise ValueError("too many fields")
    pairs: list[tuple[str, str]] = []
    for field in text.replace("+", " ").split("&"):
        if field:
            name, _, value = field.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    # Most are plain, and unquote takes far longer to find that out.
    return unquote(text, errors="strict") if "%" in text else text


def json_pairs(body: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a JSON object: text as it is, anything else as JSON.

    Raises:
        ValueError: It is no JSON object, or it is nested too deep.
    """
    try:
        content: object = json.loads(body.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(content, dict):
        raise ValueError("no object")  # noqa: TRY004 - the one error of an unreadable body
    # JSON has no other names than text.
    fields = cast("dict[str, object]", content)
    return [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in fields.items()
    ]
