"""A receiver as an ASGI application, for FastAPI, Starlette, Litestar or a server of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias

from conference_async.webhooks.receiver import Receiver

# As the frameworks write them, so that the application fits where they expect one.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class WebhookApp:
    """An ASGI application that answers the service's callbacks.

    Add it as a route, which keeps its path as it is::

        route = starlette.routing.Route("/hooks/twilio", WebhookApp(receiver))
        app = FastAPI(routes=[route])  # or Starlette

    A mount answers at the path with a slash at its end, and redirects without it, which the
    service does not follow with its parameters.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            status = await self._receiver.receive(
                method=scope["method"],
                query=scope["query_string"].decode("latin-1"),
                headers={
                    name.decode("latin-1"): value.decode("latin-1")
                    for name, value in scope["headers"]
                },
                body=_parts(receive),
            )
            await _answer(status, send)


async def _live(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        # Of a client that is gone no body comes: what there is of it fails the signature.
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _answer(status: HTTPStatus, send: Send) -> None:
    headers: list[tuple[bytes, bytes]] = []
    if status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", b"0"))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"GET, POST"))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": b""})
