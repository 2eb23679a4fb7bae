"""Phone numbers and secrets, made unreadable before a person or a log sees them."""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import attrs

_SHORT = 7


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
    address, mark, _ = str(value).partition("?")
    text = f"{address}?***" if mark else address
    if re.fullmatch(r"\+?[0-9]+", text):
        return repr("***" if len(text) < _SHORT else f"***{text[-4:]}")
    return repr(mask(text) if ":" in text else "***")  # a SIP user's or a client's name, alone


def names_only(values: Mapping[str, object]) -> str:
    """Return a mapping's names without its values, which may be secret."""
    return "{" + ", ".join(f"{mask(repr(name))}: ***" for name in values) + "}"


_GAP = (
    r"(?:[\ ().\-\t"
    r"\u00a0\u2000-\u200a\u202f\u205f\u3000"  # blanks that do not break, or are narrow
    r"\u00ad\u2010-\u2015\u2212\uff0d"  # dashes of every length, and those that hide
    r"\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"  # what cannot be seen
    r"|\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|t))"  # and what `repr` makes of some of them
)
"""What people and their word processors put between the digits of a number."""

# Compiled when something is first masked: that takes a hundredth of what importing a client does.
_NUMBER = rf"""(?x)
      (?:[+\uff0b]|%(?:25)*2[Bb]) [^\D0] (?:{_GAP}{{0,3}}\d){{6,14}} (?!\d)  # +1 (555) 867-5310
    | (?<![\dA-Za-z]) (?<!\d\.)                                # no part of a SID or a version
      (?: \d{{8,15}}                                            # 15558675310
        | \(?[^\D01]\d{{2}}\)?{_GAP}{{0,2}}\d{{3}}{_GAP}\d{{4}}   # (555) 867-5310
      ) (?![\dA-Za-z])
    """
_ADDRESS = r"(?i)\b(sips?:|client:)(?!name(?:[\s@;?,'\"]|\Z))[^\s@;?,'\"]+"
"""``name`` stands in our own examples, ``sip:name@company.com``, and is nobody's."""

_USER_INFO = r"(?i)\b(postgres(?:ql)?|rediss?)://\S*@|(?<=://)[^\s?#'\"]+@"
"""A password typed as it is may hold ``@``, ``/``, ``?`` and ``#``; a store's URL has no others."""

_GIVEN_BY_NAME = r"(?i)(?<=password=)(?:'[^']*'|[^\s&'\"]+)"


def _mask_user_info(found: re.Match[str]) -> str:
    return f"{found[1]}://***@" if found[1] else "***@"


def _mask_number(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    return f"***{digits[-4:]}"


class Words(str):
    """A sentence of our own, which holds nothing of a user's: `mask` leaves its examples whole."""

    __slots__ = ()


def mask(text: str) -> str:
    """Return `text` with every phone number, SIP user, client name and URL user info hidden.

    A number keeps its last four digits, so that a person who knows the list can still tell rows
    apart: ``+15558675310`` becomes ``***5310``.
    """
    if isinstance(text, Words):
        return text
    text = re.sub(_USER_INFO, _mask_user_info, text)
    text = re.sub(_GIVEN_BY_NAME, "***", text)
    text = re.sub(_ADDRESS, r"\1***", text)
    return re.sub(_NUMBER, _mask_number, text)


def printable(text: str) -> str:
    r"""Return `text` with everything spelled out that shows as nothing or moves the cursor.

    A cell, a label or a service's message may hold control characters and line breaks, shown as
    escapes (``\x1b``), and marks that turn or hide what stands beside them, as ``<U+202C>``.
    """
    return text if text.isprintable() else "".join(map(_spelled_out, text))


def _spelled_out(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Cf":
        return f"<U+{ord(character):04X}>"
    return character.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """Return `text` as errors and logs may hold it: masked, and `printable`.

    Whoever words it, a service or a driver, cannot make it look like two lines of a log.
    """
    return text if isinstance(text, Words) else printable(mask(text))


def words_of(error: BaseException) -> str:
    """Return an error's kind and what it says, on `one_line`."""
    return one_line(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def printable_json(value: object) -> str:
    """Return a value as JSON on one line of printable ASCII."""
    return json.dumps(value).replace("\x7f", r"\u007f")
