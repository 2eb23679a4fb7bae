"""What an operator sees of campaigns in a database and of their workers, whatever happens."""

import asyncio
import json
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from blockbuster import BlockBuster

from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.emulator import Emulator
from conference_async.errors import LedgerError
from tests.workers.conftest import shell_on

if TYPE_CHECKING:
    from tests.conftest import Server
    from tests.workers.conftest import People, Scene

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg import its parts, and the test start processes."""
    no_blocking_calls.deactivate()


async def printed(emulator: Emulator, *arguments: str) -> Any:
    """Run a command to its end; return the JSON that it printed."""
    ended = await shell_on(emulator).run(*arguments, "--json")
    assert ended.code == 0, ended.err
    return ended.json


async def seen(
    process: asyncio.subprocess.Process, expected: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Return the look that is waited for."""
    assert process.stdout is not None
    while True:
        look: dict[str, Any] = json.loads(await process.stdout.readline())
        if expected(look):
            return look


async def test_all_campaigns_of_a_database(scene: "Scene", people: "People") -> None:
    """With how they stand, how many are in which state, and since when they are there."""
    first, second = people(3), people(2)
    await scene.dialer.submit(first)
    await scene.dialer.submit(second)
    async with SharedCampaign(f"{scene.dsn}#{second.name}") as campaign:
        await campaign.cancel()
    listed = await printed(scene.emulator, "campaign", "list", scene.dsn)

    known = {each["ledger"]: each for each in listed}
    ours = [known[first.name], known[second.name]]
    assert [(each["standing"], each["planned"], each["skipped"]) for each in ours] == [
        ("running", 3, 0),
        ("cancelled", 0, 2),
    ]
    assert {each["account_sid"] for each in ours} == {scene.emulator.account_sid}
    assert all(each["since"] for each in ours)


async def test_a_submission_that_came_to_no_end_is_seen(scene: "Scene", people: "People") -> None:
    """What nobody has to call is among those to be called, and would be waited for."""
    plan = people(3)
    await scene.dialer.submit(plan)
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        assert (await campaign.summary()).because is None
        half = "UPDATE conference_async_campaign SET total = 5 WHERE ledger = %s"
        await campaign._ledger.session.run(lambda server: server.execute(half, (plan.name,)))
        summary = await campaign.summary()
    assert (summary.backlog, summary.because) == (5, "2 of them are not submitted yet")


async def test_a_campaign_that_cannot_be_read_hides_no_other(
    scene: "Scene", people: "People"
) -> None:
    """One of a newer version is listed as what it is."""
    first, newer = people(1), people(1)
    for plan in (first, newer):
        await scene.dialer.submit(plan)
    async with await psycopg.AsyncConnection.connect(scene.dsn, autocommit=True) as connection:
        await connection.execute(
            "UPDATE conference_async_outcome SET state = 'dreaming' WHERE ledger = %s", [newer.name]
        )
    listed = await printed(scene.emulator, "campaign", "list", scene.dsn)

    known = {each["ledger"]: each for each in listed}
    assert known[first.name]["standing"] == "running"
    assert known[newer.name]["standing"] == "unreadable"
    assert "newer version" in known[newer.name]["because"]


async def test_a_database_without_tables_has_no_campaigns(own_postgres: "Server") -> None:
    """Nor workers; and whoever asks for one is told so."""
    async with SharedCampaign(own_postgres.where) as campaign:
        assert await campaign.workers() == []
        with pytest.raises(LedgerError, match="nothing was submitted"):
            await campaign.summary()
    async with SharedCampaign(f"{own_postgres.where}#monday") as campaign:
        with pytest.raises(LedgerError, match="no campaign 'monday'"):
            await campaign.summary()


async def test_watching_while_a_campaign_is_paused_and_a_worker_is_killed(
    scene: "Scene", people: "People"
) -> None:
    """The next look shows either; it ends when nothing more happens."""
    plan = people(1500)
    await scene.dialer.submit(plan)
    place = f"{scene.dsn}#{plan.name}"
    worker = await scene.hire()
    watching = await shell_on(scene.emulator).start(
        "campaign", "status", place, "--watch", "--every", "0.1", "--json"
    )
    look = await seen(
        watching, lambda look: look.get("rate") and any(each["in_hand"] for each in look["workers"])
    )
    assert look["eta_seconds"] > 0
    assert look["backlog"] <= 1500
    async with SharedCampaign(place) as campaign:
        await campaign.pause()
        await seen(watching, lambda look: look["standing"] == "paused" and not look["sending"])
        worker.kill()
        await worker.wait()
        await seen(watching, lambda look: max(each["silent"] for each in look["workers"]) > 2)
        await campaign.cancel()
    last = await seen(watching, lambda look: look["standing"] == "cancelled")
    assert (last["planned"], last["backlog"]) == (0, 0)
    assert await watching.wait() == 0


async def test_watching_a_database_that_goes_away(
    own_postgres: "Server", scene_on: Any, people: "People"
) -> None:
    """It says so once, and goes on when the server is back."""
    scene = await scene_on(own_postgres.where)
    plan = people(2)
    await scene.dialer.submit(plan)
    watching = await shell_on(scene.emulator).start(
        "campaign", "status", scene.dsn, "--watch", "--every", "0.1", "--json"
    )
    await seen(watching, lambda look: look["planned"] == 2)
    own_postgres.kill()
    assert watching.stderr is not None
    assert b"tried again until Ctrl-C" in await watching.stderr.readline()
    own_postgres.start()
    await seen(watching, lambda look: look["planned"] == 2)
    watching.send_signal(signal.SIGINT)
    assert await watching.wait() == 0


async def test_ctrl_c_waits_for_no_database_that_is_silent(scene: "Scene") -> None:
    """It ends watching, with code 0, before the time to connect is over."""
    asked = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1")
    port = silent.sockets[0].getsockname()[1]
    place = f"postgresql://127.0.0.1:{port}/calls?sslmode=disable&gssencmode=disable"
    watching = await shell_on(scene.emulator).start("campaign", "status", place, "--watch")
    await asked.wait()
    watching.send_signal(signal.SIGINT)
    _, err = await watching.communicate()
    silent.close()
    await silent.wait_closed()

    assert (watching.returncode, err) == (0, b"")
