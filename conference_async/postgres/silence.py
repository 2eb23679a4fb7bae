"""A server that does not answer: for how long it is waited for, and how that ends."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from conference_async.time_limits import Timer

if TYPE_CHECKING:
    from psycopg import AsyncConnection

T = TypeVar("T")


async def within(
    connection: "AsyncConnection[Any]",
    seconds: float,
    work: Callable[[], Awaitable[T]],
    *,
    silent: Callable[[], object] | None = None,
) -> T:
    """Do something on a connection; hang up if that takes longer than so many seconds.

    Nothing else ends it where a proxy, a firewall or a failed machine swallows what is sent. An
    answer that came all the same holds; the connection is closed then. Where this process did not
    run meanwhile, there is time to read what has come: see `Timer`.

    Args:
        connection: The connection.
        seconds: For how long the server may be silent.
        work: What to do.
        silent: Called when it was silent for so long.

    Raises:
        psycopg.OperationalError: It was.
    """
    from psycopg import OperationalError

    given_up = False

    def give_up() -> None:
        nonlocal given_up
        given_up = True
        hang_up(connection)
        if silent is not None:
            silent()

    timer = Timer(asyncio.get_running_loop().time() + seconds, give_up)
    try:
        done = await work()
    except Exception as error:
        if given_up:
            raise OperationalError(f"the server has not answered for {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if given_up:
        connection.pgconn.finish()  # else whoever is next would find that it leads nowhere
    return done


def hang_up(connection: "AsyncConnection[Any]") -> None:
    """End a connection, so that whoever waits for it hears at once that it is over."""
    if connection.closed:
        return
    if sys.platform == "win32":  # its sockets are no files that could be had twice
        connection.pgconn.finish()
        return
    # Not closed: the event loop still watches its number, which the next socket would be given.
    # Nor cancelled: the driver would ask the server to, and wait for the answer.
    with suppress(OSError), socket.socket(fileno=os.dup(connection.pgconn.socket)) as same:
        same.shutdown(socket.SHUT_RDWR)
