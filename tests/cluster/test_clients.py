"""Clients that share a limit, against the local server."""

import asyncio
import time
from pathlib import Path

import pytest

from conference_async import ConferenceClient, Credentials, DeadlineExceeded, Limit, SQLiteLimit
from conference_async.emulator import Emulator


def client_of(emulator: Emulator, limit: Limit) -> ConferenceClient:
    """Return a client of the local server."""
    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    return ConferenceClient(credentials, base_url=emulator.base_url, limit=limit)


async def create(client: ConferenceClient) -> None:
    """Dial one participant."""
    await client.conferences("standup").participants.create(from_="+15017122661", to="+15558675310")


async def test_two_clients_keep_one_pace_at_the_service(tmp_path: Path) -> None:
    """What the service sees is the account's rate, so nothing queues there."""
    path = tmp_path / "pace.db"
    async with (
        Emulator(cps=10) as emulator,
        SQLiteLimit(path, 10) as one,
        SQLiteLimit(path, 10) as other,
        client_of(emulator, one) as first,
        client_of(emulator, other) as second,
    ):
        begun = time.monotonic()
        await asyncio.gather(*(create(client) for client in (first, second) for _ in range(6)))

        assert 1.05 <= time.monotonic() - begun < 10  # a busy machine may be late
        assert emulator.count("create") == 12


async def test_while_the_store_is_gone_a_deadline_means_not_sent(tmp_path: Path) -> None:
    """Nothing is dialled without a slot, and the caller may repeat."""
    path = tmp_path / "no.db"
    path.write_text("Dear Sir or Madam, " * 100)
    async with Emulator() as emulator, SQLiteLimit(path, 10) as limit:
        async with client_of(emulator, limit) as client:
            with pytest.raises(DeadlineExceeded):
                await create(client.with_options(deadline=0.3))

        assert emulator.count("create") == 0
