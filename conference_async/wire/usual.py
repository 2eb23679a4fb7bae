"""Participants of the usual form, which is nearly every one: filled in by hand.

Pages of a thousand participants are common, so this is measured: it is several times as fast as
what reads whatever comes.
"""

import json
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

from conference_async.models import Participant, ParticipantStatus
from conference_async.wire.json_reader import read_json
from conference_async.wire.readings import read_date, read_milliseconds

P = TypeVar("P", bound=Participant)
Payload: TypeAlias = dict[str, Any]
"""A JSON object, or what should be one."""

PARTICIPANT_STATUSES: dict[str, str] = {status.value: status for status in ParticipantStatus}
"""The statuses by their words."""


class _Blank(Participant):
    """A participant that is being filled in: it becomes a frozen one by a change of its class."""

    __slots__ = ()
    __init__: Any = object.__init__  # it begins with nothing in it
    # Both, or the interpreter looks them up for each attribute that is set: ten times as slow.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_PROPERTIES = (
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
_MANY = len(_PROPERTIES)
# As the reader of JSON spells them: it hands out the same text for a name again, and what is the
# same is found without comparing letters, in half the time.
_properties = itemgetter(*read_json(json.dumps(dict.fromkeys(_PROPERTIES)).encode()))


def quickly(cls: type[P], judge: Callable[[Any, Any], P]) -> Callable[[Iterable[Payload]], list[P]]:
    """Return what reads participants, and asks `judge` only about those of an unusual form."""

    def read(payloads: Iterable[Payload]) -> list[P]:
        found: list[Any] = []
        # Looked up a dozen times for each of them.
        kind, text = type, str
        for payload in payloads:
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
                status = PARTICIPANT_STATUSES[status]
                # What has not changed since it was created says the same twice.
                unchanged = updated == created
                created = read_date(created)
                updated = created if unchanged else read_date(updated)
            except (AttributeError, KeyError, TypeError):  # of another type, or missing
                found.append(judge(payload, cls))
                continue
            waits = None if queue_time is None else read_milliseconds(queue_time)
            if not (
                len(payload) == _MANY
                and kind(account_sid) is text
                and kind(call_sid) is text
                and (label is None or kind(label) is text)
                and (coached is None or kind(coached) is text)
                and (coaching is False or coaching is True)
                and kind(conference_sid) is text
                and created is not None
                and updated is not None
                and (ends is False or ends is True)
                and (muted is False or muted is True)
                and (hold is False or hold is True)
                and (starts is True or starts is False)
                and (queue_time is None or waits is not None)
                and kind(uri) is text
            ):
                found.append(judge(payload, cls))
                continue
            blank: Any = _Blank()
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
            blank.queue_time = waits
            blank.uri = uri
            blank.extra = {}
            blank.reconciled = False
            blank.evidence = "reply"
            blank.repeated = False
            blank.__class__ = cls
            found.append(blank)
        return found

    return read
