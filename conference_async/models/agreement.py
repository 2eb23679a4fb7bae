"""The rules between parameters: what needs what, and what is ignored without what."""

from typing import Any

import attrs

from conference_async.errors import InvalidParameter
from conference_async.notices import IgnoredParameter, notify

COACHED_SID_INVALID = 13240


def needs_coached_call(*, coaching: bool | None, coached: str | None) -> None:
    """Refuse a coach without anybody to coach.

    Raises:
        InvalidParameter: `coaching` is True and no call to coach is given (13240).
    """
    if coaching and coached is None:
        raise InvalidParameter(
            "call_sid_to_coach", "must be given with coaching=True", code=COACHED_SID_INVALID
        )


def warn_of_ignored(request: object, pairs: tuple[tuple[str, str], ...]) -> None:
    """Warn of each parameter that has no effect without another one that is missing.

    Args:
        request: The value whose fields are looked at.
        pairs: Names of the parameter and of the one that it needs.
    """
    for parameter, needed in pairs:
        if getattr(request, parameter) is not None and not getattr(request, needed):
            notify(IgnoredParameter, f"{parameter} is ignored without {needed}")


def needs_something(change: attrs.AttrsInstance) -> None:
    """Refuse a change that changes nothing.

    Raises:
        InvalidParameter: No field is given.
    """
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(change))
    if all(getattr(change, field.name) in (None, {}) for field in fields):
        raise InvalidParameter("change", "names nothing to change")
