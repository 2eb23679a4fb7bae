"""The command that rings people in waves."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conference_async.emulator import Emulator, Script

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

INCIDENT = ("--conference", "incident", "--from", "+15017122661", "--cps", "30")


@pytest.fixture
def on_call(tmp_path: Path) -> str:
    """Return a file of three people."""
    file = tmp_path / "on-call.csv"
    file.write_text("to,label\n+15558675310,ann\n+15558675311,bob\n+15558675312,eve\n")
    return str(file)


async def test_enough_people_are_brought_together(
    shell: "Shell", emulator: Emulator, on_call: str
) -> None:
    """The next wave is rung where the first was busy; machines do not count where asked for."""
    emulator.script("5310", Script(outcome="busy", after=0.1))
    emulator.script("5311", Script(after=0.1, answered_by="machine_start"))
    waves = ("--wave-size", "2", "--machine-detection")

    ended = await shell.run("page", on_call, "--humans", "1", *INCIDENT, *waves)

    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == f"to ring      up to 3, through {emulator.base_url}"
    assert lines[1].startswith("not reached  ann: ")
    assert lines[2:] == [
        "machines     bob",
        "people       eve",
        "enough       yes, after 2 waves",
    ]


async def test_not_enough_is_code_1(shell: "Shell", emulator: Emulator, on_call: str) -> None:
    """And JSON holds no number whole."""
    for number in range(3):
        emulator.script(f"531{number}", Script(outcome="busy", after=0.1))

    ended = await shell.run("page", on_call, "--humans", "2", *INCIDENT, "--json")

    assert ended.code == 1
    found = ended.json
    assert (found["enough"], found["people"], found["waves"]) == (False, [], 1)
    assert {each["to"] for each in found["not_reached"]} == {"***5310", "***5311", "***5312"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--humans", "4", *INCIDENT), "can never be reached"),
        (("--humans", "1", *INCIDENT, "--wave-size", "0"), "--wave-size must be 1 or more, not 0"),
        (
            ("--humans", "1", *INCIDENT, "--room-size", "1"),
            "give the rows the same one, no --room-size",
        ),
        (("--humans", "0", *INCIDENT), "humans must be 1 or more"),
    ],
)
async def test_wrong_use_rings_nobody(
    shell: "Shell", emulator: Emulator, on_call: str, options: tuple[str, ...], message: str
) -> None:
    """It is said in one line."""
    ended = await shell.run("page", on_call, *options)

    assert ended.code == 2
    assert message in ended.err
    assert emulator.ring_counts == {}


async def test_ctrl_c_hangs_up(shell: "Shell", emulator: Emulator, on_call: str) -> None:
    """Nobody's phone rings on."""
    for number in range(3):
        emulator.script(f"531{number}", Script(outcome="no_answer"))

    async with shell.begun("page", on_call, "--humans", "1", *INCIDENT) as running:
        while len(emulator.ring_counts) < 3:  # noqa: ASYNC110 -- another thread is waited for
            await asyncio.sleep(0.05)
        running.interrupt()
        ended = await running.end()

    assert ended.code == 130
    assert ended.err.endswith("stopped; phones that rang were hung up on\n")
    assert emulator.participants("incident") == []
