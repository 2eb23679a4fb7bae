"""Fixtures for the tests of your own application, as a pytest plugin.

Needs the ``testing`` extra. Name the plugin in the ``conftest.py`` at the root of your tests, and
use the fixtures from async tests under pytest-asyncio, in its auto or its strict mode::

    # conftest.py
    pytest_plugins = ["conference_async.emulator.fixtures"]


    # test_bot.py
    import pytest
    from conference_async.emulator import numbers

    pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]  # virtual time: nothing waits


    @pytest.mark.emulator(cps=5)
    async def test_everybody_is_called_once(emulator, conference_client):
        standup = conference_client.conferences("standup")
        for number in ("+15558675310", numbers.BUSY):
            await standup.participants.create(from_="+15017122661", to=number)
        assert emulator.ring_counts == {"+15558675310": 1, numbers.BUSY: 1}

Under ``@pytest.mark.looptime`` seconds of pace, of ringing and of talk pass at once, and exactly;
without it they take as long as they say.
"""

import socket
from collections.abc import AsyncIterator

import attrs
import pytest
import pytest_asyncio
from aiohttp import web

from conference_async.client import ConferenceClient
from conference_async.credentials import Credentials
from conference_async.emulator import numbers
from conference_async.emulator.emulator import Emulator
from conference_async.pace.local import CreateLimit
from conference_async.waiting import Calls
from conference_async.webhooks import Event, Keys, Receiver, Roster, aiohttp_handler

_HOOKS = "/hooks/twilio"


@attrs.frozen
class ConferenceWebhooks:
    """A receiver that runs, and what it has heard: see `conference_webhooks`."""

    url: str
    """Where the emulator can call it; for ``status_callback`` and its kind."""

    receiver: Receiver
    """Takes the callbacks; `Receiver.listen` lets your own code hear them."""

    roster: Roster
    """Who is in each room."""

    calls: Calls
    """Waits: ``create(..., **calls.labelled("alice"))``, then ``calls.answered("alice")``."""

    events: list[Event] = attrs.field(factory=list[Event], repr=False)
    """Every event so far, in the order of arrival."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the ``emulator`` marker."""
    config.addinivalue_line(
        "markers", "emulator(**options): options of the `emulator` fixture, as Emulator takes them"
    )


@pytest_asyncio.fixture
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    """Run an `Emulator` for one test, on a free port of loopback.

    It has the defaults of `Emulator` (one call per second, answered after half a second), but for
    what ``@pytest.mark.emulator(cps=5, answer_after=None, ...)`` says on the test, its class or
    its module; the closest mark wins, option by option. It knows the numbers of
    `conference_async.emulator.numbers`. Use its ``rings``, ``requests``, ``script`` and
    ``faults`` to look and to meddle.
    """
    options = {
        name: value
        for mark in reversed(list(request.node.iter_markers("emulator")))
        for name, value in mark.kwargs.items()
    }
    async with Emulator(**options) as emulator:
        for number, script in numbers.SCRIPTS.items():
            emulator.script(number, script)
        yield emulator


@pytest_asyncio.fixture
async def conference_client(emulator: Emulator) -> AsyncIterator[ConferenceClient]:
    """Return a client of the emulator's main account, closed after the test.

    It paces creates at the emulator's calls per second by a limit of its own, as it would against
    the service: three creates at one call per second end after two seconds, which virtual time
    makes instant.
    """
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(emulator.cps),
    ) as client:
        yield client


@pytest.fixture
def emulator_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Let ``ConferenceClient()``, made anywhere in your code, talk to the emulator.

    Sets ``TWILIO_ACCOUNT_SID``, ``TWILIO_AUTH_TOKEN`` and ``CONFERENCE_ASYNC_BASE_URL`` for one
    test, removes what would pass before them, and returns the emulator.
    """
    for name in ("TWILIO_API_KEY", "TWILIO_CLIENT_ID", "TWILIO_REGION", "TWILIO_EDGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", emulator.account_sid)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", emulator.auth_token)
    monkeypatch.setenv("CONFERENCE_ASYNC_BASE_URL", emulator.base_url)
    return emulator


@pytest_asyncio.fixture
async def conference_webhooks(emulator: Emulator) -> AsyncIterator[ConferenceWebhooks]:
    """Run a `Receiver` of the emulator's callbacks, with a roster and waits that listen.

    ::

        async def test_alice_comes(emulator, conference_client, conference_webhooks):
            calls, roster = conference_webhooks.calls, conference_webhooks.roster
            placed = await conference_client.conferences("standup").participants.create(
                from_="+15017122661", to="+15558675310", **calls.labelled("alice")
            )
            await calls.joined("alice", timeout=30)
            assert len(roster.room(placed.conference_sid).participants) == 1
    """

    def now() -> float:
        """Return the emulator's date: under virtual time it is not the wall clock's."""
        return emulator.now.timestamp()

    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}{_HOOKS}"
    async with Receiver(
        Keys(emulator.auth_token),
        public_url=url,
        now=now,
    ) as receiver:
        webhooks = ConferenceWebhooks(url, receiver, Roster(), Calls(url))
        for listener in (webhooks.roster.apply, webhooks.calls.apply, webhooks.events.append):
            receiver.listen(listener)
        app = web.Application()
        app.router.add_route("*", _HOOKS, aiohttp_handler(receiver))
        # Not 0, by which aiohttp means without end: a callback that connects just when the server
        # stops is neither read nor let go of.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        try:
            yield webhooks
        finally:
            await runner.cleanup()
