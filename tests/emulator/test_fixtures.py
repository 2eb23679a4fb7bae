"""The pytest plugin, as a user's own tests use it: each project runs in a pytest of its own."""

import inspect
import textwrap
from collections.abc import Callable

import pytest

from conference_async.emulator import fixtures

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

BOT = '''
"""A user's application: it finds the service by the environment."""

from conference_async import ConferenceClient


async def dial(*numbers):
    async with ConferenceClient() as client:
        standup = client.conferences("standup")
        for number in numbers:
            await standup.participants.create(from_="+15017122661", to=number)
'''

MARKS = "pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]\n"


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Write a project with this test file and run its tests, in this process: that is quick."""

    def running(test: str, mode: str = "strict") -> pytest.RunResult:
        pytester.makeconftest('pytest_plugins = ["conference_async.emulator.fixtures"]')
        pytester.makepyfile(bot=BOT, test_bot="import asyncio\nimport pytest\n" + test)
        pytester.syspathinsert()
        options = ["-q", "--strict-markers", "-W", "error", "-p", "no:cacheprovider"]
        # The plugin is loaded already, which happens in no process of a user's.
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        options += ["-o", "asyncio_default_fixture_loop_scope=function"]
        return pytester.runpytest_inprocess(*options, "-o", f"asyncio_mode={mode}")

    return running


def passed(run: pytest.RunResult, tests: int) -> bool:
    """Return whether so many tests passed and nothing else happened."""
    run.assert_outcomes(passed=tests)
    return run.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_client_is_paced_like_the_emulator(run: Run, mode: str) -> None:
    """Creates start evenly at the emulator's pace, in virtual time, in both asyncio modes."""
    marks = MARKS if mode == "strict" else "pytestmark = pytest.mark.looptime\n"
    project = run(
        marks
        + """
async def dial(client, number):
    await client.conferences("standup").participants.create(from_="+15017122661", to=number)

async def test_default(emulator, conference_client):
    for number in range(1000, 1004):
        await dial(conference_client, f"+1555000{number}")
    assert [round(at, 3) for at in emulator.starts] == [0, 1, 2, 3]
    assert emulator.rings("+15550001002") == 1

@pytest.mark.emulator(cps=4, answer_after=None)
async def test_options(emulator, conference_client):
    for number in range(1000, 1061):
        await dial(conference_client, f"+1555000{number}")
    assert round(emulator.starts[-1], 3) == 15
    assert {call.status for call in emulator.participants("standup")} == {"ringing"}
    assert len(emulator.participants("standup")) == 61
""",
        mode,
    )

    assert passed(project, 2)


def test_the_closest_mark_wins_option_by_option(run: Run) -> None:
    """A test's options go before those of its module, which stay otherwise."""
    project = run(
        """
pytestmark = [pytest.mark.asyncio, pytest.mark.emulator(cps=5, ring_after=2)]

@pytest.mark.emulator(cps=9)
async def test_own(emulator):
    assert (emulator.cps, emulator.ring_after) == (9, 2)

async def test_module(emulator):
    assert (emulator.cps, emulator.ring_after) == (5, 2)
"""
    )

    assert passed(project, 2)


def test_numbers_have_outcomes(run: Run) -> None:
    """Each number of the table goes as its documentation says, at the instants it says."""
    project = run(
        MARKS
        + """
from conference_async.emulator import numbers

@pytest.mark.emulator(pace=False)
@pytest.mark.parametrize(
    ("number", "history"),
    [
        (numbers.BUSY, [(0, "ringing"), (0.5, "busy")]),
        (numbers.NEVER_ANSWERS, [(0, "ringing"), (25, "no-answer")]),
        (numbers.MACHINE, [(0, "ringing"), (0.5, "in-progress")]),
        (numbers.UNREACHABLE, [(0, "failed")]),
        (numbers.HANGS_UP, [(0, "ringing"), (0.5, "in-progress"), (10.5, "completed")]),
        ("+15550000006", [(0, "ringing"), (0.5, "in-progress")]),
    ],
)
async def test_outcome(emulator, conference_client, number, history):
    await conference_client.conferences("x").participants.create(
        from_="+15017122661", to=number, timeout=20, machine_detection="Enable"
    )
    call = emulator.conferences[0].participants[0]
    clock, seen = asyncio.get_running_loop(), []
    await asyncio.sleep(0.01)
    while clock.time() < 30:
        if not seen or seen[-1][1] != call.call_status:
            seen.append((round(clock.time(), 1), call.call_status))
        await asyncio.sleep(0.1)
    assert seen == history
    answered_by = "machine_start" if number == numbers.MACHINE else "human"
    assert call.answered_by == (answered_by if call.answered_at else None)
"""
    )

    assert passed(project, 6)


