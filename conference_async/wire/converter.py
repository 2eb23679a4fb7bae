"""How the service's JSON objects become values.

They are read generously, since what a reply is about has happened whatever form it has: an unknown
property, an unknown status, and any property in another form than the page promises are kept in
`extra`, not refused. Whether a reply may do without a SID is for its reader to decide.

Pages of a thousand participants are common, so this is measured. cattrs reads whatever comes;
a participant of the usual form is filled in by hand, several times as fast.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar, cast

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from conference_async.models import (
    Conference,
    ConferenceStatus,
    Participant,
    ParticipantStatus,
    PlacedParticipant,
)
from conference_async.models.vocabulary import UNKNOWN
from conference_async.wire.readings import read_date, read_milliseconds

R = TypeVar("R", Participant, PlacedParticipant, Conference)
P = TypeVar("P", bound=Participant)
S = TypeVar("S")
Payload: TypeAlias = dict[str, Any]
"""A JSON object, or what should be one."""
Hook: TypeAlias = Callable[[Any, Any], Any]
"""A function of a JSON value and the type that is wanted, as cattrs calls it."""

_OURS = ("extra", "reconciled", "evidence", "repeated")
_PARTICIPANT_STATUSES: dict[str, str] = {status.value: status for status in ParticipantStatus}
_CONFERENCE_STATUSES: dict[str, str] = {status.value: status for status in ConferenceStatus}


def make_converter(*, forbid_unknown: bool = False) -> Converter:
    """Return a converter whose `structure` reads `Participant` and `Conference`.

    Args:
        forbid_unknown: Refuse properties that we do not know, instead of keeping them in `extra`.
    """
    converter = Converter(detailed_validation=False, forbid_extra_keys=forbid_unknown)
    converter.register_structure_hook(str, _if_it_is)
    converter.register_structure_hook(bool, _if_it_is)
    dates = {"date_created": _date, "date_updated": _date}
    hooks = {"status": _participant_status, "queue_time": _milliseconds, **dates}
    for cls in (Participant, PlacedParticipant):
        converter.register_structure_hook(
            cls, quickly(cls, _keeping_the_rest(cls, converter, hooks))
        )
    conference = _keeping_the_rest(
        Conference,
        converter,
        {"status": _conference_status, "subresource_uris": _mapping, **dates},
    )
    converter.register_structure_hook(Conference, conference)
    return converter


def _keeping_the_rest(
    cls: type[R], converter: Converter, hooks: Mapping[str, Hook]
) -> Callable[[Any, Any], R]:
    """Return a hook that keeps in `extra` whatever no other field could hold."""
    names = _names(cls)
    known = frozenset(names).difference(_OURS)
    overrides: dict[str, Any] = {name: override(omit=True) for name in names if name not in known}
    overrides |= {name: override(struct_hook=hook) for name, hook in hooks.items()}
    structure = make_dict_structure_fn(cls, converter, **overrides)

    def read(payload: object, _: object) -> R:
        properties = _object(payload)
        value = structure(properties, cls)
        extra = {
            name: content
            for name, content in properties.items()
            if name not in known or (content is not None and _unread(name, content, value))
        }
        return attrs.evolve(value, extra=extra) if extra else value

    return read


class _Blank(Participant):
    """A participant that is being filled in: it becomes a frozen one by a change of its class."""

    __slots__ = ()
    # Both, or the interpreter looks them up for each attribute that is set: ten times as slow.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_properties = itemgetter(
    "account_sid",
    "call_sid",
    "label",
    "call_sid_to_coach",
    "coaching",
    "conference_sid",
    "date_created",
    "date_updated",
    "end_conference_on_exit",
    "muted",
    "hold",
    "start_conference_on_enter",
    "status",
    "queue_time",
    "uri",
)
_PROPERTIES = 15


def quickly(cls: type[P], judge: Callable[[Any, Any], P]) -> Callable[[Any, Any], P]:
    """Return a hook that asks `judge` only about a participant of an unusual form."""

    def read(payload: Payload, _: object) -> P:
        try:
            (
                account_sid,
                call_sid,
                label,
                coached,
                coaching,
                conference_sid,
                created,
                updated,
                ends,
                muted,
                hold,
                starts,
                status,
                queue_time,
                uri,
            ) = _properties(payload)
            if not (
                len(payload) == _PROPERTIES
                and type(account_sid) is str
                and type(call_sid) is str
                and (label is None or type(label) is str)
                and (coached is None or type(coached) is str)
                and type(coaching) is bool
                and type(conference_sid) is str
                and type(created) is str
                and type(updated) is str
                and type(ends) is bool
                and type(muted) is bool
                and type(hold) is bool
                and type(starts) is bool
                and type(uri) is str
            ):
                return judge(payload, cls)
            status = _PARTICIPANT_STATUSES[status]
            # What has not changed since it was created says the same twice.
            unchanged = updated == created
            created = read_date(created)
            updated = created if unchanged else read_date(updated)
        except (KeyError, TypeError):  # something is missing, or this is no object at all
            return judge(payload, cls)
        if queue_time is not None:
            queue_time = read_milliseconds(queue_time)
            if queue_time is None:
                return judge(payload, cls)
        if created is None or updated is None:
            return judge(payload, cls)
        blank: Any = _Blank.__new__(_Blank)
        blank.account_sid = account_sid
        blank.call_sid = call_sid
        blank.label = label
        blank.call_sid_to_coach = coached
        blank.coaching = coaching
        blank.conference_sid = conference_sid
        blank.date_created = created
        blank.date_updated = updated
        blank.end_conference_on_exit = ends
        blank.muted = muted
        blank.hold = hold
        blank.start_conference_on_enter = starts
        blank.status = status
        blank.queue_time = queue_time
        blank.uri = uri
        blank.extra = {}
        blank.reconciled = False
        blank.evidence = "reply"
        blank.repeated = False
        blank.__class__ = cls
        return blank  # type: ignore[no-any-return]  # it is of that class by now

    return read


def _names(cls: type[attrs.AttrsInstance]) -> list[str]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)
    return [field.name for field in fields]


def _unread(name: str, content: object, value: Participant | Conference) -> bool:
    """Return whether a field could not hold its property, for the property's form."""
    held: object = getattr(value, name)
    return held != content and (name == "status" or held in (None, {}))


def _if_it_is(value: object, wanted: type[S]) -> S | None:
    return value if isinstance(value, wanted) else None


def _object(value: object) -> Payload:
    if not isinstance(value, dict):
        raise TypeError(f"an object expected, not {type(value).__name__}")
    return cast("Payload", value)


def _participant_status(value: object, _: object) -> str:
    return _PARTICIPANT_STATUSES.get(value, value) if isinstance(value, str) else UNKNOWN


def _conference_status(value: object, _: object) -> str:
    return _CONFERENCE_STATUSES.get(value, value) if isinstance(value, str) else UNKNOWN


def _date(value: object, _: object) -> datetime | None:
    return read_date(value) if isinstance(value, str) else None


def _milliseconds(value: object, _: object) -> int | None:
    return read_milliseconds(value)


def _mapping(value: object, _: object) -> Payload:
    return cast("Payload", value) if isinstance(value, dict) else {}
