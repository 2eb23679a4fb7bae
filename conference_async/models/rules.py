"""What one value of one parameter may be, as validators for attrs fields.

None means that the parameter is not given, and passes every rule. A rule that refuses names the
parameter, says what would be right, carries the service's own error code where it has one, and
never repeats a value that might be secret or personal.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, get_args
from urllib.parse import urlsplit

import attrs

from conference_async.errors import InvalidParameter
from conference_async.models.labels import UNSENDABLE, check_label

Rule: TypeAlias = Callable[[object, "attrs.Attribute[Any]", Any], None]
"""A validator as attrs calls it: with the instance, the field and the value."""


def flag(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """Accept a bool, and nothing that merely looks like one: the service reads it otherwise."""
    if value is not None and not isinstance(value, bool):
        raise InvalidParameter(field.name, f"must be the bool True or False, not {_kind(value)}")


def whole_number(low: int, high: int | None = None, *, code: int | None = None) -> Rule:
    """Accept an int from `low` to `high`, both included."""
    bounds = f"from {low} to {high}" if high else f"of at least {low}"

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool):
            problem = f"must be an int {bounds}, not {_kind(value)}"
        elif value < low or (high and value > high):
            problem = f"must be an int {bounds}, not {value}"
        else:
            return
        raise InvalidParameter(field.name, problem, code=code)

    return check


def word(vocabulary: object, *, or_flag: bool = False, code: int | None = None) -> Rule:
    """Accept one word of a `Literal`, spelled exactly so; with `or_flag`, a bool too."""
    words = frozenset(get_args(vocabulary))

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is None or (isinstance(value, str) and value in words):
            return
        if not (or_flag and isinstance(value, bool)):
            problem = f"must be {_listed(vocabulary)}, not {_quoted(value)}"
            raise InvalidParameter(field.name, problem, code=code)

    return check


def words(vocabulary: object, *, code: int | None = None) -> Rule:
    """Accept a tuple, as `split_words` makes it, of one or more words of a `Literal`."""
    known: tuple[str, ...] = get_args(vocabulary)

    def check(
        _instance: object, field: "attrs.Attribute[Any]", value: tuple[object, ...] | None
    ) -> None:
        if value is None:
            return
        if not value:
            problem = "must name at least one event; leave it out for the service's default"
        elif wrong := [item for item in value if item not in known]:
            problem = f"may hold {_listed(vocabulary)}, not {_quoted(wrong[0])}"
        else:
            return
        raise InvalidParameter(field.name, problem, code=code)

    return check


def split_words(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Return one word, words separated by spaces, or any iterable of them, without repeats."""
    if value is None:
        return None
    items = value.split() if isinstance(value, str) else value
    try:
        found = tuple(items)
    except TypeError:  # `words` refuses it by the field's name, which is not known here
        found = (str(items),)
    return tuple(item for place, item in enumerate(found) if item not in found[:place])


def url(*, empty: bool = False, code: int | None = None) -> Rule:
    """Accept an absolute http or https URL with a host; with `empty`, an empty string too."""

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is None or (empty and value == ""):
            return
        if not isinstance(value, str):
            problem = f"must be a URL as text, not {_kind(value)}"
        elif " " in value or not value.isprintable():
            problem = "must be a URL without spaces and control characters"
        elif not _reachable(value):
            problem = "must be an absolute URL, such as https://example.com/events"
        else:
            return
        raise InvalidParameter(field.name, problem, code=code)

    return check


def sid(prefix: str, *, code: int | None = None) -> Rule:
    """Accept a SID: `prefix` and 32 hexadecimal digits."""
    pattern = re.compile(f"{prefix}[0-9a-fA-F]{{32}}")

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
            problem = f"must be a SID: {prefix} and 32 hexadecimal digits"
            raise InvalidParameter(field.name, problem, code=code)

    return check


def text(shortest: int = 1, longest: int | None = None, *, code: int | None = None) -> Rule:
    """Accept text of `shortest` to `longest` characters, without control characters."""
    bounds = f"{shortest} to {longest} characters" if longest else f"{shortest} character or more"

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            problem = f"must be text, not {_kind(value)}"
        elif len(value) < shortest or (longest and len(value) > longest):
            problem = f"must have {bounds}, not {len(value)}"
        elif UNSENDABLE.search(value):
            problem = "must not contain control characters or lone surrogates"
        else:
            return
        raise InvalidParameter(field.name, problem, code=code)

    return check


def label(_instance: object, _field: "attrs.Attribute[Any]", value: str | None) -> None:
    """Accept what `check_label` accepts."""
    if value is not None:
        check_label(value)


def _reachable(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or a broken IPv6 address
        return False


def _kind(value: object) -> str:
    return f"the text {value!r}" if value in ("true", "false") else type(value).__name__


def _quoted(value: object) -> str:
    return repr(value) if isinstance(value, str) else type(value).__name__


def _listed(vocabulary: object) -> str:
    *most, last = get_args(vocabulary)
    return f"{', '.join(most)} or {last}" if most else last
