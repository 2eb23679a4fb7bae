"""The control API from outside: what a test in any language scripts, drives and asserts."""

import asyncio
import io
from typing import Any

import aiohttp
import pytest

from conference_async.emulator import Emulator, Fault

THEIRS = "+15558675310"

looptime = pytest.mark.looptime


@looptime
async def test_a_test_without_python(control: Any) -> None:
    """Script a number, create, move time on, drive by number and label, count, begin again."""
    await control.ask("POST", "/scripts", {"ending": "0001", "outcome": "busy", "after": 3})
    await control.ask("PATCH", "/clock", {"frozen": True})
    await control.create(Label="alice")
    await control.create(To="+15550000001", Label="bob")
    await control.ask("POST", "/clock/advance", {"seconds": 2.5})
    ringing = await control.ask("GET", "/calls", call_status="ringing")
    assert [call["label"] for call in ringing.body["calls"]] == ["alice", "bob"]
    answered = await control.ask("POST", f"/calls/{THEIRS}/answer")
    assert (answered.status, answered.body["call_status"]) == (200, "in-progress")
    clock = await control.ask("POST", "/clock/advance", {"seconds": 0.5})
    assert clock.body["frozen"] is True
    bob = (await control.ask("GET", "/calls/bob")).body
    assert (bob["call_status"], bob["over"], bob["reason_left"]) == (
        "busy",
        True,
        "participant_add_failed",
    )
    assert bob["parameters"]["To"] == ["+15550000001"]
    hung_up = await control.ask("POST", "/calls/alice/hang_up")
    assert (hung_up.body["call_status"], hung_up.body["duration"]) == ("completed", 0)
    (room,) = (await control.ask("GET", "/conferences", name="standup")).body["conferences"]
    assert (room["status"], room["inside"], room["over"]) == ("completed", 0, 2)
    rings = (await control.ask("GET", "/rings")).body["rings"]
    assert rings == {THEIRS: 1, "+15550000001": 1}
    assert (await control.ask("GET", f"/rings/{THEIRS}")).body == {"to": THEIRS, "rings": 1}
    assert (await control.ask("GET", "/rings/911")).body["rings"] == 0
    assert (await control.ask("POST", "/reset")).status == 204
    assert (await control.ask("GET", "/rings")).body == {"rings": {}}
    assert (await control.ask("GET", "/clock")).body["frozen"] is False


@looptime
async def test_somebody_dials_in(control: Any) -> None:
    """Under a label that creates then clash with; a second one of it is a 409."""
    guest = {"conference": "standup", "from": "+15550000009", "label": "guest"}
    came = await control.ask("POST", "/calls", guest)
    again = await control.ask("POST", "/calls", guest)
    clash = await control.create(Label="guest")
    odd = await control.ask("POST", "/calls", {**guest, "label": "x", "muted": "yes"})

    assert (came.status, came.body["direction"], came.body["status"]) == (
        201,
        "inbound",
        "connected",
    )
    assert (again.status, "already used" in again.body["message"]) == (409, True)
    assert (clash["code"], odd.status) == (16026, 400)


@looptime
async def test_what_was_sent_can_be_read(control: Any) -> None:
    """Requests by kind and number, with their forms; the number counts those forgotten too."""
    await control.ask("POST", "/faults", {"fault": "fail_500"})
    await control.create(Label="alice")
    await control.create(Label="bob", Muted="true")
    seen = (await control.ask("GET", "/requests", kind="create")).body
    later = (await control.ask("GET", "/requests", after="1")).body["requests"]
    last = (await control.ask("GET", "/requests", limit="1")).body["requests"]

    assert [(one["number"], one["status"], one["fault"]) for one in seen["requests"]] == [
        (1, 500, "fail_500"),
        (2, 201, None),
    ]
    assert (seen["count"], later, last) == (2, seen["requests"][1:], seen["requests"][1:])
    assert later[0]["form"]["Muted"] == ["true"]
    assert (await control.ask("GET", "/faults")).body == {"faults": []}
    assert (await control.ask("GET", "/requests", kind="list")).body["requests"] == []


