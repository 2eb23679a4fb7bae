"""The accounts that a worker serves: a client for each, and what it has to know."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeAlias

from conference_async.client import ConferenceClient
from conference_async.dialer.calling.known import memory_of
from conference_async.dialer.ledger.postgres import called
from conference_async.errors import ConfigurationError
from conference_async.pace.local import CreateLimit
from conference_async.pace.shared import SharedLimit
from conference_async.postgres.session import Session

Accounts: TypeAlias = Callable[[], AsyncIterator[ConferenceClient]]
"""Yields a client for each account that a worker is to serve; an async generator does."""

_log = logging.getLogger("conference_async.dialer")


def know(client: ConferenceClient, session: Session, until: AsyncExitStack) -> None:
    """Let a client know of the calls that the ledgers have, as long as the stack is open."""
    memory = memory_of(partial(called, session, client.account_sid))
    client.register.add(memory)
    until.callback(client.register.remove, memory)


@asynccontextmanager
async def opened(
    given: ConferenceClient | Accounts, session: Session
) -> AsyncGenerator[list[ConferenceClient], None]:
    """Give the clients to work with; those of many accounts are opened, and closed in the end.

    Raises:
        ConfigurationError: There are none, or two of one account.
    """
    if isinstance(given, ConferenceClient):
        _check_limit(given)
        yield [given]
        return
    clients: dict[str, ConferenceClient] = {}
    async with AsyncExitStack() as stack:
        async for client in given():
            _check_limit(client)
            if isinstance(client.limit, SharedLimit):
                await stack.enter_async_context(client.limit)
            await stack.enter_async_context(client)
            know(client, session, stack)
            if client.account_sid in clients:
                raise ConfigurationError(f"the account {client.account_sid} comes twice")
            clients[client.account_sid] = client
        if not clients:
            raise ConfigurationError("there is no account to work for")
        yield list(clients.values())


def _check_limit(client: ConferenceClient) -> None:
    if isinstance(client.limit, CreateLimit):
        _log.warning(
            "this worker keeps a pace of its own, %g per second, beside those of the others; give "
            "its client a limit that they share, such as PostgresLimit",
            client.limit.cps,
        )
