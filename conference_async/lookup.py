"""Finding the live conference of a name, and the live participant of a label."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import attrs

from conference_async.errors import NotFound
from conference_async.models import Conference, Participant, is_conference_sid
from conference_async.transport import Reply, Request
from conference_async.wire import (
    conferences_path,
    conferences_query,
    decode_conference_page,
    decode_participant,
    participant_path,
)

Ask = Callable[[Request], Awaitable[Reply]]


@attrs.frozen
class Found:
    """A live participant, and when the service said so by its own clock."""

    participant: Participant
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
