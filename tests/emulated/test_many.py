"""What many creates became, found out in few requests."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from conference_async import ConferenceClient, Credentials, RetryPolicy, Unpaced
from conference_async.emulator import Emulator, Fault, Script
from conference_async.sending.many import Finding
from conference_async.sending.sought import Sought

FROM = "+15017122661"

pytestmark = pytest.mark.looptime


def number(index: int) -> str:
    """Return the number of one target."""
    return f"+1555{index:07}"


def lost(index: int, *, ago: float = 0.0, room: int = 0, **facts: str | None) -> Sought:
    """Return a create that a dead process had sent so many seconds ago."""
    now = datetime.now(UTC)
    usual: dict[str, str | None] = {"to": number(index), "from_": FROM}
    return Sought.at(
        f"room {room}",
        f"target-{index}",
        sent_at=now - timedelta(seconds=ago),
        ended_at=now - timedelta(seconds=ago),
        **usual | facts,
    )


async def dial(emulator: Emulator, index: int, *, room: int = 0) -> str:
    """Dial a target as the dead process did, which nothing here remembers."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url.replace("127.0.0.1", "localhost"),
        limit=Unpaced(),
    ) as dead:
        participants = dead.conferences(f"room {room}").participants
        placed = await participants.create(from_=FROM, to=number(index), label=f"target-{index}")
    return placed.call_sid


def told(finding: Finding) -> str:
    """Return what was found out, in a word."""
    if finding.participant is not None:
        return finding.participant.evidence
    return "clash" if finding.clash else finding.looks[-1].held


async def test_hundreds_of_creates_take_a_handful_of_requests(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Some live, some are over, some were never placed: each is told, and told rightly."""
    emulator.pace = False
    emulator.script("0", Script(outcome="busy", after=0))
    sids = await asyncio.gather(*(dial(emulator, n, room=n // 100) for n in range(0, 400, 2)))
    before = emulator.count()

    findings = await client.find_many([lost(n, room=n // 100) for n in range(400)])

    expected = ["call-log" if n % 10 == 0 else "absent" if n % 2 else "label" for n in range(400)]
    assert [told(finding) for finding in findings] == expected
    found = [each.participant.call_sid for each in findings if each.participant is not None]
    assert found == list(sids)
    # Twice for each of 4 rooms: by its name, and whoever is in; then three parts of the log.
    assert emulator.count() - before <= 2 * 4 * 3 + 3


async def test_parts_of_the_log_are_read_apart_where_time_lies_between(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Two hours and two rows each: neither all that lies between them, nor one row at a time."""
    creates = [lost(n, ago=hours * 3600 + n) for hours in (2, 30) for n in range(4)]

    findings = await client.find_many(creates)

    assert {told(finding) for finding in findings} == {"absent"}
    assert emulator.count("calls.list") == 2 * 3
    queries = [each.query for each in emulator.requests if each.kind == "calls.list"]
    assert sum("StartTime<" in query for query in queries) == 1  # a call may wait for a day


@pytest.mark.soak  # it makes thousands of calls
async def test_a_busy_log_is_asked_for_each_number_instead(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """More pages than the creates would take by themselves are not read."""
    emulator.pace = False
    emulator.script("", Script(outcome="busy", after=0))
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url.replace("127.0.0.1", "localhost"),
        limit=Unpaced(),
    ) as other:
        rooms = [other.conferences(f"crowd {n}").participants for n in range(10)]
        await asyncio.gather(
            *(rooms[n % 10].create(from_=FROM, to=number(n % 7)) for n in range(5500))
        )

    findings = await client.find_many([lost(8), lost(9)])

    assert [told(finding) for finding in findings] == ["absent", "absent"]
    asked = [each for each in emulator.requests if each.kind == "calls.list"]
    assert [each.query.get("To") for each in asked[-6:]] == [[number(8)]] * 3 + [[number(9)]] * 3


async def test_the_same_number_twice_is_nobodys(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Two rows of a campaign, or of two, and one call that is over: it may be either's."""
    emulator.script("", Script(outcome="busy", after=0))
    await dial(emulator, 1)
    twin = lost(1)._replace(label="twin")

    findings = await client.find_many([lost(1), twin])

    assert [told(finding) for finding in findings] == ["shared", "shared"]


async def test_what_cannot_be_read_is_said_and_read_again(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """As often as the policy says; then it is nobody's fault, and the next run asks again."""
    emulator.script("", Script(outcome="busy", after=0))
    await dial(emulator, 1)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=2)
    view = client.with_options(retry=RetryPolicy(lookups=3))
    (found,) = await view.find_many([lost(1)])
    emulator.faults.add(Fault.HTML_200, on="conferences.list", times=None)
    emulator.faults.add(Fault.HTML_200, on="calls.list", times=None)
    findings = await view.find_many([lost(2), lost(3)])

    assert told(found) == "call-log"
    assert [each.unread for each in findings] == [True, True]
    assert "could not be read" in str(findings[0])


async def test_an_earlier_bearer_of_the_label_is_told_apart(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """So that create placed nothing; one without a label is found by the log alone."""
    await dial(emulator, 1)
    await asyncio.sleep(100)
    emulator.script("", Script(outcome="busy", after=0))
    await dial(emulator, 2)
    unlabelled = lost(2)._replace(label=None)

    findings = await client.find_many([lost(1), unlabelled, lost(3, from_=None)])

    assert [told(finding) for finding in findings] == ["clash", "call-log", "unsearchable"]
    assert await client.find_many([]) == []
