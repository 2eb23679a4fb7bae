"""A stand-in for an SDK as Stainless generates them: its client, its errors, its retries.

There is none of theirs for this service; it is here so that `stainless_before.py` runs.
"""

import asyncio
import os
import uuid
from types import TracebackType
from typing import Any, Self

import aiohttp


class APIError(Exception):
    """Anything that went wrong."""


class APIConnectionError(APIError):
    """No whole answer came."""


class APIStatusError(APIError):
    """The answer was no."""

    def __init__(self, status_code: int, body: dict[str, Any]) -> None:
        super().__init__(body.get("message"))
        self.status_code = status_code
        self.body = body


class AsyncTelephony:
    """The client: everything that fails is sent again, under an idempotency key."""

    def __init__(self, *, max_retries: int = 2, timeout: float = 10) -> None:
        self.max_retries = max_retries
        sid, token = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
        base = os.environ.get("CONFERENCE_ASYNC_BASE_URL", "https://api.twilio.com")
        self._rooms = f"{base}/2010-04-01/Accounts/{sid}/Conferences"
        self._session = aiohttp.ClientSession(
            auth=aiohttp.BasicAuth(sid, token), timeout=aiohttp.ClientTimeout(total=timeout)
        )

    def with_options(self, *, max_retries: int) -> Self:
        """Return the client with another number of retries."""
        self.max_retries = max_retries
        return self

    async def create_participant(self, room: str, **fields: str) -> dict[str, Any]:
        """Dial somebody in."""
        key = {"Idempotency-Key": str(uuid.uuid4())}  # which this service does not know
        for tries_left in reversed(range(self.max_retries + 1)):
            try:
                async with self._session.post(
                    f"{self._rooms}/{room}/Participants.json", data=fields, headers=key
                ) as response:
                    body: dict[str, Any] = await response.json()
                    if response.ok:
                        return body
                    if not tries_left or response.status not in {408, 409, 429, 500, 502, 503}:
                        raise APIStatusError(response.status, body)
            except (aiohttp.ClientError, TimeoutError) as error:
                if not tries_left:
                    raise APIConnectionError from error
            await asyncio.sleep(0.5)
        raise APIConnectionError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()
