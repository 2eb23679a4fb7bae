"""A worker as whoever runs it sees it: its lines, its probes, its end."""

import asyncio
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from blockbuster import BlockBuster
from psycopg.conninfo import make_conninfo

from conference_async import ClusterDialer, ConferenceClient, Credentials, State
from conference_async.dialer.workers.readiness import asked
from conference_async.postgres.session import Session
from tests.workers.conftest import shell_on

if TYPE_CHECKING:
    from tests.conftest import Server
    from tests.workers.conftest import People, Scene

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg import its parts, and the test start processes."""
    no_blocking_calls.deactivate()


async def lines(stream: asyncio.StreamReader | None, until: Callable[[Any], object]) -> list[Any]:
    """Return what is printed, line by line, to the one that is waited for."""
    assert stream is not None
    found: list[Any] = []
    while not found or not until(found[-1]):
        found.append(json.loads(await stream.readline()))
    return found


async def test_a_worker_tells_what_it_does(
    own_postgres: "Server", scene_on: Any, people: "People"
) -> None:
    """A line of JSON for each event, without a number; probes answer as things are."""
    scene = await scene_on(own_postgres.where)
    worker = await shell_on(scene.emulator).start(
        *("worker", "--ledger", scene.dsn, "--cps", "30"),
        *("--log-format", "json", "--health", "0"),
    )
    (*_, begun) = await lines(worker.stderr, lambda line: line.get("event") == "worker.started")
    probe = f"http://127.0.0.1:{begun['health']}"
    plan = people(3)
    await scene.dialer.submit(plan)
    assert (await scene.done(plan))[State.PLACED] == 3
    async with aiohttp.ClientSession() as session:

        async def status(path: str) -> int:
            async with session.get(f"{probe}{path}") as answer:
                return answer.status

        async def until(path: str, expected: int) -> None:
            while await status(path) != expected:  # noqa: ASYNC110 -- of another process
                await asyncio.sleep(0.05)

        await until("/ready", 200)
        async with session.get(f"{probe}/metrics") as answer:
            measured = await answer.text()
        assert 'http_request_method="POST"' in measured
        held = f'conference_async_account_sid="{scene.emulator.account_sid}"'
        assert re.search(rf"conference_async_targets_in_hand{{{held}[^}}]*}} 0\.0", measured)
        own_postgres.kill()
        await until("/ready", 503)
        assert await status("/live") == 200
        own_postgres.start()
        await until("/ready", 200)
    worker.send_signal(signal.SIGTERM)
    told = await lines(worker.stderr, lambda line: line.get("event") == "worker.stopped")
    assert await worker.wait() == 0

    events = [line.get("event") for line in told]
    assert {"turn.began", "turn.ended", "worker.stopping"} <= {*events}
    pulses = [line for line in told if line.get("event") == "worker.pulse"]
    assert sum(pulse["placed"] for pulse in pulses) == 3
    assert "555867" not in json.dumps(told)


async def test_a_database_that_only_reads_is_not_ready(postgres_server: str) -> None:
    """As a standby, to which a fail-over may lead: it answers, and nobody can be called."""
    standby = make_conninfo(postgres_server, options="-c default_transaction_read_only=on")
    session = Session(standby, greet=None)
    assert "it only reads" in (await asked(session) or "")
    await session.aclose()


async def test_a_worker_serves_the_accounts_of_a_file(
    scene: "Scene", people: "People", tmp_path: Path
) -> None:
    """Each with its own credentials and pace; its lines hold no secret."""
    other = scene.emulator.add_account()
    mine = (scene.emulator.account_sid, scene.emulator.auth_token)
    path = tmp_path / "accounts.toml"
    path.write_text(
        "".join(
            f'[[account]]\naccount_sid = "{sid}"\nauth_token = "{token}"\ncps = {cps}\n'
            for (sid, token), cps in ((mine, 30), ((other.sid, other.auth_token), 20))
        )
    )
    path.chmod(0o600)
    command = ("worker", "--ledger", scene.dsn, "--log-format", "json")
    worker = await shell_on(scene.emulator).start(*command, "--account-from", str(path))
    begun = await lines(worker.stderr, lambda line: line.get("event") == "worker.started")
    plans = people(2), people(3)
    await scene.dialer.submit(plans[0])
    async with (
        ConferenceClient(
            Credentials(other.sid, other.auth_token), base_url=scene.emulator.base_url
        ) as client,
        ClusterDialer(client, scene.dsn) as dialer,
    ):
        await dialer.submit(plans[1])
    assert [(await scene.done(plan))[State.PLACED] for plan in plans] == [2, 3]
    worker.send_signal(signal.SIGTERM)
    assert (begun[-1]["accounts"], begun[-1]["cps"]) == (2, 50)
    told = begun + await lines(worker.stderr, lambda line: line.get("event") == "worker.stopped")
    assert await worker.wait() == 0

    assert "for 2 accounts" in begun[-1]["message"]
    pulses = [line for line in told if line.get("event") == "worker.pulse"]
    assert sum(pulse["placed"] for pulse in pulses) == 5
    assert {pulse["cps"] for pulse in pulses} == {50}
    assert {mine[1], other.auth_token}.isdisjoint(json.dumps(told).split('"'))
    assert len(other.starts) == 3


async def test_a_worker_that_cannot_work_says_so_as_it_says_everything(
    scene: "Scene", free_port: Callable[[], int]
) -> None:
    """In a line of JSON, and with the code that says it to scripts: 2 where nothing mends it."""
    shell, away = shell_on(scene.emulator), f"postgresql://127.0.0.1:{free_port()}/calls"
    for where, code in ((away, 4), (scene.dsn.replace("postgres", "nobody", 1), 2)):
        ended = await shell.run("worker", "--ledger", where, "--log-format", "json")
        (*_, last) = map(json.loads, ended.err.splitlines())
        assert (last["event"], last["code"], ended.out) == ("worker.failed", code, "")
        assert ended.code == code
    ended = await shell.run("worker", "--ledger", away)
    assert (ended.code, len(ended.err.splitlines())) == (4, 1)
