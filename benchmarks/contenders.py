"""The contenders: this library, the official client, and what one would write by hand."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from benchmarks.server import ACCOUNT_SID, ROOM
from conference_async import ConferenceClient, Credentials, Unpaced

FROM, TO, TOKEN = "+15017122661", "+15558675310", "token"
CALLBACK = "https://example.com/events"
EVENTS = ["ringing", "answered", "completed"]
CALL_SID = "CA" + "0" * 32
OURS, OFFICIAL, BY_HAND = "conference_async", "twilio", "aiohttp by hand"

Work = Callable[[], Awaitable[object]]
"""One piece of work, to be awaited as often as wanted."""


class Ours:
    """This library."""

    def __init__(self, base_url: str, **options: Any) -> None:
        self.client = ConferenceClient(
            Credentials(ACCOUNT_SID, TOKEN), base_url=base_url, limit=Unpaced(), **options
        )
        self._participants = self.client.conferences(ROOM).participants

    async def create(self) -> object:
        """Dial somebody, with a typed request and a typed reply."""
        return await self._participants.create(
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
        return await self._participants(CALL_SID).fetch()

    async def stream(self, room: str, page_size: int) -> int:
        """Walk a list; return how many came."""
        count = 0
        async for _ in self.client.conferences(room).participants.stream(page_size=page_size):
            count += 1
        return count

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()


class Official:
    """The official package's client, with its asynchronous transport."""

    def __init__(self, base_url: str) -> None:
        self._http = AsyncTwilioHttpClient()
        self.client = Client(ACCOUNT_SID, TOKEN, http_client=self._http)
        self.client.api.base_url = base_url
        self._participants = self.client.conferences(ROOM).participants

    async def create(self) -> object:
        """Dial somebody."""
        return await self._participants.create_async(
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
        return await self._participants(CALL_SID).fetch_async()

    async def stream(self, room: str, page_size: int) -> int:
        """Walk a list; return how many came."""
        count = 0
        participants = self.client.conferences(room).participants
        async for _ in await participants.stream_async(page_size=page_size):
            count += 1
        return count

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()


class ByHand:
    """A session, a form and the reply's JSON: untyped, and without any second thought."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._participants = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Conferences/{ROOM}/Participants"
        self._session = aiohttp.ClientSession(
            base_url, auth=aiohttp.BasicAuth(ACCOUNT_SID, TOKEN), cookie_jar=None
        )

    async def create(self) -> object:
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
        async with self._session.post(f"{self._participants}.json", data=form) as response:
            return await response.json()

    async def fetch(self) -> object:
        """Fetch one participant."""
        async with self._session.get(f"{self._participants}/{CALL_SID}.json") as response:
            return await response.json()

    async def stream(self, room: str, page_size: int) -> int:
        """Walk a list with orjson; return how many came."""
        count = 0
        path = self._participants.replace(ROOM, room)
        uri: str | None = f"{path}.json?PageSize={page_size}"
        while uri:
            async with self._session.get(uri) as response:
                page = orjson.loads(await response.read())
            for _ in page["participants"]:
                count += 1
            uri = page["next_page_uri"]
        return count

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()
