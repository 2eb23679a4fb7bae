"""How a process reads what a shared log of events holds, and what waits for what."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from conference_async.webhooks import Event, Keys, Receiver, parse_event
from conference_async.webhooks.event_log.contract import Entry, Record
from conference_async.webhooks.event_log.shared import SharedEvents

PAGE = 500


class SlowStore:
    """A store that takes a second over each page of its past."""

    def __init__(self, pages: int) -> None:
        self.appended = self.pruned = 0
        self.entries = [
            Entry(str(number), parse_event({"CallSid": f"CA{number}"}).to_json())
            for number in range(1, pages * PAGE + 1)
        ]

    async def start(self, _: float) -> str:
        """Return the beginning."""
        return "0"

    async def append(self, records: Sequence[Record], *, keep: float) -> None:  # noqa: ARG002 -- the protocol's signature
        """Append at once."""
        self.appended += len(records)

    async def prune(self, *, keep: float, most: int) -> None:  # noqa: ARG002 -- the protocol's signature
        """Take long."""
        await asyncio.sleep(30)
        self.pruned += 1

    async def aclose(self) -> None:
        """Do nothing."""

    async def read(self, after: str, *, most: int, wait: float) -> Sequence[Entry]:
        """Return a page, later."""
        await asyncio.sleep(wait or 1.0)
        return self.entries[int(after) : int(after) + most]


@pytest.mark.looptime
async def test_the_next_page_is_on_its_way_while_one_is_handed_on() -> None:
    """So that the past takes as long as the slower of the two, and not as both."""
    loop = asyncio.get_running_loop()
    store: Any = SlowStore(pages=3)
    read: list[tuple[int, float]] = []

    async for batch in SharedEvents(store).follow():
        read.append((len(batch.events), loop.time()))
        if batch.up_to_date:
            break
        await asyncio.sleep(1)

    assert read == [(PAGE, 1), (PAGE, 2), (PAGE, 3), (0, 4)]


@pytest.mark.looptime
async def test_whoever_stops_in_the_past_asks_for_no_more() -> None:
    """Nothing is left that reads on."""
    store: Any = SlowStore(pages=3)
    batches = SharedEvents(store).follow()
    await anext(batches)
    await batches.aclose()
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.looptime
async def test_others_have_their_turn_while_the_past_is_handed_on() -> None:
    """A page of it keeps no request waiting until its end."""
    store: Any = SlowStore(pages=1)
    heard: list[Event] = []
    turns = [0]
    receiver = Receiver(
        Keys("token"), public_url="https://example.com/hooks", events=SharedEvents(store)
    )

    def take_a_turn() -> None:
        turns.append(len(heard))
        if len(heard) < PAGE:
            asyncio.get_running_loop().call_soon(take_a_turn)

    def hear(event: Event) -> None:
        heard.append(event)
        if len(heard) == 1:
            asyncio.get_running_loop().call_soon(take_a_turn)

    receiver.listen(hear)
    async with receiver:
        await receiver.up_to_date()

    assert max(after - before for before, after in pairwise(turns)) <= 50


@pytest.mark.looptime
async def test_an_event_need_not_wait_while_the_log_is_pruned() -> None:
    """What is too old is forgotten beside what comes, once a minute; closing does not wait."""
    loop = asyncio.get_running_loop()
    store: Any = SlowStore(pages=0)
    log = SharedEvents(store)
    for _ in range(15):
        assert await log.append(parse_event({"CallSid": "CA1"}), ["key"])
        await asyncio.sleep(10)
    assert (store.appended, store.pruned, loop.time()) == (15, 3, 150)

    await asyncio.sleep(60)
    await log.append(parse_event({"CallSid": "CA1"}), ["key"])
    await asyncio.sleep(1)
    await log.aclose()
    assert (store.pruned, loop.time()) == (3, 211)
