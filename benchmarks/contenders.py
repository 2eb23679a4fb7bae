"""The contenders: this library, the official client, and what one would write by hand."""

from itertools import cycle
from typing import Protocol

import aiohttp
import orjson

from benchmarks.server import ACCOUNT_SID, ROOM
from conference_async import ConferenceClient, Credentials, Unpaced

FROM, TO, TOKEN = "+15017122661", "+15558675310", "token"
CALLBACK = "https://example.com/events"
EVENTS = ["ringing", "answered", "completed"]
OURS, OFFICIAL, BY_HAND = "conference_async", "official", "by hand"

# A caller asks for many participants, not for the same one again: no URL is found in a cache.
CALL_SIDS = [f"CA{number:032x}" for number in range(5000)]


def _session(connections: int, auth: aiohttp.BasicAuth | None = None) -> aiohttp.ClientSession:
    """Return a session as it comes, but for as many connections as everybody else has."""
    return aiohttp.ClientSession(auth=auth, connector=aiohttp.TCPConnector(limit=connections))


class Contender(Protocol):
    """The requests that every contender can make."""

    async def create(self, room: str = ROOM) -> object:
        """Dial somebody."""
        ...

    async def fetch(self) -> object:
        """Fetch one participant."""
        ...

    async def stream(self, room: str, page_size: int) -> int:
        """Walk a list; return how many came."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class Ours:
    """This library."""

    def __init__(self, base_url: str, *, connections: int = 50) -> None:
        self._client = ConferenceClient(
            Credentials(ACCOUNT_SID, TOKEN),
            base_url=base_url,
            limit=Unpaced(),
            max_concurrency=connections,
            timeout=120,
        )
        self._call_sids = cycle(CALL_SIDS)

    async def create(self, room: str = ROOM) -> object:
        """Dial somebody, with a typed request and a typed reply."""
        return await self._client.conferences(room).participants.create(
            from_=FROM,
            to=TO,
            label="alice",
            early_media=True,
            timeout=30,
            status_callback=CALLBACK,
            status_callback_event=EVENTS,
        )

    async def fetch(self) -> object:
        """Fetch one participant."""
        return await self._client.conferences(ROOM).participants(next(self._call_sids)).fetch()

    async def stream(self, room: str, page_size: int) -> int:
        """Walk a list; return how many came."""
        count = 0
        async for _ in self._client.conferences(room).participants.stream(page_size=page_size):
            count += 1
        return count

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class Official:
    """The official package's client, with its asynchronous transport."""

    def __init__(self, base_url: str, *, connections: int = 50) -> None:
        # Imported here, as it takes longer than all the rest of a process that is counted.
        from twilio.http.async_http_client import AsyncTwilioHttpClient
        from twilio.rest import Client

        self._http = AsyncTwilioHttpClient(pool_connections=False)
        self._http.session = _session(connections)
        self._client = Client(ACCOUNT_SID, TOKEN, http_client=self._http)
        self._client.api.base_url = base_url
        self._call_sids = cycle(CALL_SIDS)

    async def create(self, room: str = ROOM) -> object:
        """Dial somebody."""
        return await self._client.conferences(room).participants.create_async(
            from_=FROM,
            to=TO,
            label="alice",
            early_media=True,
            timeout=30,
            status_callback=CALLBACK,
            status_callback_event=EVENTS,
        )

    async def fetch(self) -> object:
        """Fetch one participant."""
        participants = self._client.conferences(ROOM).participants
        return await participants(next(self._call_sids)).fetch_async()

    async def stream(self, room: str, page_size: int) -> int:
        """Walk a list; return how many came."""
        count = 0
        participants = self._client.conferences(room).participants
        async for _ in await participants.stream_async(page_size=page_size):
            count += 1
        return count

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()


class ByHand:
    """A session, a form and the reply's JSON: untyped, and without any second thought."""

    def __init__(self, base_url: str, *, connections: int = 50) -> None:
        self._host = base_url
        self._base_url = f"{base_url}/2010-04-01/Accounts/{ACCOUNT_SID}/Conferences"
        self._session = _session(connections, aiohttp.BasicAuth(ACCOUNT_SID, TOKEN))
        self._call_sids = cycle(CALL_SIDS)

    async def create(self, room: str = ROOM) -> object:
        """Dial somebody."""
        form = [
            ("From", FROM),
            ("To", TO),
            ("Label", "alice"),
            ("EarlyMedia", "true"),
            ("Timeout", "30"),
            ("StatusCallback", CALLBACK),
            *(("StatusCallbackEvent", event) for event in EVENTS),
        ]
        url = f"{self._base_url}/{room}/Participants.json"
        async with self._session.post(url, data=form) as response:
            return await response.json()

    async def fetch(self) -> object:
        """Fetch one participant."""
        url = f"{self._base_url}/{ROOM}/Participants/{next(self._call_sids)}.json"
        async with self._session.get(url) as response:
            return await response.json()

    async def stream(self, room: str, page_size: int) -> int:
        """Walk a list with orjson; return how many came."""
        count = 0
        url: str | None = f"{self._base_url}/{room}/Participants.json?PageSize={page_size}"
        while url:
            async with self._session.get(url) as response:
                page = orjson.loads(await response.read())
            for _ in page["participants"]:
                count += 1
            url = page["next_page_uri"] and self._host + page["next_page_uri"]
        return count

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


CONTENDERS: dict[str, type[Ours | Official | ByHand]] = {
    OURS: Ours,
    OFFICIAL: Official,
    BY_HAND: ByHand,
}
