"""The life of a call, its pace, and driving it by hand: all at exact instants."""

import asyncio
from typing import Any

import pytest

from conference_async.emulator import Emulator, NoSuchCall, Script

pytestmark = pytest.mark.looptime


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def history(api: Any, created: Any, until: float) -> list[tuple[float, str]]:
    """Return the instants, in seconds from now, at which the call changed its status."""
    call, begin = api.emulator.call(created.json["call_sid"]), now()
    seen: list[tuple[float, str]] = []
    while now() - begin < until:
        if not seen or seen[-1][1] != call.call_status:
            seen.append((round(now() - begin, 3), call.call_status))
        await asyncio.sleep(0.125)
    return seen


async def test_a_call_is_queued_set_up_ringing_answered(open_api: Any) -> None:
    """Each step comes at its configured time."""
    async with open_api(ring_after=1, answer_after=2) as api:
        created = await api.create()
        steps = await history(api, created, 5)

    assert created.json["status"] == "queued"
    assert steps == [(0, "initiated"), (1.0, "ringing"), (3.0, "in-progress")]


@pytest.mark.parametrize("cps", [1, 5, 30])
async def test_calls_start_at_the_pace_of_the_account(open_api: Any, cps: int) -> None:
    """One every 1/cps seconds; the create tells the wait in milliseconds, later reads do not."""
    async with open_api(cps=cps, answer_after=0) as api:
        created = [await api.create() for _ in range(10)]
        assert [one.json["queue_time"] for one in created] == [
            str(round(1000 * place / cps)) for place in range(10)
        ]
        assert (await api.get(api.at(created[9]))).json["queue_time"] is None
        await asyncio.sleep(9 / cps + 1)
        answered = [call.answered_at for call in api.emulator.participants("standup")]

    assert answered == [pytest.approx(place / cps, abs=1e-5) for place in range(10)]


async def test_idle_time_is_not_saved_up(open_api: Any) -> None:
    """After a pause one call starts at once, the next one waits its turn."""
    async with open_api(cps=2) as api:
        await api.create()
        await asyncio.sleep(10)
        times = [(await api.create()).json["queue_time"] for _ in range(3)]

    assert times == ["0", "500", "1000"]


async def test_each_account_has_its_own_pace(open_api: Any) -> None:
    """A busy account does not slow down another."""
    async with open_api(cps=1) as api:
        await api.create()
        other = api.emulator.add_account(cps=10)
        api.user, api.account_sid = (other.sid, other.auth_token), other.sid
        times = [(await api.create()).json["queue_time"] for _ in range(2)]

    assert times == ["0", "100"]


async def test_a_queue_of_over_24_hours_is_full(open_api: Any) -> None:
    """22005, and nothing placed."""
    async with open_api(cps=1 / 50_000) as api:
        assert [(await api.create()).status for _ in range(2)] == [201, 201]
        refused = await api.create()

        assert (refused.code, api.emulator.rings("+15558675310")) == (22005, 2)


async def test_without_pace_every_call_starts_at_once(open_api: Any) -> None:
    """Queue time is 0 always."""
    async with open_api(cps=1, pace=False) as api:
        assert {(await api.create()).json["queue_time"] for _ in range(20)} == {"0"}


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        (Script(outcome="busy", after=3), [(3.0, "busy")]),
        (Script(outcome="failed"), [(0.5, "failed")]),
        (Script(outcome="no_answer"), [(15.0, "no-answer")]),
        (Script(after=15), [(15.0, "no-answer")]),
        (Script(after=14), [(14.0, "in-progress")]),
        (Script(after=1, hang_up_after=4), [(1.0, "in-progress"), (5.0, "completed")]),
    ],
)
async def test_a_script_decides_how_a_call_goes(
    open_api: Any, script: Script, steps: list[tuple[float, str]]
) -> None:
    """Outcome and instants are the script's; ringing ends 5 s after the call's Timeout."""
    async with open_api() as api:
        api.emulator.script("5310", script)
        seen = await history(api, await api.create(Timeout="10"), 20)

    assert seen == [(0, "ringing"), *steps]


