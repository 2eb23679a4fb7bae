"""What was given of a request: the one place that looks at all of its fields.

Most requests give a handful of some fifty fields, and are made by the thousand. So a request holds
what was given and nothing else, and what was not is None in its class; and each rule is asked
about a value that is there.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, wraps
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from conference_async.cautions import IgnoredParameter, notify
from conference_async.errors import InvalidParameter
from conference_async.plain_values import plain

T = TypeVar("T")
Field: TypeAlias = "attrs.Attribute[Any]"
Converter: TypeAlias = Callable[[Any], Any]
Rule: TypeAlias = Callable[[object, Field, Any], object]
Given: TypeAlias = tuple[tuple[str, ...], Iterable[Any]]
"""The fields that are not None, and at least as many values, in the order of the service's page."""

_ASIDE = _CONVERTER, _RULE = "converter", "validator"
_EXTRA = "extra"
_NO_EXTRA: Mapping[str, object] = MappingProxyType({})


def rules_aside(_cls: type, fields: list[Field]) -> list[Field]:
    """Move each field's rules to where `check_given` finds them; for ``field_transformer``."""
    return [
        field.evolve(
            **dict.fromkeys(_ASIDE), metadata={rule: getattr(field, rule) for rule in _ASIDE}
        )
        for field in fields
    ]


class _Shape:
    """Some fields of a kind of request, in the order of the service's page; `extra` comes last.

    Attributes:
        whole: Whether a request can be made of these, and no others.
        names: The names of the fields, but for `extra`.
        rules: Each field with what converts it and what judges it.
        values_of: Returns the values of all, by name.
    """

    __slots__ = ("names", "rules", "values_of", "whole")

    def __init__(self, cls: type[attrs.AttrsInstance], names: tuple[str, ...]) -> None:
        # A field that a subclass adds is nothing that the service knows.
        known = [each for each in attrs.fields(cls) if _RULE in each.metadata]
        fields = [each for each in known if each.name in names]
        every = [each.name for each in fields]
        missing = [each for each in known if each.default is attrs.NOTHING and each not in fields]
        self.whole: bool = len(fields) == len(names) and not missing
        self.names: tuple[str, ...] = tuple(name for name in every if name != _EXTRA)
        self.rules: list[tuple[Field, Converter | None, Rule | None]] = [
            (each, each.metadata[_CONVERTER], each.metadata[_RULE]) for each in fields
        ]
        self.values_of: Callable[[Mapping[str, Any]], tuple[Any, ...]] = (
            itemgetter(*every)  # in C, and of one name no tuple
            if len(every) > 1
            else lambda held: tuple(held[name] for name in every)
        )


_shape = lru_cache(maxsize=256)(_Shape)  # an application gives the same few again and again


def frozen_request(**options: Any) -> Callable[[type[T]], type[T]]:  # noqa: ANN401 -- what attrs takes
    """Return what `attrs.frozen` does, for a request; type checkers see that.

    attrs sets each field of a frozen value by a call, whether it is given or not. With some fifty
    of them that takes longer than to check, encode and send those that are.
    """

    def decorate(cls: type[T]) -> type[T]:
        without_slots: dict[str, Any] = {"slots": False, "on_setattr": attrs.setters.NO_OP}
        made: Any = attrs.define(cls, unsafe_hash=True, **without_slots, **options)
        made.__setattr__, made.__delattr__ = _Frozen.__setattr__, _Frozen.__delattr__
        for field in attrs.fields(made):
            setattr(made, field.name, _NO_EXTRA if field.name == _EXTRA else None)
        fill = made.__init__

        @wraps(fill)
        def __init__(self: Any, **fields: object) -> None:  # noqa: ANN401, N807 -- it becomes that of any request
            if not _shape(self.__class__, tuple(fields)).whole:
                fill(self, **fields)  # which says what is wrong
            held: dict[str, object] = self.__dict__
            held.update(fields)
            self.__attrs_post_init__()
            if _EXTRA not in fields:
                held[_EXTRA] = {}  # one of its own, as `attrs.asdict` and JSON know them

        made.__init__ = __init__
        return cast("type[T]", made)

    return decorate


@attrs.frozen
class _Frozen:
    """What refuses to be set, as attrs does it."""


def _held(request: attrs.AttrsInstance) -> tuple[_Shape, tuple[Any, ...]]:
    """Return the fields that a request gives, and their values."""
    held = vars(request)
    shape = _shape(type(request), tuple(held))
    return shape, shape.values_of(held)


def given(request: attrs.AttrsInstance) -> Given:
    """Return what a request gives, but for its `extra`."""
    shape, values = _held(request)
    return shape.names, values


def check_given(request: attrs.AttrsInstance, needs: Mapping[str, str]) -> None:
    """Convert each field that is given, ask its rule, and warn of those without effect alone.

    Args:
        request: A request whose fields were made with `rules_aside`.
        needs: The name of the field that another one needs, by the name of the latter.

    Raises:
        InvalidParameter: A value is out of its bounds.
    """
    held = vars(request)
    # By identity: a missing value of a data frame refuses to be compared.
    for name in [each for each, value in held.items() if value is None]:
        del held[name]
    shape, values = _held(request)
    for (field, convert, rule), value in zip(shape.rules, values, strict=True):
        if convert is not None:
            value = convert(value)  # noqa: PLW2901 -- from here on it is that one
            held[field.name] = value
        elif type(value) is not str:
            value = held[field.name] = plain(value)  # noqa: PLW2901 -- likewise
        if rule is not None:
            rule(request, field, value)
    for name in shape.names:
        if name in needs and not getattr(request, needs[name]):
            notify(IgnoredParameter, f"{name} is ignored without {needs[name]}")


def needs_something(change: attrs.AttrsInstance) -> None:
    """Refuse a change that changes nothing.

    Raises:
        InvalidParameter: No field is given.
    """
    if not given(change)[0] and not getattr(change, _EXTRA):
        raise InvalidParameter("change", "names nothing to change")
