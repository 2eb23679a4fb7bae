"""Targets on their way into a ledger: written beside it by the thousand, as they are read.

What is staged is nobody's to call yet, and is seen by nobody else.
"""

import asyncio
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, LiteralString

import attrs

from conference_async.dialer.calling.decide import Skip, Wait, decide
from conference_async.dialer.calling.known import caller_of, row_of
from conference_async.dialer.plan.columns import HIGHEST
from conference_async.dialer.plan.targets import Target
from conference_async.dialer.rules.wishes import Wishes
from conference_async.dialer.workers.assignments import request_of
from conference_async.errors import LedgerError
from conference_async.models import NewParticipant
from conference_async.postgres.session import Session

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

AT_ONCE = 5_000
"""Targets that are written at a time."""

_APART = 1 << 40
"""How far the places of two priorities lie apart: there are never as many targets."""

FORGOTTEN = "the server was restarted and forgot what was being submitted: submit it again"
"""Why a submission fails whose targets are not there any more."""

_COPY = """
COPY conference_async_staged
    (submission, place, priority, row, target, "to", conference, id, purpose, earliest, latest,
    caller, own_label, request, zones, not_before, reason)
FROM STDIN
"""
_DROP = """
DELETE FROM conference_async_staged WHERE submission = %s AND place = ANY(%s) AND place > 0
"""
_EMPTY = "DELETE FROM conference_async_staged WHERE submission = %s AND place > 0"
_COUNT = "SELECT count(*) AS number FROM conference_async_staged WHERE submission = %s"
# What a submission that was killed left behind, too.
_FORGET: LiteralString = """
DELETE FROM conference_async_staged
WHERE submission = %s OR staged_at < now() - interval '1 day'
"""
_TO_ESCAPE = re.compile(r"[\\\t\n\r]")
_ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NULL = "\\N"
_AT_ONCE_DUE = "epoch"


@attrs.define
class Writer:
    """Turns targets into lines for the database; used in threads, by one at a time.

    Args:
        wishes: The campaign's.
        now: The instant that they are decided by.
    """

    wishes: Wishes
    now: datetime
    _ends_at: datetime | None = attrs.field(init=False)
    _last: NewParticipant | None = attrs.field(init=False, default=None)
    _caller: str = attrs.field(init=False, default="")
    _request: str = attrs.field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        quorum = self.wishes.quorum
        ends = [self.wishes.deadline, quorum and quorum.deadline]
        seconds = min((each for each in ends if each), default=None)
        self._ends_at = None if seconds is None else self.now + timedelta(seconds=seconds)

    def lines(self, submission: str, places: Iterable[int], targets: Iterable[Target]) -> str:
        """Return a line for each target; it may read files, as `Wishes.zones_of` does.

        Args:
            submission: What they are staged for.
            places: The place of each among all.
            targets: The targets.
        """
        lines: list[str] = []
        for place, target in zip(places, targets, strict=True):
            if target.template is not self._last:
                self._remember(target.template)
            who = f"{target.priority}\t{target.row}\t{_text(target.key)}\t{_text(target.to)}"
            where = f"{_text(target.conference)}\t{_or_null(target.id)}"
            when = _shared(target.purpose, target.earliest, target.latest)
            order = f"{self._caller}\t{self._order(target)}"
            lines.append(f"{submission}\t{place}\t{who}\t{where}\t{when}\t{order}\n")
        return "".join(lines)

    def _order(self, target: Target) -> str:
        """Return the request, the time zones, when it is due, and why it is not to be called."""
        wishes = self.wishes
        if not wishes.concern(target):
            return f"{self._request}\t{_NULL}\t{_AT_ONCE_DUE}\t{_NULL}"
        zones = wishes.zones_of(target)
        names = _array([zone.key for zone in zones]) if wishes.contact.ask_for_zones else _NULL
        request = _NULL if wishes.forbids(target.to) else self._request
        due, reason = _AT_ONCE_DUE, _NULL
        match decide(row_of(target), wishes, self.now, zones, self._ends_at):
            case Wait(seconds, _):
                due = (self.now + timedelta(seconds=seconds)).isoformat()
            case Skip(after):
                reason = _text(after.reason or "")
            case _:
                pass
        return f"{request}\t{names}\t{due}\t{reason}"

    def _remember(self, template: NewParticipant) -> None:
        """Make the part of a line that all rows of a template have in common."""
        self._last = template
        self._caller = f"{_or_null(caller_of(template))}\t{_or_null(template.label)}"
        self._request = _text(json.dumps(request_of(template), default=str))


