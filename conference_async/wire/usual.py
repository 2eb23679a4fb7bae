"""Participants of the usual form, which is nearly every one: filled in by hand.

Pages of a thousand participants are common, so this is measured: it is several times as fast as
what reads whatever comes.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

from conference_async.models import Participant, ParticipantStatus
from conference_async.wire.readings import read_date, read_milliseconds

P = TypeVar("P", bound=Participant)
Payload: TypeAlias = dict[str, Any]
"""A JSON object, or what should be one."""

PARTICIPANT_STATUSES: dict[str, str] = {status.value: status for status in ParticipantStatus}
"""The statuses by their words."""


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
            status = PARTICIPANT_STATUSES[status]
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
