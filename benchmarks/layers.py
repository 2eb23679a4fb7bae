"""The time that each layer of a fetch adds: the profile behind the ratios to aiohttp by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import cycle
from statistics import median

from yarl import URL

from benchmarks.contenders import BY_HAND, CALL_SIDS, TOKEN, ByHand
from benchmarks.duel import IN_FLIGHT, REQUESTS
from benchmarks.figures import Figure, Spent, at_once, take_turns
from benchmarks.server import ACCOUNT_SID, ROOM
from conference_async import ConferenceClient, Credentials, Unpaced
from conference_async.sending.messages import Request
from conference_async.wire import decode_participant, participant_path

WHOLE = "and a handle: all of it"


async def _take_turns(base_url: str, rounds: int) -> dict[str, list[Spent]]:
    client = ConferenceClient(
        Credentials(ACCOUNT_SID, TOKEN),
        base_url=base_url,
        limit=Unpaced(),
        max_concurrency=IN_FLIGHT,
        timeout=120,
    )
    by_hand = ByHand(base_url, connections=IN_FLIGHT)
    sender, call_sids = client._sender, cycle(CALL_SIDS)  # noqa: SLF001 -- its layers are what is measured
    session = await sender.transport.session()

    def request() -> Request:
        path = participant_path(ACCOUNT_SID, ROOM, next(call_sids))
        return Request(kind="fetch", method="GET", path=path)

    async def aiohttp_alone() -> object:
        url = URL(base_url + participant_path(ACCOUNT_SID, ROOM, next(call_sids)), encoded=True)
        async with session.get(url) as response:
            return await response.read()

    async def attempt() -> object:
        return await sender.transport.send(request(), None, 120)

    async def call() -> object:
        return await sender.request(request())

    async def decoded() -> object:
        return (await sender.request(request())).read(decode_participant)

    async def whole() -> object:
        return await client.conferences(ROOM).participants(next(call_sids)).fetch()

    layers: dict[str, Callable[[], Awaitable[object]]] = {
        "aiohttp alone, its reply's bytes": aiohttp_alone,
        "and an attempt: time-out, and whether it left": attempt,
        "and a call: back-off, verdict, event": call,
        "and its reply as a participant": decoded,
        WHOLE: whole,
        BY_HAND: by_hand.fetch,
    }
    works = {name: at_once(work, times=REQUESTS, width=IN_FLIGHT) for name, work in layers.items()}
    try:
        return await take_turns(works, rounds=rounds)
    finally:
        await client.aclose()
        await by_hand.aclose()


def measure(base_url: str, rounds: int) -> list[Figure]:
    """Return what is spent on a fetch down to each layer, as a share of the whole."""
    spent = asyncio.run(_take_turns(base_url, rounds))
    return [
        Figure(
            name=f"fetch, layer by layer: {name}",
            value=median(
                one.cpu / all_of_it.cpu for one, all_of_it in zip(turns, spent[WHOLE], strict=True)
            ),
            unit="of it",
        )
        for name, turns in spent.items()
    ]