async def test_a_call_ends_at_its_time_limit(open_api: Any) -> None:
    """TimeLimit seconds after the answer, whatever the person wants."""
    async with open_api() as api:
        api.emulator.script("5310", Script(hang_up_after=100))
        seen = await history(api, await api.create(TimeLimit="7"), 10)

    assert seen[-1] == (7.5, "completed")


async def test_the_longest_matching_script_counts(open_api: Any) -> None:
    """An exact number beats an ending, a longer ending a shorter one."""
    async with open_api(pace=False) as api:
        api.emulator.script("0", Script(outcome="busy"))
        api.emulator.script("10", Script(outcome="failed"))
        api.emulator.script("+15558675310", Script(outcome="no_answer"))
        calls = [
            api.emulator.call((await api.create(str(n), To=to)).json["call_sid"])
            for n, to in enumerate(("+15558675310", "+15550000010", "+15550000000", "+1555000"))
        ]
        await asyncio.sleep(70)

    assert [call.call_status for call in calls] == ["no-answer", "failed", "busy", "busy"]


async def test_phones_are_driven_by_hand(open_api: Any) -> None:
    """Answer, decline, hang up, busy, no answer, fail; what is over stays as it was."""
    async with open_api(answer_after=None, pace=False) as api:
        emulator: Emulator = api.emulator
        sids = [(await api.create(str(place))).json["call_sid"] for place in range(5)]
        await asyncio.sleep(30)
        emulator.answer(sids[0])
        assert emulator.call(sids[0]).status == "connected"
        for drive, sid in zip(
            (emulator.hang_up, emulator.hang_up, emulator.busy, emulator.no_answer, emulator.fail),
            sids,
            strict=True,
        ):
            drive(sid)
            drive(sid)
        emulator.answer(sids[4])

    assert [emulator.call(sid).call_status for sid in sids] == [
        "completed",
        "busy",
        "busy",
        "no-answer",
        "failed",
    ]
    assert [emulator.call(sid).status for sid in sids] == ["complete", *["failed"] * 4]


async def test_who_picked_up_can_only_hang_up(open_api: Any) -> None:
    """An answered call is not busy, unanswered or failed in the end, at the service neither."""
    async with open_api(answer_after=None, pace=False) as api:
        emulator: Emulator = api.emulator
        await api.create("one", Label="alice")
        emulator.answer("alice")
        emulator.answer("alice")
        for drive in (emulator.busy, emulator.no_answer, emulator.fail):
            with pytest.raises(ValueError, match="only end by hanging up"):
                drive("alice")
        during = emulator.call("alice").status
        emulator.hang_up("alice")

    assert during == "connected"
    assert emulator.call("alice").call_status == "completed"


async def test_a_call_is_named_by_number_label_or_sid(open_api: Any) -> None:
    """The live one before those that are over; what is not there is answered by what is."""
    async with open_api(answer_after=None, pace=False) as api:
        emulator: Emulator = api.emulator
        with pytest.raises(NoSuchCall, match="No call was placed yet"):
            emulator.answer("alice")
        for _ in range(2):
            await api.create("one", To="+15558675311", Label="alice")
            emulator.hang_up("alice")
        await api.create("one", To="+15558675311", Label="alice")
        await api.create("two", To="+15558675312")
        emulator.answer("+15558675311")
        emulator.busy("+15558675312")
        emulator.hang_up("+15558675312")
        statuses = [call.call_status for call in emulator.calls]
        with pytest.raises(
            NoSuchCall, match=r"Newest first: CA\w+ to \*\*\*5312, busy; CA"
        ) as unknown:
            emulator.answer("+15558675319")
        await api.create("three", To="+15558675313", Label="alice")
        with pytest.raises(NoSuchCall, match=r"several live calls .* SID") as several:
            emulator.answer("alice")

    assert statuses == ["busy", "busy", "in-progress", "busy"]
    assert str(several.value).count("'alice'") == 2
    assert "+1555" not in f"{unknown.value}{several.value}"


async def test_only_some_of_many_calls_are_listed(open_api: Any) -> None:
    """An error stays readable after a campaign."""
    async with open_api(pace=False) as api:
        for place in range(9):
            await api.create(str(place))
        with pytest.raises(NoSuchCall, match="and 4 more"):
            api.emulator.answer("alice")


