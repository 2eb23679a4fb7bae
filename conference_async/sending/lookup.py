"""Finding the live conference of a name, and the live participant of a label, and whose it is.

`ours` and `ours_in_log` alone decide whether something that was found is what a create of ours
placed.
"""

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from unicodedata import normalize

import attrs

from conference_async.errors import LabelInUse, NotFound, UnexpectedReply
from conference_async.looks import Held
from conference_async.models import Conference, LoggedCall, PlacedParticipant, is_conference_sid
from conference_async.sending.messages import Reply, Request
from conference_async.sending.register import LATEST
from conference_async.wire import (
    LARGEST_PAGE,
    conferences_path,
    conferences_query,
    decode_conference_page,
    decode_participant,
    decode_participant_page,
    next_page_path,
    participant_path,
    participants_path,
    participants_query,
)

_MOST_PAGES = 20
"""A conference holds 250 participants, who fit on one page."""

ROUNDING = timedelta(seconds=2)
"""The service's dates are whole seconds, and both of them may be up to one off."""

Ask = Callable[[Request], Awaitable[Reply]]


class Found(NamedTuple):
    """A live participant, and when the service said so by its own clock."""

    participant: PlacedParticipant
    seen_at: datetime | None


def _conferences(body: bytes) -> list[Conference]:
    return list(decode_conference_page(body).items)


async def live_conference(ask: Ask, account_sid: str, name: str) -> Conference | None:
    """Return the conference of that friendly name that is not over, or None.

    Many conferences may have had the name; at most one of them is in progress. One whose
    participants are all still ringing is ``init``.
    """
    for status in ("in-progress", "init"):
        query = conferences_query(friendly_name=name, status=status)
        request = Request(
            kind="conference.list", method="GET", path=f"{conferences_path(account_sid)}?{query}"
        )
        for conference in (await ask(request)).read(_conferences):
            if conference.friendly_name == name:
                return conference
    return None


async def live_participant(ask: Ask, account_sid: str, conference: str, label: str) -> Found | None:
    """Return the live participant with that label (or Call SID), or None.

    Args:
        ask: Sends one request.
        account_sid: The account.
        conference: A conference SID or a friendly name.
        label: The label or Call SID.
    """
    if not is_conference_sid(conference):
        found = await live_conference(ask, account_sid, conference)
        if found is None or found.sid is None:
            return None
        conference = found.sid
    request = Request(
        kind="fetch", method="GET", path=participant_path(account_sid, conference, label)
    )
    try:
        reply = await ask(request)
    except NotFound:
        return None
    return Found(reply.read(decode_participant), reply.date)


class Living(NamedTuple):
    """The live participants of a conference."""

    conference_sid: str
    """The conference; empty if none of that name is live."""

    people: Mapping[str, Found]
    """Those who have a label, by that."""


async def everybody_living(ask: Ask, account_sid: str, conference: str) -> Living:
    """Return the live participants of a conference.

    Args:
        ask: Sends one request.
        account_sid: The account.
        conference: A conference SID or a friendly name.
    """
    if not is_conference_sid(conference):
        found = await live_conference(ask, account_sid, conference)
        if found is None or found.sid is None:
            return Living("", {})
        conference = found.sid
    query = participants_query(page_size=LARGEST_PAGE)
    path: str | None = f"{participants_path(account_sid, conference)}?{query}"
    people: dict[str, Found] = {}
    for _ in range(_MOST_PAGES):
        if path is None:
            return Living(conference, people)
        try:
            reply = await ask(Request(kind="list", method="GET", path=path))
        except NotFound:
            return Living(conference, {})
        page = reply.read(decode_participant_page)
        for person in page.items:
            if person.label and person.call_sid:
                fields: dict[str, Any] = attrs.asdict(person, recurse=False)
                fields["conference_sid"] = conference
                placed = PlacedParticipant(**fields)
                people[person.label] = Found(placed, reply.date)
        link: str | None = page.fields.get("next_page_uri")
        path = None if link is None else next_page_path(link)
    raise UnexpectedReply(f"{conference} has no end of participants; check any proxy in between")


