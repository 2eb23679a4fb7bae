"""Requests that go wrong."""

import asyncio
import errno
from typing import Any

import aiohttp
import pytest

from conference_async.emulator import Fault, Injection

pytestmark = pytest.mark.looptime

THEIRS = "+15558675310"


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def placed(api: Any) -> bool:
    """Return whether the last create rang, as a repeat without a fault tells."""
    rang: bool = api.emulator.rings(THEIRS) == 1
    again = await api.create(Label="alice")
    assert (again.code if rang else again.status) == (16026 if rang else 201)
    return rang


@pytest.mark.parametrize(
    ("fault", "rings", "status"),
    [
        (Fault.PLACE_THEN_500, True, 500),
        (Fault.FAIL_500, False, 500),
        (Fault.FAIL_503, False, 503),
        (Fault.HTML_200, False, 200),
        (Fault.HTML_200_PLACED, True, 200),
        (Fault.EMPTY_200, False, 200),
        (Fault.REDIRECT, False, 302),
        (Fault.TOO_MANY, False, 429),
        (Fault.LABEL_CLASH, False, 400),
    ],
)
async def test_a_fault_answers_in_place_of_the_api(
    api: Any, fault: Fault, *, rings: bool, status: int
) -> None:
    """The answer is the fault's; whether the phone rings is the fault's too."""
    api.emulator.faults.add(fault)
    answer = await api.create(Label="alice")

    assert answer.status == status
    assert (api.emulator.requests[-1].status, api.emulator.requests[-1].fault) == (
        status,
        fault.value,
    )
    assert await placed(api) is rings


@pytest.mark.parametrize(
    ("fault", "rings"), [(Fault.RESET_BEFORE, False), (Fault.RESET_AFTER, True)]
)
async def test_a_reset_leaves_no_answer(api: Any, fault: Fault, *, rings: bool) -> None:
    """The connection is reset; before or after placing makes no difference to the caller."""
    api.emulator.faults.add(fault)
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await api.create(Label="alice")

    assert caught.value.errno == errno.ECONNRESET
    assert api.emulator.requests[-1].status is None
    assert await placed(api) is rings


@pytest.mark.parametrize(("fault", "rings"), [(Fault.STALL_BEFORE, False), (Fault.STALL, True)])
async def test_a_stall_lasts_until_the_client_leaves(
    api: Any, fault: Fault, *, rings: bool
) -> None:
    """No answer ever; the emulator forgets the request once its client is gone."""
    api.emulator.faults.add(fault)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await api.create(Label="alice")
    await asyncio.sleep(0.1)

    assert api.emulator.accounts[0].open_requests == 0
    assert await placed(api) is rings


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.RESET_AFTER])
async def test_a_client_may_leave_before_its_fault(api: Any, fault: Fault) -> None:
    """A client that leaves while the answer is on its way is not waited for."""
    api.emulator.latency = 10.0
    api.emulator.faults.add(fault)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await api.create()
    await asyncio.sleep(1)

    assert api.emulator.accounts[0].open_requests == 0
    assert api.emulator.rings(THEIRS) == 1


async def test_a_stall_does_not_keep_the_emulator_open(open_api: Any) -> None:
    """Closing the emulator ends stalled requests."""
    async with open_api() as api:
        api.emulator.faults.add(Fault.STALL)
        stalled = asyncio.create_task(api.create())
        await asyncio.sleep(1)
        await api.emulator.aclose()
        with pytest.raises(aiohttp.ClientConnectionError):
            await stalled


async def test_a_delay_places_at_once_and_answers_late(api: Any) -> None:
    """The phone rings when the request came; the answer takes its seconds."""
    api.emulator.faults.add(Fault.DELAY, seconds=20)
    begin = now()
    answer = await api.create()

    assert answer.status == 201
    assert now() - begin == pytest.approx(20, abs=0.01)
    assert api.emulator.starts == [pytest.approx(begin, abs=0.01)]


async def test_latency_is_added_to_every_answer(api: Any) -> None:
    """Each request takes effect at once and is answered later."""
    api.emulator.latency = 3.0
    begin = now()
    answer = await api.create()

    assert now() - begin == pytest.approx(3, abs=0.01)
    assert answer.headers["Twilio-Request-Duration"] == "3.000"


async def test_a_truncated_answer_breaks_off(api: Any) -> None:
    """It promises its whole length and ends halfway."""
    api.emulator.faults.add(Fault.TRUNCATE)
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.create(Label="alice")

    assert await placed(api) is True


async def test_too_many_may_say_when_to_come_back(api: Any) -> None:
    """Retry-After only where it was asked for."""
    api.emulator.faults.add(Fault.TOO_MANY, retry_after=2.5)
    api.emulator.faults.add(Fault.TOO_MANY)
    first, second = await api.create(), await api.create()

    assert (first.code, first.headers["Retry-After"]) == (20429, "2.5")
    assert "Retry-After" not in second.headers