async def test_a_queued_call_can_be_answered_by_hand(open_api: Any) -> None:
    """It skips its queue; the pace of the others is as it was."""
    async with open_api(cps=0.1) as api:
        await api.create()
        queued = await api.create()
        api.emulator.answer(queued.json["call_sid"])

        assert (await api.get(api.at(queued))).json["status"] == "connected"


async def test_a_removed_call_never_rings(open_api: Any) -> None:
    """Deleting a queued participant cancels its call."""
    async with open_api(cps=0.1) as api:
        await api.create()
        queued = await api.create()
        await api.delete(api.at(queued))
        await asyncio.sleep(60)
        call = api.emulator.call(queued.json["call_sid"])

    assert (call.call_status, call.status, call.started) == ("canceled", "complete", None)


async def test_nothing_happens_after_the_emulator_is_closed() -> None:
    """Calls stand where they stood, and no timer is left."""
    async with Emulator() as emulator:
        pass
    async with Emulator() as emulator:
        pass
    await emulator.aclose()

    assert emulator.starts == []


async def test_what_was_dialled_is_counted(open_api: Any) -> None:
    """Rings by raw target, instants of accepted creates, requests by kind; no number is shown."""
    async with open_api() as api:
        emulator: Emulator = api.emulator
        await api.create()
        await asyncio.sleep(2)
        answer = await api.create(Label="x")
        await api.create(Timeout="1")
        await api.create(To="+15550000000", StatusCallbackEvent=["ringing", "answered"])
        await api.get(api.at(answer))

        assert (emulator.rings("+15558675310"), emulator.rings("+15559999999")) == (2, 0)
        assert emulator.ring_counts == {"+15558675310": 2, "+15550000000": 1}
        assert emulator.starts == [pytest.approx(at, abs=1e-3) for at in (0, 2, 2)]
        assert (emulator.count("create"), emulator.count("fetch"), emulator.count()) == (4, 1, 5)
        last, fetched = emulator.requests[-2], emulator.requests[-1]
        assert (last.kind, last.method, last.status, last.fault) == ("create", "POST", 201, None)
        assert last.form["StatusCallbackEvent"] == ["ringing", "answered"]
        assert last.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert "Authorization" not in last.headers
        assert (fetched.path, fetched.query) == (api.root + api.at(answer), {})
        shown = repr((list(emulator.requests), emulator.conferences, emulator.call))
        assert "8675310" not in shown
        assert repr(emulator.participants("standup")[0]).startswith("<Call CA")
        assert emulator.participants("nobody's") == []


async def test_a_call_is_ended_through_the_call_log(open_api: Any) -> None:
    """``canceled`` spares an answered call, ``completed`` ends any, and an ended one is refused."""
    async with open_api(pace=False) as api:
        created = (await api.create()).json
        path = f"/Calls/{created['call_sid']}.json"
        assert (await api.post(path, {"Status": "paused"})).code == 20422
        assert (await api.post(path, {})).json["status"] == "ringing"
        await asyncio.sleep(1)
        assert (await api.post(path, {"Status": "canceled"})).json["status"] == "in-progress"
        assert (await api.post(path, {"Status": "Completed"})).json["status"] == "completed"
        over = await api.post(path, {"Status": "completed"})
        unknown = await api.post("/Calls/CA1.json", {"Status": "completed"})
        missed = (await api.create()).json
        canceled = await api.post(f"/Calls/{missed['call_sid']}.json", {"Status": "canceled"})

        assert (over.status, over.code, unknown.status) == (400, 21220, 404)
        assert canceled.json["status"] == "canceled"
        assert api.emulator.participants("standup") == []


async def test_an_account_shows_its_owner_but_not_its_token(open_api: Any) -> None:
    """A subaccount names its parent; the token is in no answer."""
    async with open_api() as api:
        main = await api.get(".json")
        child = api.emulator.add_account(parent=api.emulator.accounts[0])
        api.account_sid = child.sid
        answer = await api.get(".json")

        assert main.json["owner_account_sid"] == main.json["sid"] == api.emulator.account_sid
        assert (answer.json["sid"], answer.json["status"]) == (child.sid, "active")
        assert answer.json["owner_account_sid"] == api.emulator.account_sid
        assert child.auth_token not in answer.text
        assert api.emulator.auth_token not in main.text