def same_label(sent: str | None, answered: str | None) -> bool:
    """Return whether a record can be about the label that was sent.

    One without a label can: the service may leave it out. Upper and lower case are one, and so
    are two ways to write an accent, since another label of ours would differ by more.
    """
    return (
        answered == sent or sent is None or answered is None or _folded(answered) == _folded(sent)
    )


def _folded(label: str) -> str:
    return normalize("NFC", label.strip()).casefold()


def ours(
    found: Found, *, label: str, minted: bool, sent_ago: timedelta | None, to: str | None = None
) -> PlacedParticipant | None:
    """Return what a label found if it is what a create of ours placed, with ``reconciled=True``.

    This alone decides it, whatever road led here: the create that got no answer, an error that is
    asked later, or a run that finds what an earlier one had begun. Somebody taken for whom we
    called would be worse than not to know. Dates are compared on the service's own clock, so that
    no clock of ours can be wrong; ours only says how much time has passed.

    Args:
        found: The participant, and when the service said so.
        label: The label that the create carried.
        minted: Whether the label is random, so that it is nobody else's, whenever they came.
        sent_ago: How long ago the create was first sent; None if that is not known.
        to: Whom it called, compared where a record shows it; None if that is not known.

    Returns:
        The participant; None if it is somebody else, or may be.

    Raises:
        LabelInUse: It was in the conference before the create was sent. A label is carried by one
            participant at a time, so the create placed nothing.
    """
    participant = found.participant
    called = participant.extra.get("to")
    if not same_label(label, participant.label) or (to and called and called != to):
        return None
    placed = attrs.evolve(participant, reconciled=True, evidence="label")
    if minted or sent_ago is None:
        return placed
    created, seen = participant.date_created, found.seen_at
    if created is None or seen is None:
        return None
    if created < seen - sent_ago - ROUNDING:
        raise LabelInUse(
            f"create: label {label!r} belongs to a participant who was in the conference before, "
            "so nothing was placed; give each participant its own label",
            status=400,
            code=16026,
        )
    return placed if created <= seen - sent_ago + LATEST else None


class Window(NamedTuple):
    """When a create may have placed a call, by the service's clock."""

    opens: datetime
    """A call that was created before is another one's."""

    since: datetime
    """A call of ours was created after this, if clocks agree."""

    due: datetime
    """A call of ours was created by then, if nothing held the request back."""

    closes: datetime
    """A call that was created after is another one's."""


def possible_calls(
    calls: Iterable[LoggedCall],
    *,
    to: str,
    callers: Container[str | None],
    window: Window,
    claimed: Container[str],
) -> list[LoggedCall]:
    """Return the calls of the log that a create of ours may have placed.

    Args:
        calls: What the log holds, of these numbers and perhaps of others; read in full.
        to: The number that was called.
        callers: The numbers that it may show as its caller.
        window: When it may have been created.
        claimed: The SIDs of calls that other creates placed, or that are in another conference.
    """
    return [
        call
        for call in calls
        if call.sid not in claimed
        and call.direction in {None, "outbound-api"}
        and call.to in {None, to}
        and (call.from_ is None or call.from_ in callers)
        and (call.date_created is None or window.opens <= call.date_created <= window.closes)
    ]


def ours_in_log(
    possible: Sequence[LoggedCall], window: Window, *, shared: bool
) -> LoggedCall | Held:
    """Return the one call of the log that a create of ours placed, or why none can be named.

    The log has no labels, so this goes by exclusion: exactly one call went to that number from
    that caller while the request was under way, and nothing else claims it. Somebody else's call
    taken for ours would be worse than not to know, so whatever leaves a doubt ends it.

    Args:
        possible: What `possible_calls` found.
        window: When ours may have been created.
        shared: Whether another create to that number is in doubt, too.

    Returns:
        The call; else ``absent``, ``several``, ``shared``, ``untimely`` or ``unreadable``.
    """
    if not possible:
        return "absent"
    if any(None in {call.to, call.from_, call.date_created} for call in possible):
        return "unreadable"
    if len(possible) > 1:
        return "several"
    if shared:
        return "shared"
    (call,) = possible
    created = call.date_created
    return call if created and window.since <= created <= window.due else "untimely"
