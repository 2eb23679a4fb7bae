"""Calls and conferences as the API shows them."""

from datetime import datetime

from conference_async.emulator.clock import written
from conference_async.emulator.replies import API_VERSION, Json
from conference_async.emulator.state import Account, Call, Room

_LISTED = {"initiated": "ringing"}


def participant(call: Call, *, created: bool = False) -> dict[str, Json]:
    """Return a call as a participant; `created` shows its queue time, as only creates do."""
    room = call.room
    return {
        "account_sid": room.account.sid,
        "call_sid": call.sid,
        "label": call.label,
        "conference_sid": room.sid,
        "date_created": written(call.created),
        "date_updated": written(call.updated),
        "end_conference_on_exit": call.end_conference_on_exit,
        "muted": call.silent,
        "hold": call.hold,
        "status": call.status,
        "start_conference_on_enter": call.start_conference_on_enter,
        "coaching": call.coaching,
        "call_sid_to_coach": call.call_sid_to_coach,
        "queue_time": str(call.queue_time) if created else None,
        "uri": f"{_path(room)}/Participants/{call.sid}.json",
    }


def conference(room: Room) -> dict[str, Json]:
    """Return a conference."""
    path = _path(room)
    return {
        "sid": room.sid,
        "account_sid": room.account.sid,
        "api_version": API_VERSION,
        "friendly_name": room.friendly_name,
        "region": room.region,
        "status": room.status,
        "date_created": written(room.created),
        "date_updated": written(room.updated),
        "reason_conference_ended": room.reason_ended,
        "call_sid_ending_conference": room.call_sid_ending,
        "uri": f"{path}.json",
        "subresource_uris": {
            "participants": f"{path}/Participants.json",
            "recordings": f"{path}/Recordings.json",
        },
    }


def call_record(call: Call) -> dict[str, Json]:
    """Return a call as the account's call log has it."""
    account = call.room.account
    return {
        "sid": call.sid,
        "account_sid": account.sid,
        "api_version": API_VERSION,
        "to": call.to,
        "to_formatted": call.to,
        "from": call.from_,
        "from_formatted": call.from_,
        "parent_call_sid": None,
        "direction": call.direction,
        "status": logged_status(call),
        "answered_by": call.answered_by,
        "queue_time": str(call.queue_time),
        "date_created": written(call.created),
        "date_updated": written(call.updated),
        "start_time": _date(call.started),
        "end_time": _date(call.ended),
        "duration": None if call.duration is None else str(call.duration),
        "uri": f"/{API_VERSION}/Accounts/{account.sid}/Calls/{call.sid}.json",
    }


def account(shown: Account) -> dict[str, Json]:
    """Return an account, without the token, which the caller knows or is not to know."""
    path = f"/{API_VERSION}/Accounts/{shown.sid}"
    return {
        "sid": shown.sid,
        "owner_account_sid": shown.parent.sid if shown.parent else shown.sid,
        "friendly_name": "Emulated account",
        "type": "Full",
        "status": "active",
        "auth_token": None,
        "date_created": written(shown.created),
        "date_updated": written(shown.created),
        "uri": f"{path}.json",
        "subresource_uris": {
            "calls": f"{path}/Calls.json",
            "conferences": f"{path}/Conferences.json",
        },
    }


def logged_status(call: Call) -> str:
    """Return a call's status in the words of the call log, which has no ``initiated``."""
    return _LISTED.get(call.call_status, call.call_status)


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else written(moment)


def _path(room: Room) -> str:
    return f"/{API_VERSION}/Accounts/{room.account.sid}/Conferences/{room.sid}"
