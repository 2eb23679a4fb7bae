"""Wrong input to the emulator's own methods, and loops other than the one it is made for."""

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from conference_async.emulator import Account, Emulator, Fault, Injection, NoSuchCall, Script

OURS, THEIRS = "+15017122661", "+15558675310"
SID = "AC" + "1" * 32


def made(_emulator: Emulator, kind: Any, **options: Any) -> object:
    """Make a value of the emulator's, which no checker looks at."""
    return kind(**options)


async def a_coroutine(_request: object) -> None:
    """Spoil nothing, once it is awaited."""


class Planner:
    """An object that is called."""

    async def __call__(self, _request: object) -> None:
        """Spoil nothing, once it is awaited."""


MISUSES: list[tuple[Callable[[Any], object], str]] = [
    (lambda it: setattr(it, "cps", 0), "cps must be above 0"),
    (lambda it: setattr(it, "latency", -1), "latency must be at least 0"),
    (lambda it: setattr(it.accounts[0], "cps", 0), "cps must be above 0"),
    (lambda it: setattr(it.callbacks, "copies", 0), "copies must be from 1 to 100"),
    (lambda it: setattr(it.callbacks, "drop", 1.1), "drop must be at least 0 and at most 1"),
    (lambda it: setattr(it.callbacks, "delay", "1"), "delay must be a number at least 0"),
    (lambda it: it.add_account("AC1"), "sid must be AC and 32 hex"),
    (lambda it: it.add_account(it.account_sid), "such an account already"),
    (lambda it: it.add_account(cps=0), "cps must be above 0"),
    (lambda it: it.add_account(parent=Account(sid=SID, auth_token="x")), "not one of this"),
    (lambda it: it.add_api_key(Account(sid=SID, auth_token="x")), "not one of this"),
    (lambda it: it.script(5310, Script()), "ending must be text"),
    (lambda it: it.script("5310", "busy"), "must be a Script"),
    (lambda it: it.count("creates"), "a kind of request is one of create"),
    (lambda it: it.faults.add("reset_before"), "fault"),
    (lambda it: it.faults.add(Fault.DELAY, on="creates"), "on must be one of create"),
    (lambda it: it.faults.add(Fault.DELAY, times=0), "times must be at least 1"),
    (lambda it: it.faults.add(Fault.DELAY, times=1.5), "times must be an int"),
    (lambda it: it.faults.add(Fault.DELAY, after=-1), "after must be at least 0"),
    (lambda it: it.faults.add(Fault.DELAY, probability=2), "probability must be"),
    (lambda it: it.faults.add(Fault.DELAY, seconds=-1), "seconds must be at least 0"),
    (lambda it: it.faults.add(Fault.TOO_MANY, retry_after="1"), "retry_after must be"),
    (lambda it: it.faults.add(Fault.DELAY, to=15558675310), "to must be text"),
    (lambda it: it.faults.add(Fault.DELAY, label=5), "label must be text"),
    (lambda it: it.faults.plan("delay"), "must be a function"),
    (lambda it: it.faults.plan(a_coroutine), "nobody awaits"),
    (lambda it: it.faults.plan(partial(a_coroutine)), "nobody awaits"),
    (lambda it: it.faults.plan(Planner()), "nobody awaits"),
    (lambda it: it.base_url, "no port before"),
    (lambda it: made(it, Script, outcome="engaged"), "outcome must be one of answer, busy"),
    (lambda it: made(it, Script, answered_by=None), "answered_by must be one of human"),
    (lambda it: made(it, Script, after=-1), "after must be at least 0"),
    (lambda it: made(it, Script, hang_up_after="1"), "hang_up_after must be a number"),
    (lambda it: made(it, Injection, fault="delay"), "fault"),
]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"cps": 0}, "cps"),
        ({"cps": float("nan")}, "cps"),
        ({"cps": float("inf")}, "cps"),
        ({"cps": "5"}, "cps"),
        ({"cps": True}, "cps"),
        ({"account_sid": "AC1"}, "account_sid"),
        ({"auth_token": "a b"}, "auth_token"),
        ({"control_token": ""}, "control_token"),
        ({"host": 1}, "host"),
        ({"port": 65_536}, "port"),
        ({"port": "80"}, "port"),
        ({"answer_after": -1}, "answer_after"),
        ({"ring_after": None}, "ring_after"),
        ({"pace": 1}, "pace"),
        ({"latency": -0.1}, "latency"),
        ({"visibility_lag": float("inf")}, "visibility_lag"),
        ({"call_log_lag": -1}, "call_log_lag"),
        ({"max_concurrent_requests": 0.5}, "max_concurrent_requests"),
        ({"max_live": -1}, "max_live"),
        ({"max_live_code": 10005}, "max_live_code"),
        ({"ssl_context": "x"}, "ssl_context"),
        ({"seed": "x"}, "seed"),
        ({"keep_ended": 0}, "keep_ended"),
    ],
)
def test_an_odd_option_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    """When it is made, not when the first call comes; the message says which option."""
    with pytest.raises((ValueError, TypeError), match=named):
        Emulator(**options)


