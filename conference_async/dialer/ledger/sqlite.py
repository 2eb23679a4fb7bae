"""The ledger in a file.

SQLite's write-ahead mode with ``synchronous=FULL``: a write that was answered has reached the
disk. A power failure can lose only writes that were not answered, so it can leave a target
``sending`` that was answered, which is looked up, but never one ``planned`` that was sent.

One worker thread does all the work, and commits everything that waits for it at once.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import attrs

from conference_async.dialer.ledger.file import LedgerFile
from conference_async.dialer.ledger.outcome import Campaign, Outcome, counted, known
from conference_async.errors import LedgerError
from conference_async.sending.entries import State
from conference_async.sqlite.commits import Commits
from conference_async.sqlite.file import SQLiteFile
from conference_async.sqlite.handle import absolute, copy
from conference_async.sqlite.refusals import place_or_right, words

_PAGE = 500
_TIMES = ("sent_at", "ended_at", "earliest", "latest")
_INSERT = """
    INSERT INTO outcome (
        target, "to", conference, state, token, label, attempts, call_sid, conference_sid, sent_at,
        ended_at, reason, caller, row, id, own_label, purpose, earliest, latest)
    VALUES (
        :target, :to, :conference, :state, :token, :label, :attempts, :call_sid, :conference_sid,
        :sent_at, :ended_at, :reason, :caller, :row, :id, :own_label, :purpose, :earliest, :latest)
    ON CONFLICT (target) DO UPDATE
    SET row = excluded.row, id = excluded.id, own_label = excluded.own_label,
        purpose = excluded.purpose, earliest = excluded.earliest, latest = excluded.latest
    WHERE (outcome.row, outcome.id, outcome.own_label, outcome.purpose, outcome.earliest,
        outcome.latest) IS NOT (excluded.row, excluded.id, excluded.own_label, excluded.purpose,
        excluded.earliest, excluded.latest)
"""
_FIND = "SELECT * FROM outcome WHERE target = ?"
_SWAP = """
    UPDATE outcome SET
        "to" = :to, conference = :conference, state = :state, token = :token, label = :label,
        attempts = :attempts, call_sid = :call_sid, conference_sid = :conference_sid,
        sent_at = :sent_at, ended_at = :ended_at, reason = :reason, caller = :caller
    WHERE target = :target AND (
        (state = :state_before AND token IS :token_before) OR (state = :state AND token IS :token))
"""
_ONWARDS = """
    SELECT * FROM outcome
    WHERE number > :last AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
    ORDER BY number LIMIT :most
"""
_CALLED = """
    SELECT * FROM outcome
    WHERE "to" IN (SELECT value FROM json_each(:numbers)) AND attempts > 0
"""

T = TypeVar("T")


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
        self._ledger = LedgerFile(path, read_only=read_only)
        self._file = self._ledger.file
        self._temporary = path is None
        self._users = 0
        self._begun = False
        self._commits = Commits(self._file, self._failed)
        self._process = os.getpid()

    async def __aenter__(self) -> Self:
        self._notice_fork()
        self._users += 1
        try:
            await self._reported(self._file.open())
        except BaseException:
            self._users -= 1
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users -= 1
        if self._users == 0 and not self._temporary:
            await self.end()
            if self._users == 0:  # nobody came meanwhile
                await self._file.aclose()

    def _notice_fork(self) -> None:
        """Begin as if closed in a process that was forked: what is open is its parent's.

        Raises:
            LedgerError: It is a temporary ledger, which only that process has.
        """
        if self._process == os.getpid():
            return
        if self._temporary:
            raise LedgerError(
                "the temporary ledger is only known to the process that made it; give the ledger "
                "a path, or make it after the fork"
            )
        self._ledger.forget_lock()
        self._users, self._begun = 0, False
        self._commits.forget()
        self._process = os.getpid()

    async def begin(self, campaign: Campaign) -> None:
        """Become the campaign's one writer; the first time, name the ledger after it.

        Raises:
            LedgerError: Another writer is at work, the ledger is another campaign's, or it cannot
                be written to.
        """
        self._notice_fork()
        if self._begun:
            raise LedgerError(f"{self._ledger.name} is in use by another run; nothing was dialled")
        self._begun = True
        try:
            await self._reported(self._file.in_thread(self._ledger.lock))
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
        await asyncio.shield(self._reported(self._file.in_thread(self._ledger.unlock)))

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
        wanted = json.dumps(states) if states else None  # all, also those that are not known here
        last = 0

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            """Return the next page of rows."""
            page = {"last": last, "states": wanted, "most": _PAGE}
            return connection.execute(_ONWARDS, page).fetchall()

        while page := await self._do(work):
            last = page[-1]["number"]
            for row in page:
                yield _outcome(row)

    async def counts(self) -> dict[State, int]:
        """Return how many targets of the plan are in which state, as `LedgerStore` says."""
        rows = await self._do(
            lambda connection: connection.execute(
                "SELECT state, count(*) FROM outcome GROUP BY state"
            ).fetchall()
        )
        campaign = await self.campaign()
        return counted(rows, None if campaign is None else campaign.total)

    async def first_call(self) -> datetime | None:
        """Return the instant of the first call that is known; None before it."""
        (first,) = await self._do(
            lambda connection: connection.execute("SELECT min(sent_at) FROM outcome").fetchone()
        )
        return None if first is None else datetime.fromisoformat(first)

    async def called(self, numbers: Collection[str]) -> list[Outcome]:
        """Return those to these numbers that were called, or may have been."""
        wanted = {"numbers": json.dumps(list(numbers))}
        rows = await self._do(lambda connection: connection.execute(_CALLED, wanted).fetchall())
        return [_outcome(row) for row in rows]

    async def backup(self, path: str | PathLike[str]) -> None:
        """Copy the ledger, whoever is writing to it meanwhile, to a new file.

        A copy made by other means may lack what was written last. To go on with both would call
        people twice.

        Args:
            path: The new file; only its owner may read it.

        Raises:
            ConfigurationError: The path can be no file's.
            LedgerError: There is a file already, it cannot be written, or there is no ledger.
        """
        target = absolute(path)
        if self._temporary:
            await self._copied(self._file, target)
            return
        # A reader of its own: what the writer has to write does not wait for the copy.
        source = LedgerFile(self._file.path, read_only=True).file
        try:
            await self._reported(source.open())
            await self._copied(source, target)
        finally:
            await source.aclose()

    async def _copied(self, source: SQLiteFile, target: Path) -> None:
        try:
            await source.run(lambda connection: copy(connection, target))
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._ledger.name} cannot be copied to {target.name}: {words(error)}; "
                "name a new file, in a folder that is there and has room"
            ) from error

    async def _reported(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._notice_fork()
        if not self._file.is_open:
            raise LedgerError(f"{self._ledger.name} is closed; use it as `async with Ledger(...)`")
        return await self._commits.do(work)

    def _failed(self, error: Exception) -> LedgerError:
        if isinstance(error, LedgerError):
            return error
        advice = place_or_right(error) or "nothing more is dialled"
        return LedgerError(f"{self._ledger.name} cannot be used: {words(error)}; {advice}")

    def __repr__(self) -> str:
        return f"<Ledger {self._ledger.name}>"


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
        try:
            content[name] = None if at is None else datetime.fromisoformat(at)
        except (TypeError, ValueError):
            raise LedgerError(
                f"the ledger has {name} {at!r}, which no version of this library writes: another "
                "program changed it"
            ) from None
    return known(content)
