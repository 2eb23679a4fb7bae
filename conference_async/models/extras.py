"""Parameters that the service has learned since this library was written."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from conference_async.errors import InvalidParameter
from conference_async.models.labels import unsendable
from conference_async.plain_values import plain

Extras: TypeAlias = Mapping[str, str | Sequence[str]]
"""Values by the service's own parameter names; a list is sent as one pair for each item."""

_NAME = r"[A-Za-z][A-Za-z0-9_.-]*"


def copied(extra: Extras) -> Extras:
    """Return a copy that later changes to the caller's mapping and lists do not reach."""
    try:
        pairs = dict(extra).items()
    except (TypeError, ValueError):
        raise InvalidParameter("extra", "must map names to texts") from None
    return {
        plain(name): tuple(map(plain, value)) if isinstance(value, list | tuple) else plain(value)
        for name, value in pairs
    }


def only_unknown(
    instance: attrs.AttrsInstance, _field: "attrs.Attribute[Any]", extra: Extras
) -> None:
    """Refuse names that a field of the value stands for, and values that are not text.

    Raises:
        InvalidParameter: As said.
    """
    if not extra:
        return
    fields = {_folded(field.name): field.name for field in attrs.fields(type(instance))}
    for name, value in extra.items():
        if not re.fullmatch(_NAME, str(name)):
            raise InvalidParameter("extra", f"{name!r} is not the name of a parameter")
        if known := fields.get(_folded(str(name))):
            raise InvalidParameter("extra", f"give {name} as the keyword {known} instead")
        if not all(map(_sendable, value if isinstance(value, tuple) else (value,))):
            raise InvalidParameter("extra", f"{name} must be text, or a list of texts")


def _sendable(item: object) -> bool:
    return isinstance(item, str) and not unsendable(item)


def _folded(name: str) -> str:
    """Return a name without what distinguishes our spelling from the service's."""
    return name.replace("_", "").lower()
