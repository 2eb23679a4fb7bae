"""The journal in a file: for the processes of one machine, without a server."""

import json
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from conference_async.errors import ConferenceError, LedgerError
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
from conference_async.sending.entries import State
from conference_async.sending.intents import Intent, elapsed
from conference_async.sending.register import Remembered
from conference_async.sqlite.commits import Commits
from conference_async.sqlite.file import SQLiteFile
from conference_async.sqlite.handle import absolute
from conference_async.sqlite.refusals import never, words
from conference_async.sqlite.schema import Schema, make_durable

_SCHEMA = Schema(application=0x43664A6E, scripts=(TABLE, CONTACTS))  # "CfJn"
_BUSY = 10.0
_SAID = Statements.spoken(
    now=":now", tick=":tick", among="IN (SELECT value FROM json_each(:number_hashes))"
)
_CONTACTS = ContactStatements.spoken(
    now=":now", among="IN (SELECT value FROM json_each(:number_hashes))"
)

T = TypeVar("T")


class Journal:
    """Remembers in an SQLite file which intents were dialled, for all processes of one machine.

    Give it to `ConferenceClient`, and a key to each create: ``create(..., once="order-42")``. It
    opens by itself; close it with ``async with`` or `aclose`. It may be shared by clients, tasks
    and event loops, and used in a process that was forked. What is written is on the disk before
    the request leaves (write-ahead mode with ``synchronous=FULL``).

    The file holds keys, conferences, labels, SIDs and what the service said of each participant,
    and no phone number: of each request it keeps a hash, keyed with its key, and of the number a
    hash so short that hundreds of numbers share it. Of the calls of campaigns with contact limits
    it keeps for a year when they were made, the campaign, the purpose, and a whole hash of the
    number. Whoever has the file can try out numbers against all of them, so it can be read by its
    owner only (mode 0600), and so can those that SQLite keeps beside it.

    Args:
        path: A file on a local disk, made if it does not exist. A `Ledger` needs one of its own.
        keep: How long a key is remembered at the least, by the machine's clock; a minute or more.
            After that it is free again.

    Raises:
        ConfigurationError: The path can be no file's, or `keep` is too short.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep: timedelta = KEEP) -> None:
        self._keep = check_keep(keep)
        self._file = SQLiteFile(absolute(path), prepare=self._prepare, busy=_BUSY)
        self._commits = Commits(self._file, self._failed)
        self._process = os.getpid()

    async def known(self, entry: Intent) -> Intent | None:
        """Return what is known of a key, as `JournalStore` says."""
        values = values_of(entry, keep=self._keep)

        def work(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            """Return the key's row, if it has one."""
            return [dict(row) for row in connection.execute(_SAID.read, values | _clocks())]

        return next((intent_of(row, entry) for row in await self._do(work, alone=False)), None)

    async def swap(self, before: Intent, after: Intent) -> bool:
        """Replace what is known of a key, as `JournalStore` says."""
        statement = _SAID.changing(before, after)
        values = values_of(after, keep=self._keep, before=before)

        def work(connection: sqlite3.Connection) -> bool:
            """Replace it, and forget some that are too old."""
            swapped = connection.execute(statement, values | _clocks()).rowcount == 1
            if after.state is State.PLACED:
                connection.execute(_SAID.prune, values | _clocks())
            return swapped

        return await self._do(work, alone=True)

    async def remembered(self, account_sid: str, numbers: Collection[str]) -> list[Remembered]:
        """Return the creates to some numbers, as `JournalStore` says."""
        hashes = hashes_of(account_sid, numbers)
        values = {"account_sid": account_sid, "number_hashes": json.dumps(list(hashes))}

        def work(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            """Return the rows of these numbers."""
            return [dict(row) for row in connection.execute(_SAID.remembered, values | _clocks())]

        return remembered_of(await self._do(work, alone=False), hashes)

    async def claim_contact(
        self, contact: Contact, limits: Sequence[ContactLimit], now: datetime
    ) -> bool:
        """Write down a call that is about to be made, as `ContactStore` says."""
        statement = _CONTACTS.claim(limits)
        values = contact_values(contact, limits) | {"now": now.timestamp()}

        def work(connection: sqlite3.Connection) -> bool:
            """Write it down if it may be made, and forget some that are too old."""
            claimed = connection.execute(statement, values).rowcount == 1
            connection.execute(_CONTACTS.prune, values)
            return claimed

        return await self._do(work, alone=True)

    async def forget_contact(self, contact: Contact) -> None:
        """Forget a call that was not made after all."""
        values = contact_values(contact)

        def work(connection: sqlite3.Connection) -> None:
            """Forget it."""
            connection.execute(_CONTACTS.forget, values)

        await self._do(work, alone=True)

    async def contacts(self, account_sid: str, hashes: Collection[str]) -> list[Contact]:
        """Return the calls to some numbers, as `ContactStore` says."""
        values = {"account_sid": account_sid, "number_hashes": json.dumps(list(hashes))}

        def work(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            """Return the rows of these numbers."""
            return [dict(row) for row in connection.execute(_CONTACTS.known, values)]

        return contacts_of(account_sid, await self._do(work, alone=False))

    async def _do(self, work: Callable[[sqlite3.Connection], T], *, alone: bool) -> T:
        if self._process != os.getpid():
            self._commits.forget()
            self._process = os.getpid()
        if not self._file.is_open:
            await self._reported(self._file.open())
        return await self._commits.do(work, alone=alone)

    async def _reported(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> ConferenceError:
        if isinstance(error, LedgerError):
            return error
        if (refusal := never(error, self._name)) is not None:
            return refusal
        return LedgerError(f"{self._name} cannot be used: {words(error)}; nothing more is dialled")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        behind = _SCHEMA.behind(connection, self._name)
        make_durable(connection)
        if behind:
            _SCHEMA.catch_up(connection)

    @property
    def _name(self) -> str:
        path = self._file.path
        return f"the journal {path.name if path else path}"

    async def aclose(self) -> None:
        """Close the file when what was asked for is done; a later use opens it again."""
        await self._file.aclose()

    async def __aenter__(self) -> Self:
        await self._reported(self._file.open())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Journal {self._name}>"


def _clocks() -> dict[str, Any]:
    return {"now": time.time(), "tick": elapsed()}