@looptime
async def test_callbacks_are_waited_for_and_read(control: Any) -> None:
    """Who cannot be reached is an error's name; delivery is changed, and brought back by reset."""
    made = await control.ask("PATCH", "/callbacks", {"delay": 2, "copies": 2})
    assert made.body == {"delay": 2, "jitter": 0.0, "copies": 2, "drop": 0.0}
    await control.create(
        StatusCallback="http://127.0.0.1:1/", StatusCallbackEvent="initiated ringing"
    )
    waited = await control.ask("POST", "/callbacks/settle", {"timeout": 1})
    settled = await control.ask("POST", "/callbacks/settle")
    sent = (await control.ask("GET", "/callbacks")).body["callbacks"]

    assert (waited.body, settled.body) == ({"settled": False}, {"settled": True})
    assert [one["event"] for one in sent] == ["initiated"] * 2 + ["ringing"] * 2
    assert {one["error"] for one in sent} == {"ConnectionRefusedError"}
    await control.ask("POST", "/reset")
    assert (await control.ask("GET", "/callbacks")).body["delivery"]["delay"] == 0


@looptime
async def test_settings_change_together_or_not_at_all(control: Any) -> None:
    """An odd one of several leaves all as they were, and is named."""
    right = await control.ask("PATCH", "/settings", {"answer_after": 1, "max_live": 2})
    wrong = await control.ask("PATCH", "/settings", {"answer_after": 9, "latency": -1})
    unknown = await control.ask("PATCH", "/settings", {"port": 1})

    assert (right.body["answer_after"], right.body["max_live"]) == (1, 2)
    assert (wrong.status, wrong.body["message"]) == (400, "latency must be at least 0, not -1")
    assert control.emulator.answer_after == 1
    assert unknown.status == 400
    assert "answer_after" in unknown.body["message"]


@looptime
async def test_accounts_and_keys_are_made(control: Any) -> None:
    """With a pace, a parent and a key of their own; one that is not there is a 404."""
    parent = control.emulator.account_sid
    made = await control.ask("POST", "/accounts", {"cps": 5, "parent": parent})
    sid = made.body["account_sid"]
    key = await control.ask("POST", f"/accounts/{sid}/keys")
    changed = await control.ask("PATCH", f"/accounts/{sid}", {"cps": 30})
    listed = (await control.ask("GET", "/accounts")).body["accounts"]

    assert (made.status, made.body["parent"], len(made.body["auth_token"])) == (201, parent, 32)
    assert key.body["key_sid"].startswith("SK")
    assert [one["cps"] for one in listed] == [1.0, 30]
    assert changed.body == listed[1]
    assert "auth_token" not in listed[1]
    assert (await control.ask("PATCH", "/accounts/AC1", {"cps": 30})).status == 404
    assert (await control.ask("POST", "/accounts", {"parent": "AC1"})).status == 404


async def test_it_goes_away_and_comes_back(control: Any) -> None:
    """The answer comes before; then nobody is there, and then everything is as it was."""
    await control.create()
    going = await control.ask("POST", "/restart", {"downtime": 1})
    twice = await control.ask("POST", "/restart")
    assert (going.status, going.body, twice.status) == (202, {"downtime": 1}, 409)

    async def there() -> bool:
        try:
            return bool((await control.ask("GET", "/rings")).body["rings"] == {THEIRS: 1})
        except aiohttp.ClientConnectionError:
            return False

    while await there():
        pass
    while not await there():
        pass


async def test_a_restart_does_not_outlive_the_emulator(open_control: Any) -> None:
    """Closed while it is away, it stays away."""
    async with open_control() as control:
        await control.ask("POST", "/restart", {"downtime": 60})
        await asyncio.sleep(0.1)
        address = control.emulator.host, control.emulator.port
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