@lru_cache
def _shared(purpose: str | None, earliest: datetime | None, latest: datetime | None) -> str:
    return f"{_or_null(purpose)}\t{_instant(earliest)}\t{_instant(latest)}"


def _text(value: str) -> str:
    if _TO_ESCAPE.search(value):
        return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], value)
    return value


def _instant(instant: datetime | None) -> str:
    return _NULL if instant is None else instant.isoformat()


def _or_null(value: str | None) -> str:
    return _NULL if value is None else _text(value)


def _array(names: Sequence[str]) -> str:
    return "{" + ",".join(f'"{name}"' for name in names) + "}"


def place_of(priority: int, number: int) -> int:
    """Return where a target stands among all: those of higher priorities come first.

    To put them in that order afterwards would be one write to all of them, for which a server may
    need too long.

    Args:
        priority: The target's.
        number: Which one of that priority it is, from 1 on.
    """
    return (HIGHEST - priority) * _APART + number


class Staging:
    """The targets of one submission.

    Args:
        session: Where the ledger is.
        writer: What turns targets into lines.
    """

    def __init__(self, session: Session, writer: Writer) -> None:
        self.submission: str = secrets.token_hex(8)
        self.written: Counter[int] = Counter()
        """How many targets of each priority are staged, or were."""
        self._session = session
        self._writer = writer
        self._buffer: list[Target] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, targets: Iterable[Target]) -> None:
        """Stage targets; they are written once there are enough, while more are read."""
        self._buffer += targets
        if len(self._buffer) >= AT_ONCE:
            await self._write()

    async def flush(self) -> None:
        """Write what was added.

        Raises:
            LedgerError: The server cannot be used.
        """
        await self._write()
        await self._written()

    async def check(self) -> None:
        """Make sure that all is there: a server that is killed forgets what was staged.

        Raises:
            LedgerError: It is not.
        """

        async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
            """Count what is there."""
            return await (await connection.execute(_COUNT, (self.submission,))).fetchone()

        row = await self._session.run(work)
        if row is None or row["number"] != self.written.total():
            raise LedgerError(FORGOTTEN)

    async def drop(self) -> None:
        """Forget what was written so far; the places go on.

        Raises:
            LedgerError: The server cannot be used.
        """
        await self._session.run(lambda connection: connection.execute(_EMPTY, (self.submission,)))

    async def aclose(self) -> None:
        """Forget what is still staged.

        Raises:
            LedgerError: The server cannot be used.
        """
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        await self._session.run(
            lambda connection: connection.execute(_FORGET, (self.submission,)), patience=0
        )

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _write(self) -> None:
        targets, self._buffer = self._buffer, []
        await self._written()
        if targets:
            places = [self._place(target.priority) for target in targets]
            self._writing = asyncio.create_task(self._copy(places, targets))

    def _place(self, priority: int) -> int:
        """Return the next place of a priority."""
        self.written[priority] += 1
        return place_of(priority, self.written[priority])

    async def _copy(self, places: list[int], targets: list[Target]) -> None:
        lines = await asyncio.to_thread(self._writer.lines, self.submission, places, targets)
        tried = False

        async def work(connection: "AsyncConnection[DictRow]") -> None:
            """Write the lines; again, if an answer was lost."""
            nonlocal tried
            async with connection.transaction():
                if tried:
                    await connection.execute(_DROP, (self.submission, places))
                tried = True
                async with connection.cursor().copy(_COPY) as copy:
                    await copy.write(lines)

        await self._session.run(work)
