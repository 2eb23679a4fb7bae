"""The commands of campaigns that a database holds."""

import asyncio
import json
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection

from conference_async.emulator import Emulator
from tests.workers.conftest import shell_on


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let the test start processes."""
    no_blocking_calls.deactivate()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose phones are picked up at once."""
    async with Emulator(cps=30, answer_after=0.0) as emulator:
        yield emulator


async def command(emulator: Emulator, *arguments: str, code: int = 0) -> str:
    """Run a command to its end; return what it printed."""
    ended = await shell_on(emulator).run(*arguments)
    assert ended.code == code, ended.err
    return ended.out or ended.err


@pytest.mark.timeout(300)
async def test_from_one_process_to_workers_without_new_code(
    emulator: Emulator, postgres_server: str, tmp_path: Path
) -> None:
    """The dial command takes a database for a file, or leaves the calling to workers."""
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "".join(f"+155586753{number:02}\n" for number in range(5)))
    here, there = (f"{postgres_server}#{uuid.uuid4().hex}" for _ in range(2))
    dial = ("dial", str(people), "--conference", "standup", "--from", "+15017122661", "--cps", "30")

    assert "5 placed" in await command(emulator, *dial, "--ledger", here)
    assert "before       5" in await command(emulator, *dial, "--ledger", here)
    for verb in ("pause", "resume", "cancel"):
        told = await command(emulator, "campaign", verb, here, code=2)
        assert "running its dial command again, or with --submit" in told
    await command(emulator, "cluster", "set-up", "--ledger", postgres_server)
    assert "5 submitted" in await command(emulator, *dial, "--ledger", there, "--submit")
    assert "0 submitted" in await command(emulator, *dial, "--ledger", there, "--submit")
    assert "paused: no more calls start" in await command(emulator, "campaign", "pause", there)
    known = json.loads(await command(emulator, "campaign", "status", there, "--json"))
    assert (known["standing"], known["planned"]) == ("paused", 5)
    await command(emulator, "campaign", "resume", there)
    worker = await shell_on(emulator).start("worker", "--ledger", postgres_server, "--cps", "30")
    while len(emulator.starts) < 10:  # noqa: ASYNC110 -- by another process
        await asyncio.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    _, err = await worker.communicate()
    assert worker.returncode == 0, err.decode()
    report = await command(emulator, "campaign", "report", there)
    assert report.count(",placed,") == 5
    assert "5558675301" not in report
    await command(emulator, "campaign", "reconcile", there)
    await command(emulator, "campaign", "cancel", there)
    assert set(emulator.ring_counts.values()) == {2}


@pytest.mark.timeout(300)
async def test_workers_keep_the_rules_of_a_local_run(
    emulator: Emulator, postgres_server: str, tmp_path: Path
) -> None:
    """The same options go with --submit; the one that cannot is refused with what to do."""
    people, never = tmp_path / "people.csv", tmp_path / "never.txt"
    rows = "".join(f"+155586753{number:02},UTC\n" for number in range(3))
    people.write_text(f"to,time_zone\n{rows}")
    never.write_text("+1 555 867 5301\n")
    place = f"{postgres_server}#{uuid.uuid4().hex}"
    await command(emulator, "cluster", "set-up", "--ledger", postgres_server)
    dial = ("dial", str(people), "--conference", "standup", "--from", "+15017122661", "--cps", "30")
    submit = (*dial, "--ledger", place, "--submit")
    rules = ("--do-not-call", str(never), "--deadline", "3600", "--hours", "0:00-23:59")

    assert "2 submitted" in await command(emulator, *submit, *rules, "--quorum", "2")
    known = json.loads(await command(emulator, "campaign", "status", place, "--json"))
    assert (known["standing"], known["planned"], known["skipped"]) == ("running", 2, 1)
    told = await command(emulator, *submit, "--attempts", "2", code=2)
    assert "SharedCampaign.call_again" in told


@pytest.mark.timeout(300)
async def test_submitting_again_follows_the_file(
    emulator: Emulator, postgres_server: str, tmp_path: Path
) -> None:
    """The plan says who is in it no more, before anything is changed."""
    people, name = tmp_path / "people.csv", f"{uuid.uuid4().hex} & co"
    rows = [f"+155586753{number:02}\n" for number in range(5)]
    people.write_text("".join(["to\n", *rows]))
    place = f"{postgres_server}#{quote(name)}"
    await command(emulator, "cluster", "set-up", "--ledger", postgres_server)
    dial = ("dial", str(people), "--conference", "standup", "--from", "+15017122661")
    submit = (*dial, "--ledger", place, "--submit")

    told = await command(emulator, *submit, "--priority", "3")
    assert f"(in a URL: #{quote(name)})" in told
    people.write_text("".join(["to\n", *rows[:3], "+15558675399\n"]))
    assert "2 no longer in the file: left out" in await command(emulator, *submit, "--dry-run")
    facts = json.loads(await command(emulator, *submit, "--dry-run", "--json"))
    assert facts["plan"]["missing"] == 2
    assert "no longer" not in await command(emulator, *submit, "--dry-run", "--keep-missing")
    known = json.loads(await command(emulator, "campaign", "status", place, "--json"))
    assert known["planned"] == 5
    assert "1 submitted" in await command(emulator, *submit)
    known = json.loads(await command(emulator, "campaign", "status", place, "--json"))
    assert (known["planned"], known["skipped"]) == (4, 2)
    told = await command(emulator, *dial, "--ledger", place, "--keep-missing", code=2)
    assert "are for --submit" in told


async def test_a_submission_that_is_interrupted_says_what_workers_have(
    emulator: Emulator, postgres_server: str, tmp_path: Path
) -> None:
    """They call what they have: whoever stopped it may have meant that nobody be called."""
    people, name = tmp_path / "people.csv", uuid.uuid4().hex
    people.write_text("to\n+15558675310\n")
    dial = ("dial", str(people), "--conference", "standup", "--from", "+15017122661")
    place = f"{postgres_server}#{name}"
    await command(emulator, "cluster", "set-up", "--ledger", postgres_server)
    waits = (
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query ~ 'conference_async_staged'"
    )
    async with (
        await AsyncConnection.connect(postgres_server) as holder,
        await AsyncConnection.connect(postgres_server, autocommit=True) as observer,
    ):
        await holder.execute("LOCK TABLE conference_async_outcome IN EXCLUSIVE MODE")
        shell = shell_on(emulator)
        submitting = await shell.start(*dial, "--ledger", place, "--submit")
        while not (await observer.execute(waits)).rowcount:  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.02)
        submitting.send_signal(signal.SIGINT)
        await holder.rollback()
        ended = await shell.end(submitting)

    assert ended.code == 130
    assert "Workers may have a part of it" in ended.err
    assert "conference-async campaign cancel 'postgresql://" in ended.err
    assert f"#{name}'" in ended.err


async def test_workers_need_a_database(emulator: Emulator, tmp_path: Path) -> None:
    """A file is refused with what to say instead."""
    refused = await command(emulator, "worker", "--ledger", str(tmp_path / "a.db"), code=2)

    assert "postgresql://" in refused
