"""Rows of a file as requests: which column is which parameter, and what its cells say."""

import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from conference_async.dialer.phones import normalised
from conference_async.dialer.targets import Target, target_key
from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.models import EndpointKind, NewParticipant, check_conference, kind_of

_OWN = ("conference", "time_zone", "id")
_YES = frozenset({"true", "yes", "1"})
_NO = frozenset({"false", "no", "0"})
_SEPARATORS = str.maketrans(",;|", "   ")


def _alternatives(hint: object) -> tuple[object, ...]:
    return get_args(hint) if get_origin(hint) is types.UnionType else (hint,)


def _kinds() -> dict[str, str]:
    """Return what the cells of each parameter hold: ``flag``, ``number``, ``words`` or ``text``."""
    kinds: dict[str, str] = {}
    for name, hint in get_type_hints(NewParticipant).items():
        if name == "extra":
            continue
        first = _alternatives(hint)[0]
        if get_origin(first) is tuple:
            kinds[name] = "words"
        else:
            kinds[name] = {bool: "flag", int: "number"}.get(_class(first), "text")
    return kinds


def _class(hint: object) -> type[Any]:
    return hint if isinstance(hint, type) else object


_KINDS = _kinds()


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in "_ -")


_COLUMNS = {_folded(name): name for name in (*_KINDS, *_OWN)}


def parameter_of(column: str) -> str | None:
    """Return the parameter that a column's heading names, or None if it names none.

    Headings may be in snake case or in the service's spelling: ``status_callback_event``,
    ``StatusCallbackEvent``; besides parameters, ``conference``, ``time_zone`` and ``id``.

    Raises:
        InvalidParameter: It looks like a misspelt parameter.
    """
    folded = _folded(column)
    if folded in _COLUMNS:
        return _COLUMNS[folded]
    close = difflib.get_close_matches(folded, _COLUMNS, n=1, cutoff=0.85)
    if close:
        raise InvalidParameter(
            "columns", f"{column!r} is no parameter; did you mean {_COLUMNS[close[0]]!r}?"
        )
    return None


def cell(name: str, content: object) -> object:
    """Return a cell's content as its parameter wants it; None for an empty cell.

    Raises:
        InvalidParameter: It cannot be read.
    """
    if not isinstance(content, str):
        return content
    text = content.strip()
    if not text:
        return None
    match _KINDS.get(name):
        case "flag":
            if text.casefold() not in _YES | _NO:
                raise InvalidParameter(name, "must be true or false, yes or no, 1 or 0")
            return text.casefold() in _YES
        case "number":
            if not (text.isascii() and text.isdigit()):
                raise InvalidParameter(name, "must be a whole number")
            return int(text)
        case "words":
            return text.translate(_SEPARATORS)
        case _:
            return text


class RowReader:
    """Makes targets of rows.

    Args:
        conference: Where a row without a conference of its own is called to.
        defaults: Parameters of `NewParticipant` for rows that leave them out.
        default_region: The country of numbers without ``+``.

    Raises:
        ConfigurationError: A default is no parameter, or is misread.
    """

    def __init__(
        self,
        conference: str | None,
        defaults: Mapping[str, object],
        default_region: str | None = None,
    ) -> None:
        unknown = sorted(defaults.keys() - {field.name for field in attrs.fields(NewParticipant)})
        if unknown:
            raise ConfigurationError(f"defaults: {unknown[0]} is no parameter of NewParticipant")
        self._conference = check_conference(conference) if conference is not None else None
        given = {name: value for name, value in defaults.items() if value is not None}
        self._defaults = _with_callers(given)
        self._region = default_region
        self._template: tuple[EndpointKind | None, dict[str, object], NewParticipant] | None = None

    def target(self, row: int, cells: Iterable[tuple[str, object]]) -> Target:
        """Return the target of one row.

        Args:
            row: Its line.
            cells: Names, as `parameter_of` returns them (or ``extra``), and contents.

        Raises:
            InvalidParameter: The row cannot be dialled.
        """
        given = {name: value for name, raw in cells if (value := cell(name, raw)) is not None}
        conference, zone, own = (given.pop(name, None) for name in _OWN)
        if conference is not None:
            conference = check_conference(str(conference))
        elif self._conference is not None:
            conference = self._conference
        else:
            raise InvalidParameter("conference", "must be given, for the row or for the plan")
        to = given.pop("to", None)
        if to is None:
            raise InvalidParameter("to", "must be given", code=21201)
        to = normalised("to", str(to), self._region)
        fields = self._defaults | _with_callers(given)
        if zone is not None:
            _check_zone(str(zone))
        if own is not None and not str(own).isprintable():
            raise InvalidParameter("id", "must be printable text")
        return Target(
            key=target_key(conference, to, str(own) if own is not None else None),
            to=to,
            conference=conference,
            row=row,
            time_zone=str(zone) if zone is not None else None,
            template=self._request(to, fields),
        )

    def _request(self, to: str, fields: dict[str, object]) -> NewParticipant:
        kind = kind_of(to)
        if self._template is None or self._template[:2] != (kind, fields):
            self._template = kind, fields, _built(to, fields)
        return self._template[2]


def _with_callers(fields: dict[str, object]) -> dict[str, object]:
    for name in ("from_", "caller_id"):
        if str(fields.get(name, "")).startswith("+"):
            fields[name] = normalised(name, str(fields[name]))
    return fields


def _built(to: str, fields: Mapping[str, object]) -> NewParticipant:
    given: dict[str, Any] = {"from_": "", **fields, "to": to}
    return NewParticipant(**given)


def _check_zone(name: str) -> None:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidParameter(
            "time_zone", f"{name!r} is no time zone; write it as Europe/Dublin"
        ) from None
