"""What was given of a request: the one place that looks at all of its fields.

Most requests give a handful of some fifty fields, and are made by the thousand, so each rule is
asked about a value that is there, and none about None.
"""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias

import attrs

from conference_async.cautions import IgnoredParameter, notify
from conference_async.errors import InvalidParameter

Field: TypeAlias = "attrs.Attribute[Any]"
Given: TypeAlias = list[tuple[Field, Any]]
"""The fields that are not None, and their values, in the order of the service's page."""

_RULE = "rule"
_EXTRA = "extra"


def rules_aside(_cls: type, fields: list[Field]) -> list[Field]:
    """Move each field's validator to where `check_given` finds it; for ``field_transformer``."""
    return [
        field
        if field.name == _EXTRA
        else field.evolve(validator=None, metadata={_RULE: field.validator})
        for field in fields
    ]


class Remembering:
    """A request that remembers what it gives, since it is looked at again when it is sent.

    A byte for each, the field's place: many requests may wait, and what they hold is held already.
    """

    __slots__ = ("_given",)


def given(request: attrs.AttrsInstance) -> Given:
    """Return what a request gives, but for its `extra`."""
    fields, _ = _reader(type(request))
    # One that was copied or unpickled was not checked again, and remembers nothing.
    places: bytes | None = getattr(request, "_given", None)
    known = fields if places is None else [fields[place] for place in places]
    pairs = [(field, getattr(request, field.name)) for field in known]
    return [pair for pair in pairs if pair[1] is not None]


def check_given(request: attrs.AttrsInstance, needs: Mapping[str, str]) -> None:
    """Ask the rule of each field that is given, and warn of those that have no effect alone.

    Args:
        request: A `Remembering` request whose fields were made with `rules_aside`.
        needs: The name of the field that another one needs, by the name of the latter.

    Raises:
        InvalidParameter: A value is out of its bounds.
    """
    fields, values_of = _reader(type(request))
    values = values_of(request)
    places = bytes([place for place, value in enumerate(values) if value is not None])
    object.__setattr__(request, "_given", places)  # it is frozen but for this
    pairs = [(fields[place], values[place]) for place in places]
    for field, value in pairs:
        rule: Callable[[object, Field, Any], object] | None = field.metadata[_RULE]
        if rule is not None:
            rule(request, field, value)
    for field, _ in pairs:
        needed = needs.get(field.name)
        if needed is not None and not getattr(request, needed):
            notify(IgnoredParameter, f"{field.name} is ignored without {needed}")


def needs_something(change: attrs.AttrsInstance) -> None:
    """Refuse a change that changes nothing.

    Raises:
        InvalidParameter: No field is given.
    """
    if not given(change) and not getattr(change, _EXTRA):
        raise InvalidParameter("change", "names nothing to change")


@cache
def _reader(cls: type[attrs.AttrsInstance]) -> tuple[list[Field], Callable[[object], Any]]:
    # A field that a subclass adds is nothing that the service knows.
    fields = [field for field in attrs.fields(cls) if _RULE in field.metadata]
    return fields, attrgetter(*(field.name for field in fields))
