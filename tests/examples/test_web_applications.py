"""The two web servers, each driven from outside."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
import pytest_asyncio

from conference_async.emulator import Emulator, Fault

if TYPE_CHECKING:
    from tests.examples.conftest import Reached, Start

EXAMPLES = Path(__file__).parents[2] / "examples"
FORMS = {"aiohttp_app.py": "data", "fastapi_app.py": "json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IMPATIENT = {"DEADLINE": "4", "PATIENCE": "5"}

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@attrs.frozen
class Service:
    """Two workers of an application, and one that waits for nothing very long."""

    emulator: Emulator
    form: str
    """The argument of aiohttp that sends what it takes."""
    workers: tuple[aiohttp.ClientSession, aiohttp.ClientSession]
    impatient: aiohttp.ClientSession

    def guest(self, number: int, label: str) -> dict[str, Any]:
        """Return the arguments of a request to dial somebody."""
        return {self.form: {"to": f"+155586753{number:02}", "label": label}}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=FORMS)
async def service(
    request: pytest.FixtureRequest,
    start: "Start",
    reached: "Reached",
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    """Start an application three times: two share their state, as behind a proxy."""
    ports = [free_port() for _ in range(3)]
    public, shared = f"http://127.0.0.1:{ports[0]}", str(tmp_path_factory.mktemp("shared"))
    known = [
        {"STATE": shared, "PUBLIC_URL": public},
        {"STATE": shared, "PUBLIC_URL": public},
        {"STATE": str(tmp_path_factory.mktemp("own")), **IMPATIENT},
    ]
    async with Emulator(cps=30, answer_after=0.1) as emulator, AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(
                start(emulator, request.param, PORT=str(port), **environment)
            )
            for port, environment in zip(ports, known, strict=True)
        ]
        one, two, impatient = [
            await stack.enter_async_context(reached(port, process))
            for port, process in zip(ports, started, strict=True)
        ]
        yield Service(emulator, FORMS[request.param], (one, two), impatient)
        assert [process.returncode for process in started] == [None] * 3


async def settled(response: aiohttp.ClientResponse, people: list[Any]) -> None:
    """Read server-sent events until they show these people."""
    async for line in response.content:
        if line.startswith(b"data: ") and json.loads(line.removeprefix(b"data: ")) == people:
            return


async def test_they_dial_and_show_the_room(service: Service) -> None:
    """They dial, take callbacks, refuse forged ones, and show the room live."""
    session, _ = service.workers
    async with session.post("/rooms/live", **service.guest(10, "alice")) as response:
        assert response.status == 201
        placed = await response.json()
    async with session.get(f"/conferences/{placed['conference_sid']}/live") as response:
        assert response.content_type == "text/event-stream"
        await settled(response, [{"label": "alice", "muted": False}])
        service.emulator.hang_up(placed["call_sid"])
        await settled(response, [])

        async with session.post("/hooks/twilio", data={"CallSid": "CA1"}) as forged:
            assert forged.status == 403


async def test_they_dial_once_for_a_key(service: Service) -> None:
    """Two workers, one key: whoever asks second is answered with the call of the first."""
    key = {"Idempotency-Key": "order-42"}

    async def ask(session: aiohttp.ClientSession, number: int = 20) -> tuple[int, Any]:
        guest = service.guest(number, "bob")
        async with session.post("/rooms/once", headers=key, **guest) as response:
            return response.status, await response.json()

    both = await asyncio.gather(*map(ask, service.workers))
    later = await ask(service.workers[0])
    assert sorted(status for status, _ in both) == [200, 201], both
    assert [status for status, _ in (later, await ask(service.workers[1], 21))] == [200, 422]
    assert all(shown == later[1] for _, shown in both)
    assert service.emulator.rings("+15558675320") == 1
    assert service.emulator.rings("+15558675321") == 0


async def test_they_say_whether_anybody_was_called(service: Service) -> None:
    """A mistake, a refusal, an outage and doubt are told apart, and only an outage is repeated."""
    emulator, guest = service.emulator, service.guest(30, "carol")

    async def answered(**asked: Any) -> tuple[int, Any, str | None]:
        """Return status, body and hint of an answer."""
        async with service.impatient.post("/rooms/said", **(asked or guest)) as response:
            retry = response.headers.get("Retry-After")
            return response.status, await response.json(), retry

    status, body, _ = await answered(**{service.form: {"to": "nobody", "label": "carol"}})
    assert (status, body["parameter"]) == (422, "to")
    emulator.faults.add(Fault.LABEL_CLASH)
    status, body, _ = await answered()
    assert (status, body["code"]) == (502, 16026)
    if service.form == "data":  # which `curl -d` would send without encoding
        status, body, _ = await answered(data="to=+15558675330&label=carol", headers=FORM)
        assert (status, "a + may have been lost" in body["detail"]) == (422, True)
    assert emulator.rings("+15558675330") == 0
    emulator.faults.add(Fault.RESET_AFTER)
    emulator.faults.add(Fault.INVISIBLE, seconds=3600)
    status, body, _ = await answered()
    assert (status, body["label"]) == (500, "carol")
    assert emulator.rings("+15558675330") == 1
    await emulator.stop_listening()
    try:
        assert await answered() == (503, {"detail": "nobody was called; try again"}, "5")
    finally:
        await emulator.start_listening()


async def test_a_phone_is_hung_up_where_nobody_waits_for_it(service: Service) -> None:
    """The client goes away, or it rings for too long: the call is taken down, and that is said."""
    emulator, labels = service.emulator, ("dora", "emil", "fred")

    async def ask(number: int, label: str) -> tuple[int, Any]:
        guest = service.guest(number, label)
        async with service.impatient.post("/rooms/waits", **guest) as response:
            return response.status, await response.json()

    emulator.answer_after = None
    asking = [asyncio.create_task(ask(40 + at, label)) for at, label in enumerate(labels)]
    while not {*labels} <= {call.label for call in emulator.calls}:  # noqa: ASYNC110 -- a process's doing
        await asyncio.sleep(0.05)
    emulator.answer_after = 0.1
    leaves, waits, busy = asking
    leaves.cancel()
    emulator.busy("fred")

    assert (await busy)[0] == 409
    assert await waits == (504, {"detail": "nobody picked up"})
    while (dora := emulator.call("dora")).call_status == "ringing":  # noqa: ASYNC110 -- a process's doing
        await asyncio.sleep(0.05)
    assert (dora.call_status, emulator.call("emil").call_status) == ("canceled", "canceled")


@pytest.mark.parametrize("name", FORMS)
async def test_the_commands_in_a_docstring_send_what_they_show(name: str) -> None:
    """A form without encoding would lose the plus of its number."""
    text = await asyncio.to_thread((EXAMPLES / name).read_text)
    commands = [line for line in text.splitlines() if "curl" in line]

    assert len(commands) == 2
    assert "--data-urlencode to=+" in commands[0] or "--json" in commands[0]
