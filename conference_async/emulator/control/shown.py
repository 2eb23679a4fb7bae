"""Calls, conferences, requests, callbacks, rules and scripts as the control API shows them."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from conference_async.emulator.callbacks.delivery import Callback
from conference_async.emulator.calls.scripts import Script
from conference_async.emulator.clock import Clock
from conference_async.emulator.faults import Rule
from conference_async.emulator.recorder import Request
from conference_async.emulator.replies import Json
from conference_async.emulator.state import Account, Call, Room


def account(shown: Account) -> dict[str, Json]:
    """Return an account, without its token."""
    return {
        "account_sid": shown.sid,
        "parent": shown.parent.sid if shown.parent else None,
        "cps": shown.cps,
        "live_calls": shown.live_calls,
        "open_requests": shown.open_requests,
    }


def call(shown: Call) -> dict[str, Json]:
    """Return a call with every parameter of its create."""
    return {
        "sid": shown.sid,
        "account_sid": shown.room.account.sid,
        "conference_sid": shown.room.sid,
        "conference": shown.room.friendly_name,
        "direction": shown.direction,
        "label": shown.label,
        "to": shown.to,
        "from": shown.from_,
        "status": shown.status,
        "call_status": shown.call_status,
        "over": shown.ended is not None,
        "muted": shown.muted,
        "waiting": shown.waiting,
        "hold": shown.hold,
        "coaching": shown.coaching,
        "call_sid_to_coach": shown.call_sid_to_coach,
        "answered_by": shown.answered_by,
        "queue_time": shown.queue_time,
        "created": shown.created.isoformat(),
        "started": _date(shown.started),
        "ended": _date(shown.ended),
        "duration": shown.duration,
        "reason_left": shown.reason_left,
        "parameters": _values(shown.options.values),
    }


def conference(room: Room) -> dict[str, Json]:
    """Return a conference, with the SIDs of those who are in it and of those being called."""
    return {
        "sid": room.sid,
        "account_sid": room.account.sid,
        "name": room.friendly_name,
        "status": room.status,
        "inside": room.inside,
        "being_called": len(room.calls) - room.inside,
        "over": len(room.past),
        "participants": [one.sid for one in room.calls.values()],
        "region": room.region,
        "max_participants": room.max_participants,
        "created": room.created.isoformat(),
        "reason_ended": room.reason_ended,
        "call_sid_ending": room.call_sid_ending,
    }


def request(number: int, came: Request, clock: Clock) -> dict[str, Json]:
    """Return a request with its place in the order of arrival."""
    return {
        "number": number,
        "at": clock.since_opening(came.at),
        "date": clock.date(came.at).isoformat(),
        "kind": came.kind,
        "method": came.method,
        "path": came.path,
        "query": _values(came.query),
        "form": _values(came.form),
        "headers": dict(came.headers),
        "status": came.status,
        "fault": came.fault,
    }


def callback(sent: Callback, clock: Clock) -> dict[str, Json]:
    """Return a callback and what became of it."""
    return {
        "at": clock.since_opening(sent.at),
        "date": clock.date(sent.at).isoformat(),
        "url": sent.url,
        "method": sent.method,
        "event": sent.event,
        "parameters": dict(sent.params),
        "idempotency_token": sent.idempotency_token,
        "status": sent.status,
        "error": sent.error,
    }


def rule(shown: Rule) -> dict[str, Json]:
    """Return what has yet to go wrong."""
    return {
        "fault": shown.injection.fault.value,
        "on": shown.on,
        "times": shown.times,
        "after": shown.after,
        "to": shown.to,
        "label": shown.label,
        "probability": shown.probability,
        "seconds": shown.injection.seconds,
        "retry_after": shown.injection.retry_after,
    }


def script(ending: str, shown: Script) -> dict[str, Json]:
    """Return a script with the end of the targets that it is for."""
    return {"ending": ending, **attrs.asdict(shown)}


def _values(values: Mapping[str, list[str]]) -> dict[str, Json]:
    return {name: list(given) for name, given in values.items()}


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
