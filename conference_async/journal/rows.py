"""Intents as rows, and back."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from conference_async.bounds import check_seconds
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.models import ParticipantStatus, PlacedParticipant
from conference_async.sending.entries import State, state_of
from conference_async.sending.intents import LEASE, Intent, number_hash_of
from conference_async.sending.register import Remembered

KEEP = timedelta(days=30)
"""How long a key is remembered at the least, unless a journal is told otherwise."""

_SHORTEST = timedelta(minutes=1)
_fields: tuple["attrs.Attribute[Any]", ...] = attrs.fields(PlacedParticipant)
# What a newer service or an unreadable value may hold is nobody's to keep.
_KEPT = tuple(each.name for each in _fields if each.name not in {"extra", "repeated"})
_DATES = ("date_created", "date_updated")
_STATUSES = {status.value: status for status in ParticipantStatus}


def check_keep(keep: object) -> float:
    """Return in seconds how long keys are to be remembered.

    Raises:
        ConfigurationError: It is no `datetime.timedelta`, or less than a minute.
    """
    if not isinstance(keep, timedelta) or keep < _SHORTEST:
        raise ConfigurationError(
            f"keep must be a timedelta of a minute or more, as in timedelta(days=30), not {keep!r}"
        )
    return check_seconds("keep", keep.total_seconds())


def values_of(intent: Intent, *, keep: float, before: Intent | None = None) -> dict[str, Any]:
    """Return what the statements need of an intent.

    Args:
        intent: The intent as it is to be.
        keep: The seconds for which keys are remembered.
        before: The intent as the journal has it.
    """
    before = before or intent
    return {
        "account_sid": intent.account_sid,
        "key": intent.key,
        "conference": intent.conference,
        "number_hash": intent.number_hash,
        "fingerprint": intent.fingerprint,
        "state": intent.state.value,
        "token": intent.token,
        "label": intent.label,
        "attempts": intent.attempts,
        "call_sid": intent.call_sid,
        "conference_sid": intent.conference_sid,
        "participant": None if intent.participant is None else _text_of(intent.participant),
        "reason": intent.reason,
        "state_before": before.state.value,
        "token_before": before.token,
        "lease": LEASE,
        "keep": keep,
    }


def intent_of(row: Mapping[str, Any], asked: Intent) -> Intent:
    """Return what a row says of the key that was asked for.

    Raises:
        LedgerError: A newer version of the library wrote it, or another program changed it.
    """
    text: str | None = row["participant"]
    state = state_of(row["state"], store="journal")
    # Whoever claimed it and is dead died within a lease of the last renewal.
    alive_for = LEASE if state is State.SENDING else 0.0
    return attrs.evolve(
        asked,
        fingerprint=row["fingerprint"],
        state=state,
        token=row["token"],
        label=row["label"],
        attempts=row["attempts"],
        participant=None if text is None else _participant_of(text),
        reason=row["reason"],
        sent_at=_ago(row["sent_ago"]) if row["sent_ago"] >= 0 else None,
        ended_at=_ago(max(0.0, row["changed_ago"] - alive_for)),
        held=bool(row["held"]),
    )


def hashes_of(account_sid: str, numbers: Iterable[str]) -> dict[int, list[str]]:
    """Return numbers by what finds the creates to them."""
    found: dict[int, list[str]] = {}
    for number in numbers:
        found.setdefault(number_hash_of(account_sid, number), []).append(number)
    return found


def remembered_of(
    rows: Iterable[Mapping[str, Any]], numbers: Mapping[int, list[str]]
) -> list[Remembered]:
    """Return what rows say of the creates to numbers, given as `hashes_of` returns them."""
    return [
        Remembered(
            to=number,
            key=(row["label"], row["conference"]),
            sent_at=_ago(row["sent_ago"]) if row["sent_ago"] >= 0 else None,
            call_sid=row["call_sid"],
        )
        for row in rows
        for number in numbers[row["number_hash"]]
    ]


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def _text_of(participant: PlacedParticipant) -> str:
    content: dict[str, Any] = {name: getattr(participant, name) for name in _KEPT}
    for name in _DATES:
        content[name] = content[name] and content[name].isoformat()
    return json.dumps(content)


def _participant_of(text: str) -> PlacedParticipant:
    try:
        content = {name: value for name, value in json.loads(text).items() if name in _KEPT}
        for name in _DATES:
            content[name] = content[name] and datetime.fromisoformat(content[name])
        content["status"] = _STATUSES.get(content["status"], content["status"])
        return PlacedParticipant(**content)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise LedgerError(
            "the journal has a participant that no version of this library writes: another "
            "program changed it"
        ) from None
