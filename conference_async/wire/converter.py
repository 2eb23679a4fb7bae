"""How the service's JSON objects become values.

They are read generously, since what a reply is about has happened whatever form it has: an unknown
property, an unknown status, and any property in another form than the page promises are kept in
`extra`, not refused. Whether a reply may do without a SID is for its reader to decide.

cattrs reads whatever comes. What comes is nearly always of the usual form, and so this is loaded
when something first is not, or when a conference is first read.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, cast

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from conference_async.models import Conference, ConferenceStatus, Participant, PlacedParticipant
from conference_async.models.vocabulary import UNKNOWN
from conference_async.wire.readings import read_date, read_milliseconds
from conference_async.wire.usual import PARTICIPANT_STATUSES, Payload, quickly

R = TypeVar("R", Participant, PlacedParticipant, Conference)
S = TypeVar("S")
Hook: TypeAlias = Callable[[Any, Any], Any]
"""A function of a JSON value and the type that is wanted, as cattrs calls it."""

_OURS = ("extra", "reconciled", "evidence", "repeated")
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
        read = quickly(cls, _keeping_the_rest(cls, converter, hooks))
        converter.register_structure_hook(cls, lambda payload, _, read=read: read([payload])[0])
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
    return PARTICIPANT_STATUSES.get(value, value) if isinstance(value, str) else UNKNOWN


def _conference_status(value: object, _: object) -> str:
    return _CONFERENCE_STATUSES.get(value, value) if isinstance(value, str) else UNKNOWN


def _date(value: object, _: object) -> datetime | None:
    return read_date(value) if isinstance(value, str) else None


def _milliseconds(value: object, _: object) -> int | None:
    return read_milliseconds(value)


def _mapping(value: object, _: object) -> Payload:
    return cast("Payload", value) if isinstance(value, dict) else {}
