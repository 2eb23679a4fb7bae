"""A receiver as a handler of aiohttp.web."""

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from conference_async.webhooks.receiver import Receiver

if TYPE_CHECKING:
    from aiohttp import web


def aiohttp_handler(receiver: Receiver) -> "Callable[[web.Request], Awaitable[web.Response]]":
    """Return a handler that answers the service's callbacks.

    Example::

        app.router.add_route("*", "/hooks/twilio", aiohttp_handler(receiver))
    """
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        """Answer one callback."""
        status = await receiver.receive(
            method=request.method,
            query=request.raw_path.partition("?")[2],
            headers=request.headers,
            body=_parts(request),
        )
        allow = {"Allow": "GET, POST"} if status == HTTPStatus.METHOD_NOT_ALLOWED else None
        return web.Response(status=status, headers=allow)

    return handle


async def _parts(request: "web.Request") -> AsyncIterator[bytes]:
    from aiohttp import web

    try:
        async for part in request.content.iter_any():
            yield part
    except (web.RequestPayloadError, OSError):
        # What there is of a broken body fails the signature.
        return
