"""The list of the account's calls: its filters, its order, its pages, and how late it is."""

import asyncio
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from conference_async.emulator import Script

pytestmark = pytest.mark.looptime


async def listed(api: Any, **query: str) -> list[str]:
    """Return the numbers that the calls on the first page went to."""
    return [call["to"] for call in (await api.get("/Calls.json", **query)).json["calls"]]


async def test_the_newest_call_comes_first_on_every_page(api: Any) -> None:
    """Links lead on to older calls and back, and no newer call shifts anybody."""
    for number in range(5):
        await api.create(To=f"+1555000000{number}")
    first = await api.get("/Calls.json", PageSize="2")
    await api.create(To="+15550000009")
    second = await api.get(first.json["next_page_uri"])
    third = await api.get(second.json["next_page_uri"])
    back = await api.get(third.json["previous_page_uri"])

    seen = [[call["to"][-1] for call in page.json["calls"]] for page in (first, second, third)]
    assert seen == [["4", "3"], ["2", "1"], ["0"]]
    assert back.json["calls"] == second.json["calls"]
    assert third.json["next_page_uri"] is None
    assert await listed(api, PageSize="1") == ["+15550000009"]


async def test_a_start_is_compared_to_the_second(open_api: Any) -> None:
    """``>`` holds on the very second and after it, ``<`` only before it."""
    async with open_api(pace=False) as api:
        made = await api.create()
        call = (await api.get(f"/Calls/{made.json['call_sid']}.json")).json
        start = parsedate_to_datetime(call["start_time"])

        def moment(seconds: int) -> str:
            return (start + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

        since = [len(await listed(api, **{"StartTime>": moment(n)})) for n in (-1, 0, 1)]
        before = [len(await listed(api, **{"StartTime<": moment(n)})) for n in (-1, 0, 1)]

    assert (since, before) == ([1, 1, 0], [0, 0, 1])


async def test_a_queued_call_has_no_start_to_be_found_by(open_api: Any) -> None:
    """Whoever asks by time has to ask for the queue beside it, and for what ended in it."""
    async with open_api(cps=0.1) as api:
        await api.create(To="+15550000001")
        waiting = await api.create(To="+15550000002")
        assert await listed(api, **{"StartTime>": "2000-01-01"}) == ["+15550000001"]
        assert await listed(api, Status="queued") == ["+15550000002"]
        await api.delete(api.at(waiting))

        assert await listed(api, Status="queued") == []
        assert await listed(api, **{"StartTime>": "2000-01-01"}) == ["+15550000001"]
        ended = {"Status": "canceled", "EndTime>": "2000-01-01"}
        assert await listed(api, **ended) == ["+15550000002"]


async def test_the_log_is_behind_by_its_lag(api: Any) -> None:
    """A call may be over before the list knows of it; asked for by its SID it is there at once."""
    api.emulator.call_log_lag = 8.0
    api.emulator.script("5310", Script(outcome="busy", after=0))
    made = await api.create()
    await asyncio.sleep(0)
    assert (await api.get(f"/Calls/{made.json['call_sid']}.json")).json["status"] == "busy"
    await asyncio.sleep(7.9)
    assert await listed(api) == []
    await asyncio.sleep(0.1)

    assert await listed(api) == ["+15558675310"]
