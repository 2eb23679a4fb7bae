"""Campaigns at a glance: those of a folder, and one as it goes on."""

import asyncio
import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conference_async import Ledger, Outcome, State
from conference_async.cli.watching import Look
from conference_async.dialer.ledger.outcome import Campaign
from conference_async.dialer.ledger.summary import Summary
from conference_async.dialer.workers.overview import WorkerSeen
from conference_async.emulator import Emulator

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


async def a_ledger(path: Path, account_sid: str, total: int, known: int) -> None:
    """Make a ledger of a campaign that was left before anybody was called."""
    async with Ledger(path) as ledger:
        await ledger.begin(Campaign(name=f"{path.stem} to a", account_sid=account_sid, total=total))
        await ledger.enrol(
            [
                Outcome(target=str(each), to=f"+1555867{each:04d}", conference="a")
                for each in range(known)
            ]
        )


async def dialled(shell: "Shell", tmp_path: Path, count: int) -> Path:
    """Dial so many people; return the ledger."""
    people, ledger = tmp_path / "people.csv", tmp_path / "done.ledger"
    people.write_text("to\n" + "".join(f"+1555867{each:04d}\n" for each in range(count)))
    to = ("--conference", "a", "--from", "+15017122661", "--cps", "30", "--ledger", str(ledger))
    assert (await shell.run("dial", str(people), *to)).code == 0
    return ledger


def a_look(standing: str, *, planned: int, sending: int = 0, oldest: float | None = None) -> Look:
    """Return a look at a campaign of workers, one of which is silent."""
    counts = {**dict.fromkeys(State, 0), State.PLANNED: planned, State.SENDING: sending}
    summary = Summary(
        ledger="a",
        campaign=Campaign(name="monday", account_sid="AC1", total=90),
        standing=standing,
        shared=True,
        counts={**counts, State.PLACED: 90 - planned - sending},
        later=10,
        oldest=oldest,
    )
    workers = (
        WorkerSeen(number=3, silent=0.42, in_hand=7),
        WorkerSeen(number=4, silent=90.0, in_hand=0),
    )
    return Look(summary=summary, workers=workers, rate=4.0)


def test_what_a_look_says() -> None:
    """What waits for later is not counted in the time that is left."""
    look = a_look("running", planned=50, sending=2, oldest=1.24)

    assert str(look) == (
        "running: 50 planned, 2 sending, 38 placed, the oldest in flight for 1.2 s, 4.0/s, "
        "ETA 0:00:10, workers 1 alive, 1 silent"
    )
    assert look.shown().items() >= {
        ("oldest_in_flight", "1.2 s"),
        ("rate", "4.0 per second"),
        ("eta", "0:00:10"),
        ("workers", "1 alive, 1 silent"),
        ("worker 3", "spoke 0.4 s ago, 7 in hand"),
    }
    assert look.facts()["eta_seconds"] == 10


@pytest.mark.parametrize(
    ("look", "over"),
    [
        (a_look("running", planned=5), False),
        (a_look("paused", planned=5), False),
        (a_look("cancelled", planned=0, sending=1), False),
        (a_look("cancelled", planned=0), True),
        (a_look("ended", planned=5, sending=1), False),
        (a_look("ended", planned=5), True),
        (a_look("done", planned=0), True),
    ],
)
def test_watching_ends_when_nothing_more_happens_by_itself(look: Look, *, over: bool) -> None:
    """What is under way is waited for, and so is whoever paused it."""
    assert look.over is over


