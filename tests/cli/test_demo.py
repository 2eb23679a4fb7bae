"""The demonstration."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conference_async import ConferenceClient, Credentials
from conference_async.cli import progress
from conference_async.cli.demo import call_all, standup
from conference_async.emulator import Emulator

if TYPE_CHECKING:
    from tests.cli.conftest import Shell


async def test_demo_shows_a_dozen_people(bare_shell: "Shell") -> None:
    """Without any setting, it dials twelve, moves them about, and says what comes next."""
    ended = await bare_shell.run("demo", "--cps", "30")
    assert ended.code == 0
    assert "bob" in ended.out
    assert ended.out.count("\tconnected") == 12
    assert ended.out.count("connected, muted") == 1
    assert ended.out.count("connected, on hold") == 1
    assert "dave was removed; 11 are left" in ended.out
    assert "conference-async dial people.csv" in ended.out
    assert "12 of 12" in ended.err


async def test_progress_without_a_terminal_is_a_line_now_and_then(
    bare_shell: "Shell", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log, in which no bar can move, gets a plain line every few seconds."""
    monkeypatch.setattr(progress, "EVERY", 0)
    ended = await bare_shell.run("demo", "--cps", "30")
    lines = ended.err.splitlines()
    assert len(lines) == len(set(lines)) == 12
    assert re.fullmatch(
        r"conference-async: 2 of 12: [0-9.]+/s, ETA [0-9:]+.*, 2 placed.*", lines[1]
    )


async def test_demo_for_machines(bare_shell: "Shell") -> None:
    """With --json, the room is all that is printed."""
    ended = await bare_shell.run("demo", "--cps", "30", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.json) == 12


@pytest.mark.looptime
async def test_an_interrupted_demo_leaves_nobody_waiting(emulator: Emulator) -> None:
    """Who would be called next finds a closed client, and says so in a traceback."""
    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    async with ConferenceClient(credentials, base_url=emulator.base_url, cps=1) as client:
        room = client.conferences("standup")
        calling = asyncio.create_task(call_all(standup(), room, cps=1, quiet=True))
        await asyncio.sleep(2.5)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

        assert client.limit.snapshot().waiting == 0
        assert emulator.count("create") == 3


def test_the_example_and_the_demonstration_agree() -> None:
    """The file that users see holds the people who are dialled."""
    example = Path(__file__).parents[2] / "examples" / "standup.csv"
    lines = example.read_text(encoding="utf-8").splitlines()
    assert lines == ["to,label", *(f"{person.to},{person.label}" for person in standup())]
