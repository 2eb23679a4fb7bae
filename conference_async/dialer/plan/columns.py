"""Rows of a file as requests: which column is which parameter, and what its cells say."""

import difflib
import types
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.plan.phones import check_region, normalise_number
from conference_async.dialer.plan.targets import Problem, Row, Sieve, Target, target_key
from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.models import EndpointKind, NewParticipant, check_conference, check_target
from conference_async.privacy import mask, printable

_SHARED = ("time_zone", "not_before", "not_after", "purpose", "priority")
_OWN = ("conference", "id", *_SHARED)
_Cells: TypeAlias = tuple[EndpointKind, Mapping[str, object], list[type]]
_YES = frozenset({"true", "yes", "1"})
_NO = frozenset({"false", "no", "0"})
_SEPARATORS = str.maketrans(",;|", "   ")
_LONGEST_WHOLE = 18
_LONGEST_DAY = len("2026-12-01")
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
HIGHEST = 9
"""The highest priority that a row can have."""
_NAMED = 10
_SHOWN = 40
"""How many headings an error lists, and how much of each."""


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
    ``StatusCallbackEvent``; besides parameters, those that only a plan has, such as ``id``.

    Raises:
        InvalidParameter: It looks like a misspelt parameter.
    """
    folded = _folded(column)
    if folded in _COLUMNS:
        return _COLUMNS[folded]
    close = difflib.get_close_matches(folded, _COLUMNS, n=1, cutoff=0.85)
    if close:
        raise InvalidParameter(
            "columns",
            f"{mask(column)!r} is no parameter; did you mean {_COLUMNS[close[0]]!r}?",
        )
    return None


class Headings:
    """The parameters that the headings of a file name, by themselves or because a caller says so.

    Args:
        renamed: Parameters by the headings that stand for them, such as ``{"Telefon": "to"}``.

    Raises:
        ConfigurationError: What a heading is to stand for is no parameter, or two are to stand
            for the same.
    """

    def __init__(self, renamed: Mapping[str, str] | None = None) -> None:
        self._renamed: dict[str, str] = {}
        for heading, given in (renamed or {}).items():
            name = _COLUMNS.get(_folded(given))
            if name is None:
                close = difflib.get_close_matches(_folded(given), _COLUMNS, n=1, cutoff=0.7)
                hint = f"; did you mean {_COLUMNS[close[0]]!r}?" if close else ""
                raise ConfigurationError(f"columns: {given!r} is no parameter{hint}")
            if name in self._renamed.values():
                raise ConfigurationError(f"columns: two headings are to be {name!r}")
            self._renamed[heading.strip().casefold()] = name

    def parameter_of(self, heading: str) -> str | None:
        """Return what a heading names; what another heading stands for is not named by its own.

        Raises:
            InvalidParameter: It looks like a misspelt parameter.
        """
        renamed = self._renamed.get(heading.strip().casefold())
        if renamed is not None:
            return renamed
        name = parameter_of(heading)
        return None if name in self._renamed.values() else name

    def of_table(self, headings: Sequence[str]) -> list[str | None]:
        """Return what each heading of a table names.

        Raises:
            InvalidParameter: None of them is ``to``, two are the same parameter, or one that was
                to stand for a parameter is not there.
        """
        found = {heading.strip().casefold() for heading in headings}
        absent = [heading for heading in self._renamed if heading not in found]
        if absent:
            raise InvalidParameter("columns", f"there is no {absent[0]!r}; {_listed(headings)}")
        names = [self.parameter_of(heading) for heading in headings]
        repeated = [name for name, times in Counter(names).items() if name and times > 1]
        if repeated:
            raise InvalidParameter("columns", f"two columns are {repeated[0]!r}")
        if "to" not in names:
            raise InvalidParameter(
                "columns",
                f"none is called 'to'; {_listed(headings)}. Say which holds the numbers, by "
                "columns={'…': 'to'}, or --column to=… on the command line",
            )
        return names


def _listed(headings: Sequence[str]) -> str:
    shown = [repr(mask(printable(heading))[:_SHOWN]) for heading in headings if heading.strip()]
    more = ", …" if len(shown) > _NAMED else ""
    return f"the first line has {', '.join(shown[:_NAMED])}{more}"


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
            if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_WHOLE):
                raise InvalidParameter(name, "must be a whole number")
            return int(text)
        case "words":
            return text.translate(_SEPARATORS)
        case _:
            return content if name == "to" else text  # a blank may say what became of a plus


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
        self._region = default_region and check_region(default_region)
        self._template: tuple[_Cells, NewParticipant] | None = None
        self._shared: tuple[_Cells, dict[str, Any]] | None = None

    def target(self, row: int, named: Iterable[tuple[str, object]], sieve: Sieve) -> Row:
        """Return the target of one row, or what is wrong with it beside others.

        Args:
            row: Its line.
            named: Names, as `parameter_of` returns them (or ``extra``), and contents.
            sieve: Gives it its room.

        Raises:
            InvalidParameter: The row cannot be dialled.
        """
        given = {name: value for name, raw in named if (value := cell(name, raw)) is not None}
        conference = given.pop("conference", None)
        if conference is not None:
            conference = check_conference(str(conference))
        elif self._conference is not None:
            conference = self._conference
        else:
            raise InvalidParameter("conference", "must be given, for the row or for the plan")
        to = given.pop("to", None)
        if to is None:
            raise InvalidParameter("to", "must be given", code=21201)
        to = normalise_number(str(to), self._region)
        own = given.pop("id", None)
        cells = _cells(to, given)
        if self._shared is None or self._shared[0] != cells:  # else it is that of the row before
            self._shared = cells, self._read(to, given)
        shared = self._shared[1]
        identity = None if own is None else _text("id", own)
        key = target_key(conference, to, identity)
        room = sieve.room_of(row, conference, to, key, shared["template"].label)
        if isinstance(room, Problem):
            return room
        return Target(key=key, to=to, conference=room, row=row, id=identity, **shared)

    def _read(self, to: str, given: Mapping[str, object]) -> dict[str, Any]:
        """Return what the targets of rows have in common that have the same cells."""
        rest = dict(given)
        zone, first, last, purpose, priority = (rest.pop(name, None) for name in _SHARED)
        fields = self._defaults | _with_callers(rest)
        if zone is not None:
            _check_zone(str(zone))
        local = ZoneInfo(str(zone)) if zone is not None else None
        return {
            "time_zone": str(zone) if zone is not None else None,
            "purpose": None if purpose is None else _text("purpose", purpose),
            "earliest": _instant("not_before", first, local),
            "latest": _instant("not_after", last, local),
            "priority": _priority(priority),
            "template": self._request(to, fields),
        }

    def _request(self, to: str, fields: dict[str, object]) -> NewParticipant:
        cells = _cells(to, fields)
        if self._template is None or self._template[0] != cells:
            self._template = cells, _built(to, fields)
        return self._template[1]


def _cells(to: str, given: Mapping[str, object]) -> _Cells:
    """Return what makes two rows alike, but for who is called; true is 1 to a dictionary.

    Raises:
        InvalidParameter: The service could not call that.
    """
    return check_target(to), given, [*map(type, given.values())]


def _text(name: str, content: object) -> str:
    text = str(content)
    if not text.isprintable():
        raise InvalidParameter(name, "must be printable text")
    return text


def _with_callers(fields: dict[str, object]) -> dict[str, object]:
    for name in ("from_", "caller_id"):
        written = str(fields.get(name, ""))
        if written.startswith("+") or not written.isprintable():
            fields[name] = normalise_number(str(fields[name]), parameter=name)
    return fields


def _built(to: str, fields: Mapping[str, object]) -> NewParticipant:
    given: dict[str, Any] = {"from_": "", **fields, "to": to}
    return NewParticipant(**given)


def _instant(name: str, written: object, zone: ZoneInfo | None) -> datetime | None:
    """Return an instant of a row, in UTC; a day alone is its first moment, or its last."""
    if written is None:
        return None
    text = str(written)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameter(
            name, "must be a day or an instant, such as 2026-12-01 or 2026-12-01T09:30"
        ) from None
    if not _FIRST_YEAR <= instant.year < _LAST_YEAR:
        raise InvalidParameter(name, "is not within this century")
    if len(text) <= _LONGEST_DAY and name == "not_after":
        instant += timedelta(days=1)
    if instant.tzinfo is None:
        if zone is None:
            raise InvalidParameter(
                name, "needs an offset, as in 2026-12-01T09:30+01:00, or a time_zone in its row"
            )
        instant = instant.replace(tzinfo=zone)
    return instant.astimezone(UTC)


def _priority(written: object) -> int:
    try:
        priority = int(str(written or 0))
    except ValueError:
        priority = -1
    if not 0 <= priority <= HIGHEST:
        raise InvalidParameter("priority", f"must be a whole number, 0 to {HIGHEST}")
    return priority


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidParameter(
            "time_zone", f"{name!r} is no time zone; write it as Europe/Dublin"
        ) from None