REFUSED = [
    ("POST", "/clock/advance", b"", "must have seconds"),
    ("POST", "/clock/advance", b"[1]", "a JSON object"),
    ("POST", "/clock/advance", b'{"seconds": NaN}', "a JSON object"),
    ("POST", "/clock/advance", b'{"seconds": 1', "a JSON object"),
    ("POST", "/clock/advance", b"\xff", "a JSON object"),
    ("POST", "/clock/advance", b'{"seconds": "1"}', "seconds must be a number"),
    ("POST", "/clock/advance", b"x" * 2_000_000, "at most 1 MiB"),
    ("POST", "/clock/advance", b'{"seconds": 1, "minutes": 2}', "'minutes'; it takes seconds"),
    ("PATCH", "/clock", b'{"frozen": 1}', "true or false"),
    ("POST", "/scripts", b'{"outcome": "busy"}', "must have ending"),
    ("POST", "/scripts", b'{"ending": "1", "outcome": "engaged"}', "one of answer, busy"),
    ("POST", "/faults", b'{"fault": "fire"}', "one of reset_before"),
    ("GET", "/requests?limit=x", None, "limit must be a whole number"),
    ("GET", "/requests?limit=20001", None, "limit must be at most 20000"),
    ("GET", "/requests?kind=creates", None, "one of create"),
    ("GET", "/requests?limit=1&limit=2", None, "once"),
    ("GET", "/requests?limit=%FF", None, "cannot be decoded"),
    ("GET", "/clock?zone=utc", None, "'zone'; it takes nothing"),
]


@pytest.mark.parametrize(("method", "path", "body", "said"), REFUSED)
async def test_what_is_odd_is_refused_by_name(
    control: Any, method: str, path: str, body: bytes | None, said: str
) -> None:
    """400, with what would be right, and nothing changes."""
    url = f"{control.emulator.base_url}/control{path}"
    async with control.session.request(
        method, url, data=None if body is None else io.BytesIO(body)
    ) as answer:
        told = await answer.json()

    assert (answer.status, told["status"]) == (400, 400)
    assert said in told["message"]


async def test_no_call_is_a_404_that_lists_those_there_are(control: Any) -> None:
    """It is found by what the message says; two of a number must be told apart."""
    await control.create(Label="alice")
    await control.create(Label="bob")
    missing = await control.ask("POST", "/calls/carol/answer")
    two = await control.ask("POST", f"/calls/{THEIRS}/answer")

    assert (missing.status, two.status) == (404, 404)
    assert "'alice'" in missing.body["message"]
    assert "several live calls" in two.body["message"]
    assert THEIRS not in two.body["message"]


async def test_who_picked_up_cannot_be_busy(control: Any) -> None:
    """What a call cannot do any more is refused, and nothing happens to it."""
    await control.create(Label="alice")
    await control.ask("POST", "/calls/alice/answer")
    busy = await control.ask("POST", "/calls/alice/busy")
    shown = await control.ask("GET", "/calls/alice")

    assert busy.status == 400
    assert shown.body["call_status"] == "in-progress"


async def test_the_token_guards_everything() -> None:
    """Beyond loopback one is made up, and nothing is shown or changed without it."""
    async with (
        Emulator(host="0.0.0.0") as emulator,
        aiohttp.ClientSession(f"http://127.0.0.1:{emulator.port}") as session,
    ):
        for method, path in [("GET", "openapi.json"), ("POST", "reset"), ("GET", "nothing")]:
            async with session.request(method, f"/control/{path}") as answer:
                assert (answer.status, (await answer.json())["status"]) == (401, 401)
        headers = {"Authorization": f"Bearer {emulator.control_token}"}
        async with session.post("/control/reset", headers=headers) as answer:
            assert answer.status == 204


@looptime
async def test_control_leaves_no_trace(control: Any) -> None:
    """It is neither recorded nor delayed nor spoiled, and a HEAD is a GET without a body."""
    emulator: Emulator = control.emulator
    emulator.latency = 100
    emulator.faults.add(Fault.RESET_BEFORE, on=None, times=None)
    begin = asyncio.get_running_loop().time()
    assert (await control.ask("GET", "/clock")).status == 200
    assert (await control.ask("HEAD", "/clock")).body is None

    assert asyncio.get_running_loop().time() - begin < 1
    assert (emulator.count(), len(emulator.faults.rules)) == (0, 1)
