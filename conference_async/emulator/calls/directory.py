"""Calls by what a test knows of them: the SID, the label or the number."""

from collections.abc import Iterable, Sequence

from conference_async.emulator.state import Account, Call

_MOST_LISTED = 5
_SHOWN_OF_A_NUMBER = 4


class NoSuchCall(LookupError):
    """No call has this SID, label or number, or several live ones do; the message lists them."""


def find(accounts: Iterable[Account], who: str) -> Call:
    """Return the call that is meant: live before over, and of those that are over the newest.

    Args:
        accounts: Whose calls they may be.
        who: The call's SID, its label, or its ``To`` as the create gave it; the
            ``From`` of somebody who dialled in.

    Raises:
        NoSuchCall: There is none, or more than one of them is live.
    """
    accounts = list(accounts)
    if not isinstance(who, str):
        raise NoSuchCall(
            f"a call is named by its SID, label or number, as text, not by {type(who).__name__}"
        )
    for account in accounts:
        if call := account.calls.get(who):
            return call
    calls = [call for account in accounts for call in account.calls.values()]
    named = [call for call in calls if who in (call.label, call.caller_or_called)]
    live = [call for call in named if call.ended is None]
    if len(live) > 1:
        raise NoSuchCall(f"several live calls are named so: give the SID of one. {_listed(live)}")
    if not named:
        raise NoSuchCall(
            "there is no such call: give the call_sid (CA…) that a create returned, a label, or "
            f"a number as it was called. {_listed(calls)}"
        )
    return (live or named)[-1]


def _listed(calls: Sequence[Call]) -> str:
    if not calls:
        return "No call was placed yet"
    latest = calls[: -_MOST_LISTED - 1 : -1]
    more = f", and {len(calls) - len(latest)} more" if len(calls) > len(latest) else ""
    return f"Newest first: {'; '.join(map(_shown, latest))}{more}"


def _shown(call: Call) -> str:
    label = "" if call.label is None else f" {call.label!r}"
    way = "from" if call.direction == "inbound" else "to"
    number = f"***{call.caller_or_called[-_SHOWN_OF_A_NUMBER:]}"
    return f"{call.sid}{label} {way} {number}, {call.call_status}"
