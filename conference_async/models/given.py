"""What was given of a request: the one place that looks at all of its fields.

Most requests give a handful of some fifty fields, and are made by the thousand, so each rule is
asked about a value that is there, and none about None.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache, wraps
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from conference_async.cautions import IgnoredParameter, notify
from conference_async.errors import InvalidParameter
from conference_async.models.blank import blank_of

T = TypeVar("T")
Field: TypeAlias = "attrs.Attribute[Any]"
Given: TypeAlias = list[tuple[str, Any]]
"""The fields that are not None, and their values, in the order of the service's page."""

Converter: TypeAlias = Callable[[Any], Any]
Rule: TypeAlias = Callable[[object, Field, Any], object]

_ASIDE = _CONVERTER, _RULE = "converter", "validator"
_EXTRA = "extra"


def rules_aside(_cls: type, fields: list[Field]) -> list[Field]:
    """Move each field's rules to where `check_given` finds them; for ``field_transformer``."""
    return [
        field
        if field.name == _EXTRA
        else field.evolve(
            **dict.fromkeys(_ASIDE), metadata={rule: getattr(field, rule) for rule in _ASIDE}
        )
        for field in fields
    ]


class Remembering:
    """A request that remembers the names of what it gives, since that is looked at again.

    Many requests may wait, so those that give the same share their names.
    """

    __slots__ = ("_given",)


def frozen_request(**options: Any) -> Callable[[type[T]], type[T]]:  # noqa: ANN401 -- what attrs takes
    """Return what `attrs.frozen` does, for a `Remembering` request; type checkers see that.

    It is filled in before it freezes, and takes note of what is given where that is known: in the
    keywords that make it.
    """

    def decorate(cls: type[T]) -> type[T]:
        made: Any = attrs.define(cls, unsafe_hash=True, on_setattr=attrs.setters.NO_OP, **options)
        made.__setattr__, made.__delattr__ = _Frozen.__setattr__, _Frozen.__delattr__
        fill = made.__init__

        @wraps(fill)
        def __init__(self: Any, **fields: object) -> None:  # noqa: ANN401, N807 -- it becomes that of any request
            frozen: type[attrs.AttrsInstance] = self.__class__
            object.__setattr__(self, "__class__", blank_of(frozen))
            names = [name for name, value in fields.items() if value is not None]
            self._given = _in_order(frozen, tuple(names))
            fill(self, **fields)
            self.__class__ = frozen

        made.__init__ = __init__
        return cast("type[T]", made)

    return decorate


@attrs.frozen
class _Frozen:
    """What refuses to be set, as attrs does it."""


@cache
def _fields(
    cls: type[attrs.AttrsInstance],
) -> dict[str, tuple[Field, Converter | None, Rule | None]]:
    """Return the fields of a kind of request, each with what converts it and what judges it."""
    return {
        field.name: (field, field.metadata[_CONVERTER], field.metadata[_RULE])
        for field in attrs.fields(cls)
        if _RULE in field.metadata  # one that a subclass adds is nothing that the service knows
    }


@lru_cache(maxsize=1024)  # an application gives the same few again and again
def _in_order(cls: type[attrs.AttrsInstance], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of some names that are fields of a kind of request, in the page's order."""
    return tuple(name for name in _fields(cls) if name in names)


def _names(request: attrs.AttrsInstance) -> tuple[str, ...]:
    """Return the names of what a request gives, but for its `extra`."""
    names: tuple[str, ...] | None = getattr(request, "_given", None)
    if names is None:  # it was copied, unpickled, or made by a subclass with fields of its own
        known = _fields(type(request))
        return tuple(name for name in known if getattr(request, name) is not None)
    return names


def given(request: attrs.AttrsInstance) -> Given:
    """Return what a request gives, but for its `extra`."""
    return [(name, getattr(request, name)) for name in _names(request)]


def check_given(request: attrs.AttrsInstance, needs: Mapping[str, str]) -> None:
    """Convert each field that is given, ask its rule, and warn of those without effect alone.

    Args:
        request: A `Remembering` request whose fields were made with `rules_aside`.
        needs: The name of the field that another one needs, by the name of the latter.

    Raises:
        InvalidParameter: A value is out of its bounds.
    """
    fields, names = _fields(type(request)), _names(request)
    for name in names:
        field, convert, rule = fields[name]
        value = getattr(request, name)
        if convert is not None:
            value = convert(value)
            object.__setattr__(request, name, value)
        if rule is not None:
            rule(request, field, value)
    for name in names:
        if name in needs and not getattr(request, needs[name]):
            notify(IgnoredParameter, f"{name} is ignored without {needs[name]}")


def needs_something(change: attrs.AttrsInstance) -> None:
    """Refuse a change that changes nothing.

    Raises:
        InvalidParameter: No field is given.
    """
    if not given(change) and not getattr(change, _EXTRA):
        raise InvalidParameter("change", "names nothing to change")