async def test_a_refusal_is_not_bettered_by_a_fault(api: Any) -> None:
    """A fault that places does not place what the API refuses."""
    api.emulator.faults.add(Fault.DELAY, seconds=1)
    answer = await api.create(Timeout="1")

    assert (answer.code, api.emulator.ring_counts) == (21208, {})


async def test_what_is_new_may_stay_invisible(api: Any) -> None:
    """The participant and its conference are not found for a while; its label is used."""
    api.emulator.faults.add(Fault.INVISIBLE, seconds=10)
    api.emulator.faults.add(Fault.PLACE_THEN_500)
    assert (await api.create(Label="alice")).status == 500
    room = api.emulator.conferences[0]
    path = f"/Conferences/{room.sid}/Participants"
    assert (await api.get(f"{path}/alice.json")).status == 404
    assert (await api.get("/Conferences.json", FriendlyName="standup")).json["conferences"] == []
    assert len((await api.get("/Calls.json")).json["calls"]) == 1  # the log has a lag of its own
    assert (await api.create(Label="alice")).code == 16026
    await asyncio.sleep(10)

    assert (await api.get(f"{path}/alice.json")).status == 200
    assert len((await api.get(f"{path}.json")).json["participants"]) == 1


async def test_everything_new_may_lag(api: Any) -> None:
    """The emulator's visibility lag holds for every create."""
    first = await api.create()
    api.emulator.visibility_lag = 5.0
    second = await api.create()
    listed = f"/Conferences/{first.json['conference_sid']}/Participants.json"
    assert len((await api.get(listed)).json["participants"]) == 1
    assert (await api.get(api.at(second))).status == 404
    await asyncio.sleep(5)

    assert (await api.get(api.at(second))).status == 200


async def statuses(api: Any, number: int, **form: str) -> list[int]:
    """Return the statuses of so many creates."""
    return [(await api.create(**form)).status for _ in range(number)]


async def test_rules_count_matching_requests(api: Any) -> None:
    """So many pass, so many are spoiled, one rule after the other."""
    api.emulator.faults.add(Fault.FAIL_500, after=1, times=2)
    api.emulator.faults.add(Fault.FAIL_503)

    assert await statuses(api, 5) == [503, 500, 500, 201, 201]


async def test_rules_choose_by_kind_target_and_label(api: Any) -> None:
    """A rule spoils what it is about and nothing else."""
    api.emulator.faults.add(Fault.FAIL_500, to="+15550000000", times=None)
    api.emulator.faults.add(Fault.FAIL_503, label="alice")
    api.emulator.faults.add(Fault.FAIL_500, on="calls.list")

    assert await statuses(api, 1) == [201]
    assert await statuses(api, 3, To="+15550000000") == [500, 500, 500]
    assert await statuses(api, 2, Label="alice") == [503, 201]
    assert [(await api.get("/Calls.json")).status for _ in range(2)] == [500, 200]


async def test_a_rule_may_be_about_everything(api: Any) -> None:
    """No kind means any kind, errors of routing included; clear ends it."""
    api.emulator.faults.add(Fault.FAIL_500, on=None, times=None)
    assert (await api.get("/Nothing.json")).status == 500
    assert await statuses(api, 2) == [500, 500]
    api.emulator.faults.clear()

    assert await statuses(api, 1) == [201]


async def test_chance_is_repeatable(open_api: Any) -> None:
    """The same seed spoils the same requests, about as many as the probability says."""

    async def spoiled(seed: int) -> list[int]:
        async with open_api(seed=seed, pace=False) as api:
            api.emulator.faults.add(Fault.FAIL_500, probability=0.3, times=None)
            return await statuses(api, 100)

    first, again, other = await spoiled(1), await spoiled(1), await spoiled(2)
    assert first == again != other
    assert 15 < first.count(500) < 45


async def test_a_plan_decides_for_every_request(api: Any) -> None:
    """It sees the request, comes before the rules, and may leave it alone or add particulars."""

    def choose(request: Any) -> Any:
        return {"bad": Fault.FAIL_503, "late": Injection(fault=Fault.DELAY, seconds=9)}.get(
            request.form.get("Label", [""])[0]
        )

    api.emulator.faults.plan(choose)
    api.emulator.faults.add(Fault.FAIL_500, after=1)
    begin = now()
    results = [(await api.create(Label=label)).status for label in ("bad", "late", "a", "b", "c")]

    assert results == [503, 201, 201, 500, 201]
    assert now() - begin == pytest.approx(9, abs=0.01)
    api.emulator.faults.plan(None)
    assert (await api.create(Label="bad")).status == 201
