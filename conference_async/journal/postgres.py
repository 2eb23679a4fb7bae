"""The journal in a PostgreSQL: for the processes of many machines."""

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from conference_async.errors import LedgerError
from conference_async.journal.contacts import (
    CONTACTS,
    Contact,
    ContactLimit,
    ContactStatements,
    contact_values,
    contacts_of,
)
from conference_async.journal.rows import (
    KEEP,
    check_keep,
    hashes_of,
    intent_of,
    remembered_of,
    values_of,
)
from conference_async.journal.statements import TABLE, Statements
from conference_async.postgres.session import Session, first_line
from conference_async.postgres.tables import Tables
from conference_async.sending.entries import State
from conference_async.sending.intents import Intent
from conference_async.sending.register import Remembered

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_SAID = Statements.spoken(
    now=_NOW, tick=_NOW, among="= ANY(:number_hashes)", skip="FOR UPDATE SKIP LOCKED"
)
_CONTACTS = ContactStatements.spoken(
    now=_NOW, among="= ANY(:number_hashes)", skip="FOR UPDATE SKIP LOCKED"
)
# Whoever claims a call to a number waits for those who are at it, and then sees what they wrote.
_ALONE = """
SELECT pg_advisory_xact_lock(hashtextextended(:account_sid || :number_hash, 7241946834))
"""
_NAME = re.compile(r"(?<!:):(\w+)")

INTENTS = Tables(
    purpose="a journal in PostgreSQL",
    names=("conference_async_intent", "conference_async_contact"),
    script=TABLE + CONTACTS,
)

T = TypeVar("T")


class PostgresJournal:
    """Remembers in a PostgreSQL of version 12 or later which intents were dialled.

    It does what a `Journal` does, for the processes of many machines: whoever comes with a key
    waits for whoever dials for it, wherever that is. It opens by itself; close it with ``async
    with`` or `aclose`. It may be used under one event loop after another, and in a process that
    was forked; loops that run at once need one each. A pooler that changes sessions is no
    hindrance.

    A claim is committed before the request leaves, as durably as the server's
    ``synchronous_commit`` says. While the server is gone, or only reads, creates with a key wait
    for it, up to their deadline or `OUTAGE` seconds (60), and nothing is sent for them.

    ``conference-async cluster set-up``, or `ClusterDialer.set_up`, makes the tables
    ``conference_async_intent`` and ``conference_async_contact`` once. They hold what a `Journal`
    holds: guard the database accordingly.

    Args:
        dsn: A connection string or URL as libpq reads them.
        keep: How long a key is remembered at the least, by the server's clock; a minute or more.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, the string is not one, or
            `keep` is too short.
    """

    def __init__(self, dsn: str, *, keep: timedelta = KEEP) -> None:
        self._keep = check_keep(keep)
        self._session = Session(dsn, greet=INTENTS.check, purpose=INTENTS.purpose, failed=_failed)
        self._reached = False

    async def known(self, entry: Intent) -> Intent | None:
        """Return what is known of a key, as `JournalStore` says."""
        values = values_of(entry, keep=self._keep)

        async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
            """Return the key's row."""
            return await (await connection.execute(_spelled(_SAID.read), values)).fetchone()

        row = await self._run(work)
        return None if row is None else intent_of(row, entry)

    async def swap(self, before: Intent, after: Intent) -> bool:
        """Replace what is known of a key, as `JournalStore` says."""
        statement = _spelled(_SAID.changing(before, after))
        values = values_of(after, keep=self._keep, before=before)

        async def work(connection: "AsyncConnection[DictRow]") -> bool:
            """Replace it, and forget some that are too old."""
            swapped = (await connection.execute(statement, values)).rowcount == 1
            if after.state is State.PLACED:
                await connection.execute(_spelled(_SAID.prune), values)
            return swapped

        return await self._run(work)

    async def remembered(self, account_sid: str, numbers: Collection[str]) -> list[Remembered]:
        """Return the creates to some numbers, as `JournalStore` says."""
        hashes = hashes_of(account_sid, numbers)
        values = {"account_sid": account_sid, "number_hashes": list(hashes)}

        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            """Return the rows of these numbers."""
            return await (await connection.execute(_spelled(_SAID.remembered), values)).fetchall()

        return remembered_of(await self._run(work), hashes)

    async def claim_contact(
        self,
        contact: Contact,
        limits: Sequence[ContactLimit],
        now: datetime,  # noqa: ARG002 -- the server's clock rules
    ) -> bool:
        """Write down a call that is about to be made, as `ContactStore` says."""
        statement, values = _spelled(_CONTACTS.claim(limits)), contact_values(contact, limits)

        async def work(connection: "AsyncConnection[DictRow]") -> bool:
            """Write it down if it may be made, and forget some that are too old."""
            async with connection.transaction():
                await connection.execute(_spelled(_ALONE), values)
                claimed = (await connection.execute(statement, values)).rowcount == 1
            await connection.execute(_spelled(_CONTACTS.prune))
            return claimed

        return await self._run(work)

    async def forget_contact(self, contact: Contact) -> None:
        """Forget a call that was not made after all."""
        values = contact_values(contact)

        async def work(connection: "AsyncConnection[DictRow]") -> None:
            """Forget it."""
            await connection.execute(_spelled(_CONTACTS.forget), values)

        await self._run(work)

    async def contacts(self, account_sid: str, hashes: Collection[str]) -> list[Contact]:
        """Return the calls to some numbers, as `ContactStore` says."""
        values = {"account_sid": account_sid, "number_hashes": list(hashes)}

        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            """Return the rows of these numbers."""
            return await (await connection.execute(_spelled(_CONTACTS.known), values)).fetchall()

        return contacts_of(account_sid, await self._run(work))

    async def _run(self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]") -> T:
        if not self._reached:  # what was never there is no outage, but a mistake
            await self._session.open()
            self._reached = True
        return await self._session.run(work)

    async def aclose(self) -> None:
        """Finish what was asked for, and disconnect; a later use connects again."""
        self._reached = False
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        await self._session.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return "<PostgresJournal>"


def _failed(error: BaseException) -> LedgerError:
    """Return what a caller gets for a server's or a driver's error."""
    why = first_line(error)
    return LedgerError(f"the journal's PostgreSQL cannot be used: {why}; nothing more is dialled")


def _spelled(statement: str) -> bytes:
    return _NAME.sub(r"%(\1)s", statement).encode()
