"""What was given of a request: the one place that looks at all of its fields.

Most requests give a handful of some fifty fields, and are made by the thousand. So a request holds
what was given and nothing else, and what was not is None in its class; and each rule is asked
about a value that is there.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, wraps
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from conference_async.cautions import IgnoredParameter, notify
from conference_async.errors import InvalidParameter
from conference_async.plain_values import PLAIN, plain

T = TypeVar("T")
Field: TypeAlias = "attrs.Attribute[Any]"
Converter: TypeAlias = Callable[[Any], Any]
Rule: TypeAlias = Callable[[object, Field, Any], object]
Given: TypeAlias = tuple[tuple[str, ...], Iterable[Any]]
"""The fields that are not None, and at least as many values, in the order of the service's page."""

_CONVERTER = "converter"
_RULE = "validator"
_NEEDS = "needs"
_EXTRA = "extra"
_NO_EXTRA: Mapping[str, object] = MappingProxyType({})
_KINDS: set[type] = set()
"""The requests themselves; others are a user's, and made from them."""


def request_field(
    *,
    converter: Converter | None = None,
    validator: Rule | None = None,
    **options: Any,  # noqa: ANN401 -- what attrs takes
) -> Any:  # noqa: ANN401 -- as `attrs.field`
    """Return what `attrs.field` does, with the rules where `check_given` finds them."""
    return attrs.field(metadata={_CONVERTER: converter, _RULE: validator}, **options)


def needing(needs: Mapping[str, str]) -> Callable[[type, list[Field]], list[Field]]:
    """Note which fields have no effect alone; for ``field_transformer``.

    Args:
        needs: The name of the field that another one needs, by the name of the latter.
    """

    def transform(_cls: type, fields: list[Field]) -> list[Field]:
        return [
            field.evolve(metadata={**field.metadata, _NEEDS: needs[field.name]})
            if field.name in needs
            else field
            for field in fields
        ]

    return transform


class _Shape:
    """Some fields of a kind of request, in the order of the service's page; `extra` comes last.

    Attributes:
        whole: Whether a request can be made of these, and no others.
        remade: Whether attrs made a kind of its own of it, which holds what was not given as well,
            and some fields elsewhere.
        names: The names of the fields, but for `extra`.
        rules: Each field and its name, with what converts it and what judges it.
        needs: Each field that has no effect without another one, and that one.
        values_of: Returns the values of `names`.
    """

    __slots__ = ("names", "needs", "remade", "rules", "values_of", "whole")

    def __init__(self, cls: type[attrs.AttrsInstance], names: tuple[str, ...]) -> None:
        every: dict[str, Field] = {each.name: each for each in attrs.fields(cls)}
        needed = {name for name, each in every.items() if each.default is attrs.NOTHING}
        # A field that a subclass adds is nothing that the service knows, and one of ours stays
        # ours with another default.
        ours = attrs.fields(next(each for each in cls.__mro__ if each in _KINDS))
        known = [each for each in ours if each.name in names]
        ordered = tuple(each.name for each in known if each.name != _EXTRA)
        self.remade: bool = attrs.fields(cls) is not ours
        self.whole: bool = needed <= set(names) <= every.keys()
        self.names: tuple[str, ...] = ordered
        self.rules: list[tuple[str, Field, Converter | None, Rule | None]] = [
            (each.name, each, each.metadata[_CONVERTER], each.metadata[_RULE]) for each in known
        ]
        self.needs: list[tuple[str, str]] = [
            (each.name, each.metadata[_NEEDS]) for each in known if _NEEDS in each.metadata
        ]
        self.values_of: Callable[[Mapping[str, Any]], Iterable[Any]] = (
            itemgetter(*ordered)  # in C, and of one name no tuple
            if len(ordered) > 1
            else lambda held: tuple(held[name] for name in ordered)
        )


_shape = lru_cache(maxsize=256)(_Shape)  # an application gives the same few again and again


def frozen_request(**options: Any) -> Callable[[type[T]], type[T]]:  # noqa: ANN401 -- what attrs takes
    """Return what `attrs.frozen` does, for a request; type checkers see that.

    attrs sets each field of a frozen value by a call, whether it is given or not, and compares all
    of them. With some fifty that takes longer than to check, encode and send those that are given.
    """

    def decorate(cls: type[T]) -> type[T]:
        made: Any = attrs.frozen(cls, slots=False, eq=False, **options)
        _KINDS.add(made)
        made.__eq__, made.__hash__ = _equal, _hash
        for field in attrs.fields(made):
            setattr(made, field.name, _NO_EXTRA if field.name == _EXTRA else None)
        fill = made.__init__

        @wraps(fill)
        def __init__(self: Any, **fields: object) -> None:  # noqa: ANN401, N807 -- it becomes that of any request
            held: dict[str, object] = self.__dict__
            held.update(fields)
            self.__attrs_post_init__()
            if _EXTRA not in held:
                held[_EXTRA] = {}  # one of its own, as `attrs.asdict` and JSON know them

        made.__init__ = __init__
        return cast("type[T]", made)

    return decorate


def _equal(request: object, other: object) -> bool:
    return request.__dict__ == other.__dict__ if type(request) is type(other) else NotImplemented


def _hash(request: object) -> int:
    held = request.__dict__.items()
    return hash((type(request), frozenset(each for each in held if each[0] != _EXTRA)))


def given(request: attrs.AttrsInstance) -> Given:
    """Return what a request gives, but for its `extra`."""
    shape, held = _looked_at(request)
    return shape.names, shape.values_of(held)


def _looked_at(request: attrs.AttrsInstance) -> tuple[_Shape, dict[str, Any]]:
    """Return what a request holds of its fields: its own dictionary, where that is all of it."""
    cls, held = request.__class__, request.__dict__
    shape = _shape(cls, tuple(held))
    if not shape.remade:
        return shape, held
    every = {each.name: getattr(request, each.name) for each in attrs.fields(cls)}
    held = {name: value for name, value in every.items() if value is not None}
    return _shape(cls, tuple(held)), held


def check_given(request: attrs.AttrsInstance) -> None:
    """Convert each field that is given, ask its rule, and warn of those without effect alone.

    Args:
        request: A request whose fields were made with `request_field`.

    Raises:
        InvalidParameter: A value is out of its bounds.
        TypeError: A field is missing, or unknown.
    """
    shape, held = _looked_at(request)
    if not (shape.whole or shape.remade):
        inspect.unwrap(request.__class__.__init__)(request, **held)  # which says what is wrong
    for name, field, convert, rule in shape.rules:
        value = held[name]
        if value is None:
            del held[name]
            continue
        if convert is not None:
            held[name] = value = convert(value)
        elif type(value) not in PLAIN:
            held[name] = value = plain(value)
        if rule is not None:
            rule(request, field, value)
        if shape.remade:
            object.__setattr__(request, name, value)
    for name, needed in shape.needs:
        if name in held and not held.get(needed):
            notify(IgnoredParameter, f"{name} is ignored without {needed}")


def needs_something(change: attrs.AttrsInstance) -> None:
    """Refuse a change that changes nothing.

    Raises:
        InvalidParameter: No field is given.
    """
    if not given(change)[0] and not getattr(change, _EXTRA):
        raise InvalidParameter("change", "names nothing to change")
