"""How the service's JSON objects become values.

They are read strictly where a mistake could reach the caller (a status must be there, a label must
be text) and generously where the service may grow: an unknown property, an unknown status, a date
or a number in a new form are kept, not refused.

Pages of a thousand participants are common, so this is measured. cattrs judges each shape of a
participant (which properties are there, and of which types) once; participants of a shape that it
has accepted are filled in directly, several times as fast.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, cast

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from conference_async.models import Conference, ConferenceStatus, Participant, ParticipantStatus
from conference_async.wire.readings import read_date, read_milliseconds

R = TypeVar("R", Participant, Conference)
S = TypeVar("S")
Payload: TypeAlias = dict[str, Any]
"""A JSON object, or what should be one."""
Hook: TypeAlias = Callable[[Any, Any], Any]
"""A function of a JSON value and the type that is wanted, as cattrs calls it."""

_MOST_SHAPES = 1024
_OURS = ("extra", "reconciled")
_PARTICIPANT_STATUSES: dict[str, str] = {status.value: status for status in ParticipantStatus}
_CONFERENCE_STATUSES: dict[str, str] = {status.value: status for status in ConferenceStatus}


def make_converter(*, forbid_unknown: bool = False) -> Converter:
    """Return a converter whose `structure` reads `Participant` and `Conference`.

    Args:
        forbid_unknown: Refuse properties that we do not know, instead of keeping them in `extra`.
    """
    converter = Converter(detailed_validation=False, forbid_extra_keys=forbid_unknown)
    converter.register_structure_hook(str, _exactly)
    converter.register_structure_hook(bool, _exactly)
    dates = {"date_created": _date, "date_updated": _date}
    participant = _keeping_the_rest(
        Participant,
        converter,
        {"status": _participant_status, "queue_time": _milliseconds, **dates},
    )
    conference = _keeping_the_rest(
        Conference,
        converter,
        {"status": _conference_status, "subresource_uris": _mapping, **dates},
    )
    converter.register_structure_hook(Participant, _by_shape(participant))
    converter.register_structure_hook(Conference, conference)
    return converter


def _keeping_the_rest(
    cls: type[R], converter: Converter, hooks: Mapping[str, Hook]
) -> Callable[[Any, Any], R]:
    """Return a hook that keeps in `extra` whatever no other field holds."""
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
            if name not in known or (content is not None and getattr(value, name) is None)
        }
        return attrs.evolve(value, extra=extra) if extra else value

    return read


def _by_shape(judge: Callable[[Any, Any], Participant]) -> Callable[[Any, Any], Participant]:
    """Return a hook that asks `judge` about each new shape only."""
    wanted = len(_names(Participant)) - len(_OURS)
    accepted: dict[tuple[object, ...], list[tuple[str, Callable[[Any], object]]]] = {}

    def read(payload: Payload, _: object) -> Participant:
        try:
            shape = (*payload, *map(type, payload.values()))
        except (AttributeError, TypeError):  # this is no object at all
            return judge(payload, Participant)
        converted = accepted.get(shape)
        if converted is None:
            return learn(payload, shape)
        state = payload.copy()
        for name, convert in converted:
            state[name] = value = convert(payload[name])
            if value is None:
                return judge(payload, Participant)
        state["extra"] = {}
        state["reconciled"] = False
        participant = object.__new__(Participant)
        object.__setattr__(participant, "__dict__", state)
        return participant

    def learn(payload: Payload, shape: tuple[object, ...]) -> Participant:
        participant = judge(payload, Participant)
        whole = len(payload) == wanted and not participant.extra
        if whole and len(accepted) < _MOST_SHAPES:
            accepted[shape] = [each for each in _CONVERTED if payload[each[0]] is not None]
        return participant

    return read


def _names(cls: type[attrs.AttrsInstance]) -> list[str]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)
    return [field.name for field in fields]


def _exactly(value: object, wanted: type[S]) -> S:
    if not isinstance(value, wanted):
        raise TypeError(f"{wanted.__name__} expected, not {type(value).__name__}")
    return value


def _object(value: object) -> Payload:
    if not isinstance(value, dict):
        raise TypeError(f"an object expected, not {type(value).__name__}")
    return cast("Payload", value)


def _participant_status(value: object, _: object) -> str:
    word = _exactly(value, str)
    return _PARTICIPANT_STATUSES.get(word, word)


def _conference_status(value: object, _: object) -> str:
    word = _exactly(value, str)
    return _CONFERENCE_STATUSES.get(word, word)


def _date(value: object, _: object) -> datetime | None:
    return None if value is None else read_date(_exactly(value, str))


def _milliseconds(value: object, _: object) -> int | None:
    return None if value is None else read_milliseconds(_exactly(value, str))


def _mapping(value: object, _: object) -> Payload:
    return {} if value is None else _object(value)


_CONVERTED: tuple[tuple[str, Callable[[Any], object]], ...] = (
    ("status", lambda word: _PARTICIPANT_STATUSES.get(word, word)),
    ("date_created", read_date),
    ("date_updated", read_date),
    ("queue_time", read_milliseconds),
)
