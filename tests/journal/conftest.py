"""Journals, clients that have one, and the service that they call."""

import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import psycopg
import pytest

from conference_async import (
    ConferenceClient,
    Credentials,
    Journal,
    PostgresJournal,
    RetryPolicy,
    Unpaced,
)
from conference_async.emulator import Emulator

AnyJournal: TypeAlias = Journal | PostgresJournal


@attrs.define
class Books:
    """One place where keys are remembered: a new handle each time, and a look behind them."""

    where: str | Path
    """A file, or a database."""

    account_sid: str
    handles: list[AnyJournal] = attrs.field(factory=list[AnyJournal])

    def open(self, **options: Any) -> AnyJournal:
        """Return a handle, as another process would have it."""
        kind = Journal if isinstance(self.where, Path) else PostgresJournal
        handle = kind(self.where, **options)  # type: ignore[arg-type] # each its own kind of place
        self.handles.append(handle)
        return handle

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Let a tool of the store's run a statement about the account's keys."""
        statement = statement.replace("ACCOUNT", f"account_sid = '{self.account_sid}'")
        if isinstance(self.where, Path):
            with closing(sqlite3.connect(self.where, isolation_level=None)) as file:
                return file.execute(statement).fetchall()
        with psycopg.connect(self.where, autocommit=True) as server:
            cursor = server.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def states(self) -> list[str]:
        """Return the states of the keys."""
        return [
            state
            for (state,) in self.run(
                "SELECT state FROM conference_async_intent WHERE ACCOUNT ORDER BY key"
            )
        ]

    def kill(self) -> None:
        """Let whoever dials be dead for as long as it takes for others to notice."""
        self.run("UPDATE conference_async_intent SET held_until = 0 WHERE ACCOUNT")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return a service that takes calls as fast as they come."""
    async with Emulator(pace=False, answer_after=None) as emulator:
        yield emulator


@pytest.fixture(params=["sqlite", "postgres"])
async def books(
    request: pytest.FixtureRequest, tmp_path: Path, emulator: Emulator
) -> AsyncIterator[Books]:
    """Return a file, or a database, where keys are remembered."""
    where: str | Path = tmp_path / "calls.db"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres_server")
    books = Books(where, emulator.account_sid)
    yield books
    for handle in books.handles:
        await handle.aclose()


Connect: TypeAlias = Callable[..., ConferenceClient]


@pytest.fixture
async def connect(books: Books, emulator: Emulator) -> AsyncIterator[Connect]:
    """Return what makes clients as other processes would have them, with any options."""
    async with AsyncExitStack() as stack:
        made: list[ConferenceClient] = []

        def make(**options: Any) -> ConferenceClient:
            settings: dict[str, Any] = {
                "base_url": emulator.base_url,
                "limit": Unpaced(),
                "journal": books.open(),
                "retry": RetryPolicy(base=0.02, lookups=2, settled=0.1),
            }
            client = ConferenceClient(
                Credentials(emulator.account_sid, emulator.auth_token),
                **settings | options,
            )
            made.append(client)
            return client

        yield make
        for client in made:
            await stack.enter_async_context(client)


@pytest.fixture
def client(connect: Connect) -> ConferenceClient:
    """Return one client."""
    return connect()


@pytest.fixture
def key() -> str:
    """Return a key that nobody has used."""
    return f"order-{uuid.uuid4().hex}"
