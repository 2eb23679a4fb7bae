"""A plain caller of the API and a listener, so that nothing of ours tests the emulator."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import aiohttp
import attrs
import pytest
from aiohttp import web
from yarl import URL

from conference_async.emulator import Emulator

OURS, THEIRS = "+15017122661", "+15558675310"


@attrs.frozen
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.text)

    @property
    def code(self) -> int | None:
        """The service's error code."""
        code: int | None = self.json.get("code")
        return code


class Api:
    """An emulator and one session that calls it."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.account_sid = emulator.account_sid
        self.user = emulator.account_sid, emulator.auth_token

    @property
    def root(self) -> str:
        """The path of the account."""
        return f"/2010-04-01/Accounts/{self.account_sid}"

    @property
    def authorization(self) -> str:
        """The header that signs in."""
        return f"Basic {base64.b64encode(':'.join(self.user).encode()).decode()}"

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """Send one request; `path` is below the account, or whole with the API's version."""
        whole = path if path.startswith("/2010-04-01") else self.root + path
        url = URL(self.emulator.base_url + whole, encoded=True)
        headers = {"Authorization": self.authorization, **options.pop("headers", {})}
        async with self.session.request(
            method, url, headers=headers, allow_redirects=False, **options
        ) as response:
            return Answer(response.status, response.headers, await response.text())

    async def create(self, conference: str = "standup", /, **form: Any) -> Answer:
        """Create a participant; None leaves a parameter out, a list repeats it."""
        parameters = {"From": OURS, "To": THEIRS, **form}
        sent = {name: value for name, value in parameters.items() if value is not None}
        return await self.post(f"/Conferences/{quote(conference, safe='')}/Participants.json", sent)

    async def post(self, path: str, form: Any) -> Answer:
        """Send a form."""
        return await self.ask(
            "POST",
            path,
            data=urlencode(form, doseq=True),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    async def get(self, path: str, **query: str) -> Answer:
        """Read something."""
        return await self.ask("GET", path + (f"?{urlencode(query)}" if query else ""))

    async def delete(self, path: str) -> Answer:
        """Delete something."""
        return await self.ask("DELETE", path)

    def at(self, answer: Answer, who: str = "") -> str:
        """Return the path of the participant created in `answer`, or of `who` beside it."""
        created = answer.json
        name = quote(who or created["call_sid"], safe="")
        return f"/Conferences/{created['conference_sid']}/Participants/{name}.json"


Opener = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def open_api() -> Opener:
    """Open an emulator with options, and a caller of it."""

    @asynccontextmanager
    async def opening(**options: Any) -> AsyncIterator[Api]:
        async with Emulator(**options) as emulator, aiohttp.ClientSession() as session:
            yield Api(emulator, session)

    return opening


@pytest.fixture
async def api(open_api: Opener) -> AsyncIterator[Api]:
    """An emulator that starts calls at once, and a caller of it."""
    async with open_api(pace=False, seed=7) as opened:
        yield opened


@attrs.define
class Listener:
    """An application's end: keeps what it is told, and answers as it is set to."""

    url: str = ""
    heard: list[tuple[float, str, str, dict[str, str], Any]] = attrs.Factory(list)
    status: int = 204
    pause: float = 0.0

    async def hear(self, request: web.BaseRequest) -> web.Response:
        """Keep one request."""
        at = asyncio.get_running_loop().time()
        body = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        self.heard.append((at, request.method, request.raw_path, body, request.headers))
        await asyncio.sleep(self.pause)
        return web.Response(status=self.status)

    @property
    def events(self) -> list[str]:
        """The names of the events, in the order in which they came."""
        return [body.get("StatusCallbackEvent") or body["CallStatus"] for *_, body, _ in self.heard]


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """A real server that is told."""
    listening = Listener()
    server = web.Server(listening.hear)
    loop = asyncio.get_running_loop()
    sockets = await loop.create_server(server, "127.0.0.1", 0)
    listening.url = f"http://127.0.0.1:{sockets.sockets[0].getsockname()[1]}/events"
    yield listening
    sockets.close()
    await server.shutdown()