@pytest.mark.parametrize("marks", [MARKS, "pytestmark = pytest.mark.asyncio\n"])
def test_the_emulator_calls_the_application_back(run: Run, marks: str) -> None:
    """A receiver runs: its roster, its waits and its list of events hear what a phone does."""
    project = run(
        marks
        + """
from conference_async.webhooks import CallAnswered

@pytest.mark.emulator(answer_after=None)
async def test_alice_comes_and_goes(emulator, conference_client, conference_webhooks):
    calls, roster = conference_webhooks.calls, conference_webhooks.roster
    placed = await conference_client.conferences("standup").participants.create(
        from_="+15017122661", to="+15558675310", **calls.labelled("alice")
    )
    emulator.answer("alice")
    await calls.joined("alice", timeout=30)
    room = roster.room(placed.conference_sid)
    assert [one.label for one in room.participants] == ["alice"]
    emulator.hang_up("alice")
    assert (await calls.completed("alice", timeout=30)).status == "completed"
    await emulator.callbacks.settled()
    assert any(isinstance(event, CallAnswered) for event in conference_webhooks.events)

async def test_each_test_has_its_own(conference_webhooks):
    assert conference_webhooks.roster.rooms() == ()
    assert conference_webhooks.events == []
"""
    )

    assert passed(project, 2)


def test_a_callback_that_never_comes_whole_keeps_no_test(run: Run) -> None:
    """The receiver of a test that is over does not wait until it can answer."""
    project = run(
        """
pytestmark = pytest.mark.asyncio

import pytest_asyncio
from urllib.parse import urlsplit

HALF = (
    b"POST /hooks/twilio HTTP/1.1\\r\\nHost: here\\r\\nContent-Length: 5\\r\\n"
    b"Content-Type: application/x-www-form-urlencoded\\r\\n\\r\\n"
)

@pytest_asyncio.fixture
async def left_open():
    connections = []
    yield connections
    [(reader, writer)] = connections
    answer = await reader.read()
    writer.close()
    assert answer == b""

async def test_half_a_callback(left_open, conference_webhooks):
    url = urlsplit(conference_webhooks.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    left_open.append((reader, writer))
    writer.write(HALF)
    await asyncio.sleep(0.1)
"""
    )

    assert passed(project, 1)


def test_a_bot_that_reads_the_environment_is_sent_to_the_emulator(run: Run) -> None:
    """A client made deep in the application reaches the emulator, without being told."""
    project = run(
        MARKS
        + """
import bot
from conference_async import ServiceFailed
from conference_async.emulator import Fault

async def test_bot(emulator_environment):
    await bot.dial("+15558675310", "+15550000001")
    assert emulator_environment.ring_counts == {"+15558675310": 1, "+15550000001": 1}

async def test_bot_survives_a_lost_answer(emulator, emulator_environment):
    emulator.faults.add(Fault.RESET_AFTER)
    await bot.dial("+15558675310")
    assert emulator.rings("+15558675310") == 1
    assert [request.kind for request in emulator.requests][0] == "create"
"""
    )

    assert passed(project, 2)


def test_unittest_needs_no_plugin(run: Run) -> None:
    """Outside pytest's fixtures the emulator is a plain async context manager."""
    project = run(
        """
import unittest
import bot
from conference_async import ConferenceClient, Credentials
from conference_async.emulator import Emulator

class BotTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.emulator = await self.enterAsyncContext(Emulator(cps=30))
        self.client = await self.enterAsyncContext(
            ConferenceClient(
                Credentials(self.emulator.account_sid, self.emulator.auth_token),
                base_url=self.emulator.base_url, cps=30,
            )
        )

    async def test_dial(self):
        room = self.client.conferences("standup")
        await room.participants.create(from_="+15017122661", to="+15558675310")
        self.assertEqual(self.emulator.rings("+15558675310"), 1)
"""
    )

    assert passed(project, 1)


def test_the_documented_example_passes(run: Run) -> None:
    """The example in the plugin's own documentation is a test that works as it stands."""
    documented = inspect.cleandoc(fixtures.__doc__ or "")
    _, _, example = documented.partition("# test_bot.py\n")
    example, _, _ = example.partition("\nUnder ")

    assert passed(run(textwrap.dedent("    " + example.lstrip())), 1)
