"""The ledger in a file.

SQLite's write-ahead mode with ``synchronous=FULL``: a write that was answered has reached the
disk. A power failure can lose only writes that nobody was told of, so it can leave a target
``sending`` that was answered, which is looked up, but never one ``planned`` that was sent.

One worker thread does all the work, and commits everything that waits for it at once.
"""

import asyncio
import json
import sqlite3
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import attrs

from conference_async.dialer.ledger import Campaign, Outcome, State
from conference_async.dialer.sqlite_file import LedgerFile
from conference_async.errors import LedgerError

_PAGE = 500
_TIMES = ("sent_at", "ended_at")
_INSERT = """
    INSERT OR IGNORE INTO outcome VALUES (
        NULL, :target, :to, :conference, :state, :token, :label, :attempts, :call_sid,
        :conference_sid, :sent_at, :ended_at, :reason)
"""
_FIND = "SELECT * FROM outcome WHERE target = ?"
_SWAP = """
    UPDATE outcome SET
        "to" = :to, conference = :conference, state = :state, token = :token, label = :label,
        attempts = :attempts, call_sid = :call_sid, conference_sid = :conference_sid,
        sent_at = :sent_at, ended_at = :ended_at, reason = :reason
    WHERE target = :target AND (
        (state = :state_before AND token IS :token_before) OR (state = :state AND token IS :token))
"""
_ONWARDS = """
    SELECT * FROM outcome
    WHERE number > ? AND state IN (SELECT value FROM json_each(?)) ORDER BY number LIMIT ?
"""

T = TypeVar("T")
_Job: TypeAlias = tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]


class Ledger:
    """The ledger of one campaign, in an SQLite file that any SQLite tool can read.

    Use it as ``async with Ledger("campaign.db") as ledger``; a `Dialer` opens it by itself too.
    The file, and those that SQLite keeps beside it, can be read by their owner only: they hold
    phone numbers.

    Args:
        path: The file, made if there is none. None keeps the ledger in a temporary file for as
            long as this object lives: nothing survives a crash.
        read_only: Whether only to look at an existing ledger, while somebody else may be
            writing to it.
    """

    def __init__(self, path: str | PathLike[str] | None = None, *, read_only: bool = False) -> None:
        self._file = LedgerFile(None if path is None else Path(path), read_only=read_only)
        self._temporary = path is None
        self._connection: sqlite3.Connection | None = None
        self._users = 0
        self._begun = False
        self._opening = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="conference_async.ledger")
        self._waiting: list[_Job] = []
        self._guard = threading.Lock()

    async def __aenter__(self) -> Self:
        async with self._opening:
            if self._connection is None:
                await self._in_thread(self._connect)
            self._users += 1
        return self

    def _connect(self) -> None:
        self._connection = self._file.connect()
        if self._temporary:
            weakref.finalize(self, self._connection.close)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users -= 1
        if self._users == 0 and self._connection is not None and not self._temporary:
            connection, self._connection = self._connection, None
            await self.end()
            await self._in_thread(connection.close)

    async def begin(self, campaign: Campaign) -> None:
        """Become the campaign's one writer; the first time, name the ledger after it.

        Raises:
            LedgerError: Another writer is at work, the ledger is another campaign's, or it cannot
                be written to.
        """
        if self._begun:
            raise LedgerError(f"{self._file.name} is in use by another run; nothing was dialled")
        self._begun = True
        try:
            await self._in_thread(self._file.lock)
            known = await self.campaign()
            if known is not None:
                known.check(campaign)
            row = attrs.asdict(campaign if campaign.total is not None or not known else known)
            await self._do(
                lambda connection: connection.execute(
                    "REPLACE INTO campaign VALUES (1, :name, :account_sid, :total)", row
                )
            )
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        """Let another writer begin."""
        self._begun = False
        await asyncio.shield(self._in_thread(self._file.unlock))

    async def campaign(self) -> Campaign | None:
        """Return whose ledger it is, or None if nobody has begun."""
        rows = await self._do(
            lambda connection: connection.execute(
                "SELECT name, account_sid, total FROM campaign"
            ).fetchall()
        )
        return next(
            (Campaign(name=name, account_sid=sid, total=total) for name, sid, total in rows), None
        )

    async def enrol(self, targets: Sequence[Outcome]) -> list[Outcome]:
        """Add what is new, durably; return what is now known of each, in the same order."""

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            """Enrol what is new, and return all as they stand."""
            connection.executemany(_INSERT, map(_row, targets))
            return [connection.execute(_FIND, (each.target,)).fetchone() for each in targets]

        return [_outcome(row) for row in await self._do(work)]

    async def swap(self, before: Outcome, after: Outcome) -> bool:
        """Replace `before` by `after`, durably; return whether `after` now stands.

        It does only if the target had the state and the token of `before`, or has those of
        `after` already: this write repeated.
        """
        row = _row(after) | {"state_before": before.state, "token_before": before.token}
        return await self._do(lambda connection: connection.execute(_SWAP, row).rowcount == 1)

    async def outcomes(self, *states: State) -> AsyncGenerator[Outcome, None]:
        """Yield the targets in these states (all if none are given) in the order of the plan."""
        wanted = json.dumps(states or list(State))
        last = 0

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            """Return the next page of rows."""
            return connection.execute(_ONWARDS, (last, wanted, _PAGE)).fetchall()

        while page := await self._do(work):
            last = page[-1]["number"]
            for row in page:
                yield _outcome(row)

    async def counts(self) -> dict[State, int]:
        """Return how many targets are in which state."""
        rows = await self._do(
            lambda connection: connection.execute(
                "SELECT state, count(*) FROM outcome GROUP BY state"
            ).fetchall()
        )
        found = {State(state): number for state, number in rows}
        return {state: found.get(state, 0) for state in State}

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        if self._connection is None:
            raise LedgerError(f"{self._file.name} is closed; use it as `async with Ledger(...)`")
        future: asyncio.Future[T] = loop.create_future()
        with self._guard:
            self._waiting.append((work, future))
            first = len(self._waiting) == 1
        if first:
            _ = loop.run_in_executor(self._worker, self._commit, self._connection, loop)
        return await future

    def _commit(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        with self._guard:
            jobs, self._waiting = self._waiting, []
        connection.row_factory = sqlite3.Row
        results: list[Any] = []
        error: LedgerError | None = None
        try:
            connection.execute("BEGIN")
            results = [work(connection) for work, _ in jobs]
            connection.execute("COMMIT")
        except sqlite3.Error as problem:
            error = self._failed(problem)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        loop.call_soon_threadsafe(_settle, jobs, results, error)

    def _failed(self, error: sqlite3.Error) -> LedgerError:
        return LedgerError(f"{self._file.name} cannot be used: {error}; nothing more is dialled")

    def __repr__(self) -> str:
        return f"<Ledger {self._file.name}>"


def _settle(jobs: Sequence[_Job], results: Sequence[object], error: LedgerError | None) -> None:
    for number, (_, future) in enumerate(jobs):
        if future.done():
            continue  # whoever waited was cancelled; what it asked for was done all the same
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(results[number])


def _row(outcome: Outcome) -> dict[str, object]:
    row = attrs.asdict(outcome)
    for name in _TIMES:
        at: datetime | None = row[name]
        row[name] = None if at is None else at.isoformat(timespec="milliseconds")
    return row


def _outcome(row: sqlite3.Row) -> Outcome:
    content = dict(row)
    del content["number"]
    for name in _TIMES:
        at: str | None = content[name]
        content[name] = None if at is None else datetime.fromisoformat(at)
    return Outcome(**content)