async def test_all_campaigns_of_a_folder(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """Ledgers of any name, by their names; other files and other programs' databases are none."""
    await dialled(shell, tmp_path, 2)
    await a_ledger(tmp_path / "left.db", emulator.account_sid, total=5, known=3)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE a (b)")
    (tmp_path / "empty.ledger").touch()
    await a_ledger(tmp_path / "newer.db", emulator.account_sid, total=1, known=1)
    with closing(sqlite3.connect(tmp_path / "newer.db")) as newer:
        newer.execute("PRAGMA user_version = 99")

    for place in (tmp_path, tmp_path / "left.db"):
        listed = await shell.run("campaign", "list", str(place), "--json")
        assert [
            (Path(each["ledger"]).name, each["standing"], each["placed"], each["backlog"])
            for each in listed.json
        ] == [
            ("done.ledger", "done", 2, 0),
            ("left.db", "stopped", 0, 5),
            ("newer.db", "unreadable", None, 0),
        ]
        assert "newer version" in listed.json[-1]["because"]
    shown = await shell.terminal("campaign", "list", str(tmp_path))
    lines = ESCAPE.sub("", shown.out).splitlines()
    assert max(map(len, lines)) <= 80
    assert emulator.account_sid in shown.out
    assert (await shell.run("campaign", "list", str(tmp_path / "none"))).code == 2


async def test_a_ledger_that_is_in_use_is_seen_to_be(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """Also a young one, which says in its log alone whose it is; and it is not disturbed."""
    async with Ledger(tmp_path / "a.ledger") as ledger:
        await ledger.begin(Campaign(name="a", account_sid=emulator.account_sid, total=2))
        listed = await shell.process("campaign", "list", str(tmp_path), "--json")
        assert [each["standing"] for each in listed.json] == ["running"]
        await ledger.end()
        await ledger.begin(Campaign(name="a", account_sid=emulator.account_sid, total=2))


async def test_watching_ends_with_the_campaign(shell: "Shell", tmp_path: Path) -> None:
    """A line for each look, or an object; the last one says how it ended."""
    ledger = str(await dialled(shell, tmp_path, 2))

    watched = await shell.run("campaign", "status", ledger, "--watch")
    assert watched.out == "done: 2 placed\n"
    watched = await shell.run("campaign", "status", ledger, "--watch", "--json")
    assert watched.json["placed"] == 2


async def test_watching_a_run(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """Rate and time left are those of the calls that were watched; so is that it was stopped."""
    people, ledger = tmp_path / "people.csv", tmp_path / "a.ledger"
    people.write_text("to\n" + "".join(f"+1555867{each:04d}\n" for each in range(1000)))
    to = ("--conference", "a", "--from", "+15017122661", "--cps", "10", "--ledger", str(ledger))
    dialling = await shell.start("dial", str(people), *to, "--room-size", "250")
    while not emulator.starts:  # noqa: ASYNC110 -- by another process
        await asyncio.sleep(0.02)
    look = ("campaign", "status", str(ledger), "--watch", "--every", "0.1", "--json")
    async with shell.begun(*look) as watching:

        async def until(expected: str) -> dict[str, Any]:
            while True:
                found: dict[str, Any] = json.loads(await watching.stdout.readline())
                if found["standing"] == expected and found.get("rate"):
                    return found

        seen = await until("running")
        assert seen["placed"] + seen["sending"] + seen["backlog"] == 1000
        assert seen["eta_seconds"] == pytest.approx(seen["backlog"] / seen["rate"], rel=0.01)
        dialling.send_signal(signal.SIGINT)
        assert (await shell.end(dialling)).code == 130
        assert (await until("stopped"))["sending"] == 0
        watching.interrupt()
        assert (await watching.end()).code == 0


async def test_ctrl_c_ends_watching(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """With code 0: nothing was broken off."""
    await a_ledger(tmp_path / "a.ledger", emulator.account_sid, total=5, known=3)
    async with shell.begun("campaign", "status", str(tmp_path / "a.ledger"), "--watch") as running:
        assert await running.stdout.readline() == b"stopped: 5 planned\n"
        running.interrupt()
        assert (await running.end()).code == 0


async def test_80_columns_show_a_watched_campaign(shell: "Shell", tmp_path: Path) -> None:
    """In place, and what is left on the screen is how it ended."""
    ledger = await dialled(shell, tmp_path, 2)
    shown = await shell.terminal("campaign", "status", str(ledger), "--watch")
    lines = [line.rstrip() for line in ESCAPE.sub("", shown.out).splitlines()]
    assert shown.code == 0
    assert max(map(len, lines)) <= 80
    assert re.search(r"^placed +2$", "\n".join(lines), re.MULTILINE)


@pytest.mark.parametrize("every", ["0", "nan"])
async def test_looks_take_their_time(shell: "Shell", tmp_path: Path, every: str) -> None:
    """Somebody who would look without a pause is told so."""
    ended = await shell.run("campaign", "status", str(tmp_path), "--watch", "--every", every)
    assert ended.code == 2
