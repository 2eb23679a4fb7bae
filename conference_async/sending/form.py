"""The form of an attempt, written to the network at most once."""

import asyncio
import math
import select
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from conference_async.sending.patience import Bound

FORM = "application/x-www-form-urlencoded"

_FRESH = 0.0005
"""Seconds for which it holds that a connection is alive: about as long as a form takes to leave."""

_CAN_POLL = hasattr(select, "poll")
_CLOSED = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)


class OneShotForm(aiohttp.Payload):
    """A form that is written to the network at most once.

    aiohttp asks a payload to write itself at the one moment when a connection stands and the
    bytes are handed to it, so what this object saw is what really happened. The service cannot
    act on a create whose body it never got. A second write, whoever asks for it (a redirect, a
    middleware, a retry below us), is refused.

    Args:
        form: What to write.
        may_leave: Awaited when nothing is left to do but to write it; False turns it back. What
            it waits for is not a matter of the connection, and counts for no timeout.
        latest: The instant of the loop's clock by which it is all over even so.

    Attributes:
        left_at: When it was handed to the connection, on the loop's clock; None before, as long as
            no byte of it can have reached the network.
        turned_back: Whether it was not to leave.
        dead_ends: How many connections it was brought to that were dead already.
    """

    def __init__(
        self,
        form: bytes,
        may_leave: Callable[[], Awaitable[bool]] | None = None,
        latest: float = math.inf,
    ) -> None:
        super().__init__(form, content_type=FORM)
        self._size = len(form)
        self._form = form
        self._may_leave = may_leave
        self._latest = latest
        self._sealed = False
        self.bound: Bound | None = None
        self.turned_back: bool = False
        self.left_at: float | None = None
        self.dead_ends: int = 0

    def seal(self) -> None:
        """Refuse to be written from now on."""
        self._sealed = True
        # What says whether it may leave holds the attempt, and so this form: a circle that would
        # only end when garbage is collected, and a reply in it.
        self._may_leave = self.bound = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the form as text."""
        return self._form.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Hand the form to the connection, once, at the instant at which it may leave."""
        if not self._may_be_written(writer):
            await self._check(writer)
        time = asyncio.get_running_loop().time
        now = time()
        if self._may_leave is not None:
            # A dead connection is found out before the slot is waited for, and after.
            looked_at, bound = now, self.bound
            left = 0.0 if bound is None else bound.pause(now)
            try:
                allowed = await self._may_leave()
            finally:
                now = time()
                if bound is not None:
                    bound.resume(min(left, self._latest - now), now)
            if not allowed:
                self.turned_back = True
                raise aiohttp.ClientConnectionError("the form may not leave now")
            waited = now - looked_at >= _FRESH
            if (waited or self._sealed) and not self._may_be_written(writer):
                await self._check(writer)
                now = time()
        self.seal()
        self.left_at = now
        await writer.write(self._form)

    def _may_be_written(self, writer: AbstractStreamWriter) -> bool:
        """Return whether it may without a second look, as it nearly always may."""
        transport: asyncio.Transport | None = getattr(writer, "transport", None)
        return not self._sealed and transport is not None and _is_quiet(transport)

    async def _check(self, writer: AbstractStreamWriter) -> None:
        """Refuse to be written twice, or to a connection that is dead."""
        transport: asyncio.Transport | None = getattr(writer, "transport", None)
        if self._sealed or transport is None or await _is_dead(transport):
            self.dead_ends += not self._sealed
            raise aiohttp.ClientConnectionResetError(
                "the connection closed before the form was sent"
            )


def _is_quiet(transport: asyncio.Transport) -> bool:
    """Return whether a connection is open and nothing waits to be read: nearly always it is so."""
    if transport.is_closing() or getattr(transport.get_protocol(), "should_close", False):
        return False
    socket = transport.get_extra_info("socket")
    return socket is None or not _events(socket.fileno())


async def _is_dead(transport: asyncio.Transport) -> bool:
    """Return whether nothing that is written to a connection would be answered.

    That is so if the other side has closed it, or has said something that it was not asked for:
    what it says next would be taken for the answer. The loop learns of both when it reads, but it
    may not have run since, in a process that was stopped, frozen or busy. So the socket is asked.
    """
    if transport.is_closing() or getattr(transport.get_protocol(), "should_close", False):
        return True
    socket = transport.get_extra_info("socket")
    events = 0 if socket is None else _events(socket.fileno())
    if not events:
        return False
    if events & _CLOSED or transport.get_extra_info("ssl_object") is None:
        return True
    for _ in range(3):  # TLS has messages of its own; the loop reads them, or finds a farewell
        await asyncio.sleep(0)
    return transport.is_closing() or getattr(transport.get_protocol(), "should_close", False)


def _events(descriptor: int) -> int:
    """Return what waits to be read from a socket: data, its end, or nothing (0)."""
    if not _CAN_POLL:  # pragma: no cover -- Windows
        return int(bool(select.select([descriptor], [], [], 0)[0]))
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | _CLOSED)
    found = poll.poll(0)
    return found[0][1] if found else 0
