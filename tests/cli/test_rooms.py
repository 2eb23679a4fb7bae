"""Commands about conferences and the people in them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conference_async.emulator import Call, Emulator, Fault

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

CALLER = "+15017122661"
ALICE = "+15558675310"
BOB = "+15558675311"


@pytest.fixture
async def people(shell: "Shell", emulator: Emulator) -> list[Call]:
    """Alice and Bob, in the standup."""
    for label, to in (("alice", ALICE), ("bob", BOB)):
        ended = await shell.run("create", "standup", "--from", CALLER, "--to", to, "--label", label)
        assert ended.code == 0
    return emulator.participants("standup")


async def test_create_sends_every_option_once(shell: "Shell", emulator: Emulator) -> None:
    """The service gets what was typed, flags, words and unknown parameters included."""
    ended = await shell.run(
        *("create", "standup", "--from", CALLER, "--to", ALICE, "--label", "a b"),
        *("--no-early-media", "--timeout", "20", "--beep", "onEnter", "--wait-url", ""),
        *("--status-callback", "https://example.com/calls"),
        *("--status-callback-event", "ringing", "--status-callback-event", "answered"),
        *("--extra", '{"Brand": "new"}', "--json"),
    )
    assert ended.code == 0
    assert ended.json["label"] == "a b"
    assert ended.json["status"] == "queued"
    assert emulator.requests[-1].form == {
        "From": [CALLER],
        "To": [ALICE],
        "StatusCallback": ["https://example.com/calls"],
        "StatusCallbackEvent": ["ringing", "answered"],
        "Label": ["a b"],
        "Timeout": ["20"],
        "Beep": ["onEnter"],
        "WaitUrl": [""],
        "EarlyMedia": ["false"],
        "Brand": ["new"],
    }
    assert ended.err == f"conference-async: dialling through {emulator.base_url}\n"


async def test_create_once(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """The same key dials once, says so, and takes no other request; a key needs its journal."""
    key = ("--once", "order-42", "--journal", str(tmp_path / "calls.db"))
    create = ("create", "standup", "--from", CALLER, "--to")
    first = await shell.run(*create, ALICE, *key, "--json")
    again = await shell.run(*create, ALICE, *key, "--json")
    other = await shell.run(*create, BOB, *key)
    alone = await shell.run(*create, BOB, *key[:2])

    assert (first.code, again.code, other.code, alone.code) == (0, 0, 2, 2)
    assert first.json["call_sid"] == again.json["call_sid"]
    assert (first.json["repeated"], again.json["repeated"]) == (False, True)
    assert "nobody was dialled now" in again.err
    assert "was used for another" in other.err
    assert "--once and --journal belong together" in alone.err
    assert emulator.ring_counts == {ALICE: 1}


async def test_create_says_that_it_looks_for_a_lost_answer(
    shell: "Shell", emulator: Emulator
) -> None:
    """What may take half a minute is not done in silence."""
    emulator.faults.add(Fault.PLACE_THEN_500)
    ended = await shell.run("create", "standup", "--from", CALLER, "--to", ALICE, "--json")

    assert (ended.code, ended.json["reconciled"]) == (0, True)
    _, looking = ended.err.splitlines()
    assert "no readable answer; the call is looked for" in looking
    assert emulator.ring_counts == {ALICE: 1}


async def test_create_ends_by_its_deadline(shell: "Shell", emulator: Emulator) -> None:
    """What could not be sent by then is not sent; a deadline that can never be kept is refused."""
    create = ("create", "standup", "--from", CALLER, "--to", ALICE, "--deadline")
    late = await shell.run(*create, "1e-9")
    never = await shell.run(*create, "0")

    assert (late.code, never.code) == (4, 2)
    assert "so nothing was sent" in late.err
    assert "deadline must be" in never.err
    assert emulator.ring_counts == {}


async def test_people_are_listed_in_lines_and_as_json(shell: "Shell", people: list[Call]) -> None:
    """A pipe gets tab-separated fields, or one JSON array."""
    bob, alice = people if people[0].label == "bob" else people[::-1]
    lines = await shell.run("list", "standup")
    assert set(lines.out.splitlines()) == {
        f"alice\t{alice.sid}\tconnected",
        f"bob\t{bob.sid}\tconnected",
    }
    listed = await shell.run("list", "standup", "--json")
    assert {person["call_sid"] for person in listed.json} == {alice.sid, bob.sid}
    nobody = await shell.run("list", "standup", "--muted", "--json")
    assert nobody.json == []
    one = await shell.run("list", "standup", "--limit", "1", "--json")
    assert len(one.json) == 1


async def test_verbs_do_what_they_say(shell: "Shell", people: list[Call]) -> None:
    """Each verb changes one participant, and prints how they are now."""
    alice = next(call for call in people if call.label == "alice")

    async def after(*arguments: str) -> str:
        ended = await shell.run(*arguments)
        assert (ended.code, ended.err) == (0, "")
        return ended.out.rstrip("\n").rpartition("\t")[2]

    assert await after("mute", "standup", "alice") == "connected, muted"
    assert await after("unmute", "standup", alice.sid) == "connected"
    url = ("--url", "https://example.com/music.mp3", "--method", "GET")
    assert await after("hold", "standup", "alice", *url) == "connected, on hold"
    assert await after("unhold", "standup", "alice") == "connected"
    assert await after("coach", "standup", "alice", "bob") == "connected, coaching"
    assert await after("coach", "standup", "alice", "--stop") == "connected"
    assert await after("coach", "standup", "bob", alice.sid) == "connected, coaching"
    announcement = ("announce", "standup", "https://example.com/hello.mp3")
    assert await after(*announcement, "--to", "alice") == "connected"
    assert "in-progress" in (await shell.run(*announcement)).out
    assert await after("remove", "standup", "alice") == "removed alice"
    assert (await shell.run("remove", "standup", "bob", "--json")).json == {"removed": "bob"}
    assert (await shell.run("list", "standup", "--json")).code == 3


async def test_conferences_are_shown_and_ended(
    shell: "Shell", emulator: Emulator, people: list[Call]
) -> None:
    """A conference is found by state and name, shown whole, and ended."""
    sid = people[0].room.sid
    shown = await shell.run("show", "standup", "--json")
    assert shown.json["sid"] == sid
    person = await shell.run("show", sid, "alice")
    assert "label\talice\n" in person.out
    listed = await shell.run("conferences", "--friendly-name", "standup", "--json")
    assert [conference["sid"] for conference in listed.json] == [sid]
    ended = await shell.run("end", "standup")
    assert ended.out.split("\t")[:3] == ["standup", sid, "completed"]
    assert emulator.participants("standup") == []
    assert (await shell.run("conferences")).out == ""
    completed = await shell.run("conferences", "--status", "completed")
    assert sid in completed.out


@pytest.mark.parametrize(
    "arguments", [["coach", "standup", "alice"], ["coach", "standup", "alice", "bob", "--stop"]]
)
async def test_coaching_needs_somebody_or_an_end(shell: "Shell", arguments: list[str]) -> None:
    """Coaching nobody, and stopping somebody in particular, are wrong use."""
    ended = await shell.run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "conference-async: error: say whom to coach, or --stop\n"


async def test_numbers_are_masked_unless_asked_for(shell: "Shell", emulator: Emulator) -> None:
    """A label that is a phone number is warned of, and shown only on demand."""
    ended = await shell.run("create", "standup", "--from", CALLER, "--to", ALICE, "--label", ALICE)
    assert ended.out.startswith("***5310\t")
    assert "warning: the label looks like a phone number" in ended.err
    assert ALICE not in ended.err
    await asyncio.sleep(0.1)
    for arguments in (
        ["list", "standup"],
        ["list", "standup", "--json"],
        ["show", "standup", ALICE],
    ):
        hidden, shown = (
            await shell.run(*arguments),
            await shell.run(*arguments, "--show-numbers"),
        )
        assert ALICE not in hidden.out
        assert "***5310" in hidden.out
        assert ALICE in shown.out
