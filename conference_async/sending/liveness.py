"""Whether a connection that was kept alive still is."""

import asyncio
import select

_CAN_POLL = hasattr(select, "poll")
_CLOSED = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)


def is_quiet(transport: asyncio.Transport) -> bool:
    """Return whether a connection is open and nothing waits to be read: nearly always it is so."""
    if transport.is_closing() or getattr(transport.get_protocol(), "should_close", False):
        return False
    socket = transport.get_extra_info("socket")
    return socket is None or not _events(socket.fileno())


async def is_dead(transport: asyncio.Transport) -> bool:
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
