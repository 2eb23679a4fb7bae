"""Reading the account's call log, and the service's clock with it.

The log is eventually consistent, has no filter for a label or a conference, and hides queued calls
from whoever filters by time (call-resource#read-multiple-call-resources). So it is read in three
parts, in an order that lets no call slip through between them.
"""

import asyncio
import math
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import attrs

from conference_async.errors import UnexpectedReply
from conference_async.models import LoggedCall
from conference_async.sending.lookup import Ask
from conference_async.sending.messages import Reply, Request
from conference_async.sending.sender import Sender
from conference_async.wire import (
    LARGEST_PAGE,
    calls_path,
    calls_query,
    decode_call_page,
    next_page_path,
)

_LIVE = ("queued", "ringing", "in-progress")

_MOST_PAGES = 100
"""More calls than this many pages hold are not read for one search."""

_QUEUED = timedelta(hours=24)
"""How long after its creation a call may start."""


class LogTooLong(Exception):
    """The log holds more calls than are worth reading; it never reaches the caller of a client."""


class Clock(NamedTuple):
    """The service's clock at one instant of the loop's, as a reply told it, to the second."""

    date: datetime
    asked: float
    answered: float

    def earliest(self, instant: float) -> datetime:
        """Return the earliest date that the service may have had at an instant of the loop's."""
        return self.date - timedelta(seconds=self.answered - instant)

    def latest(self, instant: float) -> datetime:
        """Return the latest one."""
        return self.date + timedelta(seconds=1 + instant - self.asked)


class Reading(NamedTuple):
    """What the log held of some calls, whole."""

    calls: dict[str, LoggedCall]
    """By SID."""

    clock: Clock
    """The service's clock, from the reply that took the least time."""


class _Reader:
    def __init__(self, ask: Ask, account_sid: str, most_pages: int = _MOST_PAGES) -> None:
        self._ask = ask
        self._path = calls_path(account_sid)
        self._most_pages = most_pages
        self._pages = 0
        self.calls: dict[str, LoggedCall] = {}
        self.clock: Clock | None = None

    async def read(self, query: str) -> None:
        path: str | None = f"{self._path}?{query}"
        while path is not None:
            if self._pages == self._most_pages:
                raise LogTooLong(
                    f"the call log has more than {self._most_pages} pages of {LARGEST_PAGE} calls "
                    "to these numbers; look at it yourself"
                )
            self._pages += 1
            path = await self._page(path)

    async def _page(self, path: str) -> str | None:
        now = asyncio.get_running_loop().time
        asked = now()
        reply = await self._ask(Request(kind="calls.list", method="GET", path=path))
        self._note(reply, asked, now())
        page = reply.read(decode_call_page)
        for number, call in enumerate(page.items, start=1):
            self.calls[call.sid] = call
            if not number % 100:
                await asyncio.sleep(0)
        link: str | None = page.fields.get("next_page_uri")
        return None if link is None else next_page_path(link)

    def _note(self, reply: Reply, asked: float, answered: float) -> None:
        date = reply.date
        known = self.clock
        if date is not None and (known is None or answered - asked < known.answered - known.asked):
            self.clock = Clock(date, asked, answered)


async def look_at_calls(sender: Sender) -> frozenset[str]:
    """Return the SIDs of the account's live calls, asked for once: whoever wants to looks again.

    Raises:
        ConferenceError: They cannot be read whole.
    """
    retry = attrs.evolve(sender.options.retry, attempts=1)
    options = attrs.evolve(sender.options, deadline=None, retry=retry)
    return await live_calls(sender.with_options(options).request, sender.account_sid)


async def live_calls(ask: Ask, account_sid: str) -> frozenset[str]:
    """Return the SIDs of the account's live calls, whoever made them.

    Args:
        ask: Sends one request.
        account_sid: The account.

    Raises:
        ConferenceError: They cannot be read whole.
    """
    reader = _Reader(ask, account_sid)
    # In the order in which a call goes through them, so that none is missed that moves on.
    try:
        for status in _LIVE:
            await reader.read(calls_query(status=status, page_size=LARGEST_PAGE))
    except LogTooLong as error:
        raise UnexpectedReply(str(error)) from error
    return frozenset(reader.calls)


async def read_log(
    ask: Ask,
    account_sid: str,
    *,
    to: Collection[str],
    from_: str | None,
    since: float,
    until: float = math.inf,
    most_pages: int = _MOST_PAGES,
) -> Reading:
    """Return the calls between some numbers that were created since an instant.

    Args:
        ask: Sends one request.
        account_sid: The account.
        to: The numbers that were called.
        from_: The caller; None for any.
        since: The instant of the loop's clock from which on calls matter; a little more is read.
        until: The instant until which they matter.
        most_pages: How many requests it may take.

    Raises:
        LogTooLong: It would take more.
        ConferenceError: It cannot be read whole, or the service does not say what time it is.
    """
    reader = _Reader(ask, account_sid, min(most_pages, _MOST_PAGES))
    (only,) = to if len(to) == 1 else (None,)
    query = partial(calls_query, to=only, from_=from_, page_size=LARGEST_PAGE)
    # First those that wait: one that starts meanwhile is in the next part, too.
    await reader.read(query(status="queued"))
    if reader.clock is None:
        raise UnexpectedReply("the service's reply has no readable date; check proxies between")
    start = reader.clock.earliest(since) - timedelta(minutes=1)
    passed = asyncio.get_running_loop().time() - until
    end = reader.clock.latest(until) + _QUEUED if passed > _QUEUED.total_seconds() else None
    await reader.read(query(started_since=start, started_before=end))
    # Those that were ended while they waited never started.
    await reader.read(query(status="canceled", ended_since=start))
    calls = {sid: call for sid, call in reader.calls.items() if call.to is None or call.to in to}
    return Reading(calls, reader.clock)
