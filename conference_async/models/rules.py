"""The bounds of one value of one parameter, as validators for attrs fields.

None means that the parameter is not given, and passes every rule. A rule that refuses names the
parameter, says what would be right, carries the service's own error code where it has one, and
never repeats a value that might be secret or personal.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias, cast, get_args
from urllib.parse import urlsplit

import attrs

from conference_async.cautions import IgnoredParameter, notify
from conference_async.errors import InvalidParameter
from conference_async.models.labels import check_label, unsendable
from conference_async.plain_values import plain

COACHED_SID_INVALID = 13240
CALLBACK_INVALID = 21205
_LARGEST = 10**15 - 1
_MOST_QUOTED = 100


def check_coaching(*, coaching: bool | None, coached: str | None) -> None:
    """Refuse a coach without anybody to coach, and warn of somebody to coach without a coach.

    Raises:
        InvalidParameter: `coaching` is True and no call to coach is given (13240).
    """
    if coaching and coached is None:
        raise InvalidParameter(
            "call_sid_to_coach", "must be given with coaching=True", code=COACHED_SID_INVALID
        )
    if coaching is False and coached is not None:
        notify(IgnoredParameter, "call_sid_to_coach is ignored with coaching=False")


Rule: TypeAlias = Callable[[object, "attrs.Attribute[Any]", Any], None]
"""A validator as attrs calls it: with the instance, the field and the value."""


def flag(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """Accept a bool, and nothing that merely looks like one: the service reads it otherwise."""
    if value is not None and not isinstance(value, bool):
        raise InvalidParameter(field.name, f"must be the bool True or False, not {_kind(value)}")


def whole_number(low: int, high: int | None = None, *, code: int | None = None) -> Rule:
    """Accept an int from `low` to `high`, both included."""
    bounds = f"from {low} to {high}" if high else f"of at least {low}"
    highest = high or _LARGEST

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is None or (type(value) is int and low <= value <= highest):
            return
        if not isinstance(value, int) or isinstance(value, bool):
            problem = f"must be an int {bounds}, not {_kind(value)}"
        elif abs(value) > _LARGEST:  # which Python may not even write down
            problem = f"must be an int {bounds}, not one of more than 15 digits"
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
    known = frozenset(get_args(vocabulary))

    def check(
        _instance: object, field: "attrs.Attribute[Any]", value: tuple[object, ...] | None
    ) -> None:
        if value is None:
            return
        # Where the first is text, `split_words` has made them all what can be looked up.
        if value and type(value[0]) is str and known.issuperset(value):
            return
        for item in value:
            if not (isinstance(item, str) and item in known):
                problem = f"may hold {_listed(vocabulary)}, not {_quoted(item)}"
                raise InvalidParameter(field.name, problem, code=code)
        if not value:
            problem = "must name at least one event; leave it out for the service's default"
            raise InvalidParameter(field.name, problem, code=code)

    return check


def split_words(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Return one word, words separated by spaces, or any iterable of them, without repeats."""
    if value is None:
        return None
    try:
        items = value.split() if isinstance(value, str) else value
        return tuple(dict.fromkeys([each if type(each) is str else plain(each) for each in items]))
    except TypeError:  # `words` refuses it by the field's name, which is not known here
        return (cast("str", value),)


def url(*, empty: bool = False, called: bool = False, code: int | None = None) -> Rule:
    """Accept an absolute http or https URL with a host.

    Args:
        empty: Whether an empty string is accepted too.
        called: Whether the service refuses to call a host with an underscore in it.
        code: The service's code for what is refused.
    """

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            problem: str | None = f"must be a URL as text, not {_kind(value)}"
        elif empty and not value:
            return
        else:
            problem = _wrong_with(value, called)
        if problem is not None:
            raise InvalidParameter(field.name, problem, code=code)

    return check


callback: Rule = url(called=True, code=CALLBACK_INVALID)


def sid(prefix: str, *, code: int | None = None) -> Rule:
    """Accept a SID: `prefix` and 32 hexadecimal digits."""
    pattern = f"{prefix}[0-9a-fA-F]{{32}}"

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is not None and not (isinstance(value, str) and re.fullmatch(pattern, value)):
            problem = f"must be a SID: {prefix} and 32 hexadecimal digits"
            raise InvalidParameter(field.name, problem, code=code)

    return check


def text(
    shortest: int = 1,
    longest: int | None = None,
    *,
    code: int | None = None,
    unprintable: int | None = None,
) -> Rule:
    """Accept text of `shortest` to `longest` characters, without control characters.

    Args:
        shortest: Characters at least.
        longest: Characters at most; None sets no bound.
        code: The service's code for another length.
        unprintable: The service's code for control characters.
    """
    bounds = f"{shortest} to {longest} characters" if longest else f"{shortest} character or more"

    def check(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            problem = f"must be text, not {_kind(value)}"
        elif len(value) < shortest or (longest and len(value) > longest):
            problem = f"must have {bounds}, not {len(value)}"
        elif unsendable(value):
            problem = "must not contain control characters or lone surrogates"
            raise InvalidParameter(field.name, problem, code=unprintable)
        else:
            return
        raise InvalidParameter(field.name, problem, code=code)

    return check


def label(_instance: object, _field: "attrs.Attribute[Any]", value: str | None) -> None:
    """Accept what `check_label` accepts."""
    if value is not None:
        check_label(value)


@lru_cache(maxsize=256)  # an application gives a few URLs with thousands of requests
def _wrong_with(url: str, called: bool) -> str | None:  # noqa: FBT001 -- the cache takes places faster
    """Return what is wrong with a URL, if anything is."""
    if " " in url or not url.isprintable():
        return "must be a URL without spaces and control characters"
    host = _host(url)
    if host is None:
        return "must be an absolute URL, such as https://example.com/events"
    if called and "_" in host:
        return "must have a host without an underscore, or the service does not call it"
    return None


def _host(value: str) -> str | None:
    """Return the host of an absolute URL, None if it is no such URL."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # a port that is no number, or a broken IPv6 address
        return None
    return (parts.hostname or None) if parts.scheme in {"http", "https"} and port != 0 else None


def _kind(value: object) -> str:
    if isinstance(value, str) and value in {"true", "false"}:
        return f"the text {value!r}"
    return type(value).__name__


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        return type(value).__name__
    return repr(value) if len(value) <= _MOST_QUOTED else f"one of {len(value)} characters"


def _listed(vocabulary: object) -> str:
    *most, last = get_args(vocabulary)
    return f"{', '.join(most)} or {last}" if most else last