@pytest.mark.parametrize(("misuse", "message"), MISUSES, ids=[str(n) for n in range(len(MISUSES))])
def test_wrong_input_says_what_would_be_right(
    misuse: Callable[[Emulator], object], message: str
) -> None:
    """Every public method and attribute refuses it at once, and nothing changes."""
    emulator = Emulator()

    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        misuse(emulator)
    assert (len(emulator.accounts), emulator.accounts[0].cps, emulator.faults.rules) == (1, 1.0, [])


@pytest.mark.parametrize("action", ["call", "answer", "hang_up", "busy", "no_answer", "fail"])
@pytest.mark.parametrize("call_sid", ["no-such", "", None, ["CA1"], 7])
async def test_an_unknown_call_is_named_as_such(action: str, call_sid: Any) -> None:
    """The error says where a call's SID comes from, and does not repeat what was given."""
    async with Emulator() as emulator:
        with pytest.raises(NoSuchCall, match=r"(?i)sid") as refused:
            getattr(emulator, action)(call_sid)

    assert "no-such" not in str(refused.value)


def signed_in(emulator: Emulator) -> dict[str, str]:
    """Return the header that signs in to the main account."""
    user = f"{emulator.account_sid}:{emulator.auth_token}".encode()
    return {"Authorization": f"Basic {base64.b64encode(user).decode()}"}


async def test_only_the_connected_speak(api: Any) -> None:
    """Nobody speaks before the answer, nor for negative seconds."""
    api.emulator.answer_after = None
    sid = (await api.create()).json["call_sid"]
    with pytest.raises(ValueError, match="connected"):
        api.emulator.speak(sid)
    api.emulator.answer(sid)
    with pytest.raises(ValueError, match="0 seconds or more"):
        api.emulator.speak(sid, -1)


async def test_a_downtime_is_not_negative(api: Any) -> None:
    """It is refused before anything is closed."""
    with pytest.raises(ValueError, match="downtime"):
        await api.emulator.restart(-1)

    assert (await api.get("/Calls.json")).status == 200


async def test_a_port_that_is_taken_leaves_it_closed(api: Any) -> None:
    """The error is the system's, and it can listen elsewhere afterwards."""
    async with Emulator() as other:
        await other.stop_listening()
        free, other.port = other.port, api.emulator.port
        with pytest.raises(OSError, match="address already in use"):
            await other.start_listening()
        other.port = free
        await other.start_listening()


def test_it_belongs_to_one_loop() -> None:
    """Opened twice, before and after its time, or from outside: it says so, and does nothing."""
    emulator = Emulator(pace=False)

    async def use() -> str:
        async with emulator, aiohttp.ClientSession() as session:
            root = f"{emulator.base_url}/2010-04-01/Accounts/{emulator.account_sid}"
            path = f"{root}/Conferences/standup/Participants.json"
            form = {"From": OURS, "To": THEIRS}
            async with session.post(path, data=form, headers=signed_in(emulator)) as answer:
                sid: str = (await answer.json())["call_sid"]
            with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
                await asyncio.to_thread(emulator.answer, sid)
            return sid

    async def again() -> None:
        with pytest.raises(RuntimeError, match="opened once"):
            async with emulator:
                pass
        with pytest.raises(RuntimeError, match="not open"):
            await emulator.start_listening()

    with pytest.raises(RuntimeError, match="not open"):
        asyncio.run(emulator.start_listening())
    sid = asyncio.run(use())
    asyncio.run(again())
    with pytest.raises(RuntimeError, match="not open"):
        emulator.answer(sid)
    assert emulator.rings(THEIRS) == 1


async def test_it_runs_under_uvloop() -> None:
    """Calls start in their turn, ring and are answered, faults and callbacks happen there too."""
    import uvloop

    async def scenario() -> tuple[list[str], list[float], list[str | None], int]:
        async with Emulator(cps=2, answer_after=0.01) as emulator:
            emulator.faults.add(Fault.RESET_BEFORE)
            emulator.faults.add(Fault.RESET_AFTER, after=3)
            root = f"{emulator.base_url}/2010-04-01/Accounts/{emulator.account_sid}"
            form = {"From": OURS, "To": THEIRS, "StatusCallback": "http://127.0.0.1:1/"}
            lost = 0
            async with aiohttp.ClientSession(headers=signed_in(emulator)) as session:
                for _ in range(5):
                    try:
                        path = f"{root}/Conferences/standup/Participants.json"
                        async with session.post(path, data=form) as answer:
                            assert answer.status == 201
                    except aiohttp.ClientConnectionError:
                        lost += 1
                calls = emulator.participants("standup")
                while {call.status for call in calls} != {"connected"}:  # noqa: ASYNC110 -- the emulator's own time
                    await asyncio.sleep(0.01)
                async with session.get(f"{emulator.base_url}/control/overview") as state:
                    assert state.status == 200
            starts = [call.started_at or 0.0 for call in calls]
            statuses = [call.status for call in calls]
            await emulator.restart(0.01)
            for call in calls:
                emulator.hang_up(call.sid)
            await emulator.callbacks.settled()
            return statuses, starts, [one.error for one in emulator.callbacks.sent], lost

    statuses, starts, errors, lost = await asyncio.to_thread(uvloop.run, scenario())

    assert (statuses, lost) == (["connected"] * 4, 2)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert gaps == [pytest.approx(0.5, abs=1e-6)] * 3
    assert errors == ["ConnectionRefusedError"] * 4
