"""Bounds of an emulator's settings, as validators for attrs fields.

A value out of its bounds raises `ValueError`, one of another type `TypeError`; both name the
setting and its bounds.
"""

import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias, get_args

import attrs

Rule: TypeAlias = Callable[[object, "attrs.Attribute[Any]", Any], None]
"""A validator as attrs calls it: with the instance, the field and the value."""


def number(
    lowest: float, highest: float = math.inf, *, above: bool = False, optional: bool = False
) -> Rule:
    """Accept a finite number from `lowest` to `highest`; `above` leaves `lowest` itself out."""
    bounds = f"{'above' if above else 'at least'} {lowest:g}"
    if highest != math.inf:
        bounds += f" and at most {highest:g}"

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if optional and value is None:
            return
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f"{_name(field)} must be a number {bounds}, not {_kind(value)}")
        low = value > lowest if above else value >= lowest
        if not (low and value <= highest and math.isfinite(value)):
            finite = "" if math.isfinite(value) else "finite and "
            raise ValueError(f"{_name(field)} must be {finite}{bounds}, not {value}")

    return check


def whole_number(lowest: int, highest: int | None = None, *, optional: bool = False) -> Rule:
    """Accept an int from `lowest` to `highest`, both included."""
    bounds = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if optional and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{_name(field)} must be an int {bounds}, not {_kind(value)}")
        if value < lowest or (highest is not None and value > highest):
            raise ValueError(f"{_name(field)} must be {bounds}, not {value}")

    return check


def word(vocabulary: object, *, optional: bool = False) -> Rule:
    """Accept one word of a `Literal`."""
    words: tuple[str, ...] = get_args(vocabulary)

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if not (value in words or (optional and value is None)):
            given = repr(value) if isinstance(value, str) else _kind(value)
            raise ValueError(f"{_name(field)} must be one of {', '.join(words)}; not {given}")

    return check


def text(*, optional: bool = False) -> Rule:
    """Accept text of any length."""

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if not (isinstance(value, str) or (optional and value is None)):
            raise TypeError(f"{_name(field)} must be text, not {_kind(value)}")

    return check


def matching(pattern: str, meaning: str) -> Rule:
    """Accept text that is `meaning`, which `pattern` says; the text itself is never shown."""
    shape = re.compile(pattern)

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if not (isinstance(value, str) and shape.fullmatch(value)):
            raise ValueError(f"{_name(field)} must be {meaning}")

    return check


seconds: Rule = number(0)
"""Accept seconds, which are not negative."""
chance: Rule = number(0, 1)
"""Accept a share of 1."""


def _name(field: "attrs.Attribute[Any]") -> str:
    return field.name.lstrip("_")


def _kind(value: object) -> str:
    return type(value).__name__
