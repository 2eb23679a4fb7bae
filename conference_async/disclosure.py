"""What a value may show of itself: no secret, no phone number, and only what was given."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from conference_async.masking import mask

_NUMBER = re.compile(r"\+?[0-9]+")
_SHORT = 7
_CUSTOM_PARAMETERS = re.compile(r"\?.*", re.DOTALL)


def described(value: attrs.AttrsInstance) -> str:
    """Return the `repr` of an attrs value: fields at their default are left out, numbers masked.

    A field made with ``repr=False`` holds a secret and shows as ``***``; one made with a function
    is shown by that function.
    """
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(value))
    shown: list[str] = []
    for field in fields:
        content: object = getattr(value, field.name)
        if content in (field.default, {}):
            continue
        if callable(field.repr):
            text = field.repr(content)
        else:
            text = mask(repr(content)) if field.repr else "***"
        shown.append(f"{field.name}={text}")
    return f"{type(value).__name__}({', '.join(shown)})"


def endpoint(value: str | None) -> str:
    """Return a phone number, address or user name as it may be shown."""
    text = _CUSTOM_PARAMETERS.sub("?***", str(value))
    if _NUMBER.fullmatch(text):
        return repr("***" if len(text) < _SHORT else f"***{text[-4:]}")
    return repr(mask(text))


def names_only(values: Mapping[str, object]) -> str:
    """Return a mapping's names without its values, which may be secret."""
    return "{" + ", ".join(f"{mask(repr(name))}: ***" for name in values) + "}"
