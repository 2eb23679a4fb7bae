"""People rung in waves: enough of them, each once, and nobody left ringing."""

import asyncio
import os
from random import Random

import pytest

from conference_async import (
    Bridge,
    CallOver,
    ConferenceClient,
    ConfigurationError,
    Credentials,
    NewParticipant,
    NotAuthorized,
    Polling,
    bridge,
)
from conference_async.emulator import Emulator, Script
from conference_async.emulator.calls.scripts import AnsweredBy, Outcome

pytestmark = pytest.mark.looptime

MIXES = int(os.environ.get("CONFERENCE_ASYNC_TEST_MIXES", "3"))

FROM = "+15017122661"
OUTCOMES: tuple[Outcome, ...] = ("answer", "answer", "busy", "no_answer", "failed")
WHO: tuple[AnsweredBy, ...] = ("human", "human", "machine_start", "unknown", "fax")


def person(number: int, *, machine_detection: str | None = None) -> NewParticipant:
    """Return the request that calls a person."""
    return NewParticipant(
        from_=FROM,
        to=f"+1555867{number:04}",
        label=f"p{number}",
        machine_detection=machine_detection,
    )


def now() -> float:
    """Return the loop's time, in tenths of a second."""
    return round(asyncio.get_running_loop().time(), 1)


def here(emulator: Emulator) -> list[str]:
    """Return the labels of those whose call is live."""
    return sorted(call.label or "" for room in emulator.conferences for call in room.participants)


def labels(found: Bridge) -> list[str | None]:
    """Return the labels of those who came, in their order."""
    return [view.label for view in found.people]


