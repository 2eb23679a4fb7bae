"""The sockets: one aiohttp server, and what faults do to its connections."""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from ssl import SSLContext

from aiohttp import web

from conference_async.emulator.api.dispatch import Answer, Dispatcher, Incoming
from conference_async.emulator.clock import Clock
from conference_async.emulator.control import Control
from conference_async.emulator.faults import Fault, Injection
from conference_async.emulator.page import Site
from conference_async.emulator.replies import Reply

_LARGEST_BODY = 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BACKLOG = 4096


class Server(web.Server):
    """Takes requests off the wire and puts answers on it, or spoils them.

    A client that leaves does not undo what its request did; it only ends waiting for it.
    """

    _listening: asyncio.Server

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        site: Site,
        control: Control,
        clock: Clock,
        latency: Callable[[], float],
    ) -> None:
        super().__init__(self._handle, access_log=None)
        self._clock = clock
        self._dispatcher = dispatcher
        self._site = site
        self._control = control
        self._latency = latency
        self._waiting: dict[web.RequestHandler, asyncio.Future[None]] = {}

    async def listen(self, host: str, port: int, ssl_context: SSLContext | None) -> int:
        """Start listening and return the port."""
        self._listening = await asyncio.get_running_loop().create_server(
            self, host, port, ssl=ssl_context, backlog=_BACKLOG
        )
        bound: int = self._listening.sockets[0].getsockname()[1]
        return bound

    async def aclose(self) -> None:
        """Stop listening, and reset every connection."""
        self._listening.close()
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await self.shutdown(1.0)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """End every wait for a client that has left."""
        super().connection_lost(handler, exc)
        if over := self._waiting.pop(handler, None):
            _end(over)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await _read(request)
        except ConnectionError:
            return web.Response()  # which aiohttp finds it cannot send
        incoming = Incoming(
            method=request.method,
            target=request.raw_path,
            headers=request.headers,
            body=body,
        )
        if self._site.serves(incoming):
            return _response(self._site.answer(incoming), {})
        if self._control.serves(incoming):
            return _response(await self._control.answer(incoming), {})
        answer = self._dispatcher.receive(incoming)
        try:
            if latency := self._latency():
                await self._wait(request, latency)
            if answer.injection is not None:
                return await self._spoil(request, answer, answer.injection)
            return _response(answer.reply, answer.headers)
        finally:
            self._dispatcher.done(answer)

    async def _spoil(
        self, request: web.BaseRequest, answer: Answer, injection: Injection
    ) -> web.StreamResponse:
        """Send an answer as its fault wants it, or do not send it."""
        match injection.fault:
            case Fault.RESET_BEFORE | Fault.RESET_AFTER:
                _reset(request)
            case Fault.STALL | Fault.STALL_BEFORE:
                await self._wait(request, None)
            case Fault.DELAY:
                await self._wait(request, injection.seconds)
            case Fault.TRUNCATE:
                return await _send_half(request, answer)
            case _:
                pass
        return _response(answer.reply, answer.headers)

    async def _wait(self, request: web.BaseRequest, seconds: float | None) -> None:
        """Wait so many seconds, or without end, but no longer than the client does."""
        if request.transport is None:
            return
        over = asyncio.get_running_loop().create_future()
        self._waiting[request.protocol] = over
        if seconds is not None:
            self._clock.call_at(self._clock.time() + seconds, _end, over)
        await over
        self._waiting.pop(request.protocol, None)


def _end(wait: asyncio.Future[None]) -> None:
    if not wait.done():
        wait.set_result(None)


async def _read(request: web.BaseRequest) -> bytes | None:
    """Return the body; None if it is over 1 MiB or cannot be unpacked."""
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > _LARGEST_BODY:
                return None
    except web.RequestPayloadError:
        return None
    return bytes(body)


def _response(reply: Reply, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.body,
        content_type=reply.content_type or None,
        headers={**headers, **reply.headers},
    )


def _reset(request: web.BaseRequest) -> None:
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()


async def _send_half(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    body = answer.reply.body
    response = web.StreamResponse(status=answer.reply.status, headers=dict(answer.headers))
    response.content_type = answer.reply.content_type
    response.content_length = len(body)
    response.force_close()
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return response