async def test_the_next_wave_rings_when_the_one_before_did_not_suffice(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """After twenty seconds, while the first still rings; who still rings at the end is hung up."""
    emulator.script("0001", Script(outcome="no_answer"))
    emulator.script("0002", Script(after=3.0))
    emulator.script("0003", Script(after=30.0))

    found = await bridge(
        client.conferences("incident"),
        [[person(1)], [person(2), person(3)], [person(4)]],
        humans=1,
    )

    assert found.enough
    assert labels(found) == ["p2"]
    assert found.waves == 2
    assert here(emulator) == ["p2"]
    assert [emulator.rings(f"+1555867000{n}") for n in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert 23 <= now() <= 25


async def test_a_wave_that_is_decided_is_not_waited_for(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Once everybody of it was busy, the next one rings, twenty seconds or not."""
    emulator.script("0001", Script(outcome="busy"))

    found = await bridge(client.conferences("incident"), [[person(1)], [person(2)]], humans=1)

    assert labels(found) == ["p2"]
    assert now() < 15
    (busy,) = found.not_reached
    assert isinstance(busy.error, CallOver)
    assert (busy.label, "8675" in repr(found)) == ("p1", False)


async def test_not_enough_is_said(client: ConferenceClient, emulator: Emulator) -> None:
    """When all are decided, or at the deadline; those who came stay."""
    emulator.script("0001", Script(outcome="busy"))
    emulator.script("0003", Script(outcome="no_answer"))
    room = client.conferences("incident")

    over = await bridge(room, [[person(1), person(2)]], humans=2)
    assert (over.enough, labels(over), here(emulator)) == (False, ["p2"], ["p2"])

    began = now()
    late = await bridge(room, [[person(3)]], humans=1, deadline=12)
    assert (late.enough, labels(late), here(emulator)) == (False, [], ["p2"])
    assert now() - began == pytest.approx(12, abs=0.5)


async def test_a_machine_does_not_count(client: ConferenceClient, emulator: Emulator) -> None:
    """It is hung up on; a person counts once detection has heard one; the undecided stay."""
    emulator.script("0001", Script(after=0.2, answered_by="machine_start", detected_after=2.0))
    emulator.script("0002", Script(after=0.2, answered_by="unknown", detected_after=2.0))
    emulator.script("0003", Script(after=1.0, detected_after=6.0))
    wave = [person(n, machine_detection="Enable") for n in (1, 2, 3)]

    found = await bridge(client.conferences("incident"), [wave], humans=1)

    assert labels(found) == ["p3"]
    assert [view.label for view in found.machines] == ["p1"]
    assert [view.label for view in found.undecided] == ["p2"]
    assert here(emulator) == ["p2", "p3"]
    assert 7 <= now() <= 9


async def test_whoever_leaves_counts_no_longer(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """So many people must be there at the same time."""
    emulator.script("0001", Script(after=0.2, hang_up_after=3.0))
    emulator.script("0002", Script(after=9.0))
    emulator.script("0003", Script(after=15.0))

    found = await bridge(client.conferences("incident"), [[person(n) for n in (1, 2, 3)]], humans=2)

    assert labels(found) == ["p2", "p3"]


async def test_creates_that_wait_in_line_are_not_sent(emulator: Emulator) -> None:
    """Somebody came meanwhile; and nobody is rung twice, in whatever waves they are."""
    emulator.script("0001", Script(after=0.1))
    waves = [[person(1), *(person(n) for n in range(2, 9))], [person(1)]]
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token), base_url=emulator.base_url, cps=1
    ) as slow:
        found = await bridge(slow.conferences("incident"), waves, humans=1)

        assert labels(found) == ["p1"]
        assert sum(emulator.ring_counts.values()) <= 3
        assert set(emulator.ring_counts.values()) == {1}
        assert here(emulator) == ["p1"]


async def test_cancelled_it_hangs_up(client: ConferenceClient, emulator: Emulator) -> None:
    """On those whose phone still rings; those who have joined stay."""
    emulator.script("0001", Script(after=0.1))
    emulator.script("0002", Script(outcome="no_answer"))
    ringing = asyncio.create_task(
        bridge(client.conferences("incident"), [[person(1), person(2)]], humans=2)
    )
    await asyncio.sleep(5)
    assert here(emulator) == ["p1", "p2"]

    ringing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ringing

    assert here(emulator) == ["p1"]


async def test_what_can_never_be_is_refused(client: ConferenceClient, emulator: Emulator) -> None:
    """Before anybody is rung; and an account that may not call is said by each call."""
    room = client.conferences("incident")
    with pytest.raises(ConfigurationError, match="2 can never be reached: the waves have 1"):
        await bridge(room, [[person(1)], [person(1)]], humans=2)
    with pytest.raises(ConfigurationError, match="humans must be 1 or more"):
        await bridge(room, [[person(1)]], humans=0)
    with pytest.raises(ConfigurationError, match="wave_every must be more than 0"):
        await bridge(room, [[person(1)]], humans=1, wave_every=0)
    for flat in ([person(1)], person(1), None):
        with pytest.raises(ConfigurationError, match="lists of NewParticipant, not "):
            await bridge(room, flat, humans=1)  # type: ignore[arg-type]  # as meant
    with pytest.raises(ConfigurationError, match="lists of NewParticipant, not str"):
        await bridge(room, ["+15558675310"], humans=1)  # type: ignore[list-item] # as meant
    assert emulator.ring_counts == {}

    async with ConferenceClient(
        Credentials(emulator.account_sid, "wrong"), base_url=emulator.base_url
    ) as stranger:
        found = await bridge(stranger.conferences("incident"), [[person(1)]], humans=1)
        assert isinstance(found.not_reached[0].error, NotAuthorized)
        await stranger.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await bridge(stranger.conferences("incident"), [[person(1)]], humans=1)


async def test_what_an_application_raises_is_not_hidden(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Nobody is left ringing for it, and those who joined stay."""
    emulator.script("0001", Script(after=1.0))
    emulator.script("0002", Script(outcome="no_answer"))

    async def before_send(label: str | None, _: int) -> None:
        if label == "p3":
            await asyncio.sleep(5)
            raise KeyError(label)

    room = client.with_options(before_send=before_send).conferences("incident")

    with pytest.raises(KeyError, match="p3"):
        await bridge(room, [[person(number) for number in (1, 2, 3)]], humans=3)

    assert now() == 5.1  # at thirty calls a second it sets out behind the two others
    assert here(emulator) == ["p1"]


@pytest.mark.sized
@pytest.mark.parametrize("seed", range(MIXES))
async def test_random_mixes(client: ConferenceClient, emulator: Emulator, seed: int) -> None:
    """Machines never make it enough, nobody is rung twice, and a second later nobody rings."""
    random = Random(seed)
    people: set[str] = set()
    waves: list[list[NewParticipant]] = []
    for number in range(1, 13):
        outcome = random.choice(OUTCOMES)
        by = random.choice(WHO)
        emulator.script(
            f"{number:04}",
            Script(
                outcome=outcome,
                after=random.uniform(0.1, 12),
                answered_by=by,
                detected_after=random.uniform(0, 5),
            ),
        )
        if outcome == "answer" and by == "human":
            people.add(f"p{number}")
        if number % 3 == 1:
            waves.append([])
        waves[-1].append(person(number, machine_detection="Enable"))
    room = client.conferences("incident")

    found = await bridge(
        room, waves, humans=2, wave_every=6, deadline=60, calls=Polling(room, every=0.5)
    )

    assert set(labels(found)) <= people
    assert found.enough == (len(found.people) >= 2)
    assert found.enough or not people - set(labels(found)) or len(people) < 2
    assert set(emulator.ring_counts.values()) <= {1}
    await asyncio.sleep(1)
    assert set(here(emulator)) == {*labels(found), *(view.label for view in found.undecided)}
