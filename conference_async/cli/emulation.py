"""The emulator as a command: a service to try things on, without an account and without phones."""

import asyncio
import os
import shlex
import signal
import sys
from typing import Annotated

from cyclopts import Parameter

from conference_async.emulator import Emulator


async def emulator(
    *,
    host: str = "127.0.0.1",
    port: int = 8081,
    cps: float = 1.0,
    answer_after: float = 0.5,
    pace: Annotated[bool, Parameter(negative="--no-pace")] = True,
) -> None:
    """Run a local service that behaves like the real one, until Ctrl-C ends it with code 0.

    The first line printed is its base URL. The lines below it, pasted into another shell, point
    every command and program there. Account and token are those of TWILIO_ACCOUNT_SID and
    TWILIO_AUTH_TOKEN, or made up.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        cps: The calls per second that the account has.
        answer_after: Seconds that phones ring before they are picked up.
        pace: Whether calls beyond the CPS queue up, as they do at the real service.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Emulator(
        host=host,
        port=port,
        cps=cps,
        answer_after=answer_after,
        pace=pace,
        account_sid=os.environ.get("TWILIO_ACCOUNT_SID"),
        auth_token=os.environ.get("TWILIO_AUTH_TOKEN"),
    ) as running:
        print(running.base_url)
        print(f"export CONFERENCE_ASYNC_BASE_URL={running.base_url}")
        print(f"export TWILIO_ACCOUNT_SID={shlex.quote(running.account_sid)}")
        print(f"export TWILIO_AUTH_TOKEN={shlex.quote(running.auth_token)}")
        if os.environ.get("TWILIO_API_KEY"):
            print("unset TWILIO_API_KEY TWILIO_API_SECRET")
        print("# Ctrl-C ends it", flush=True)
        await stopped.wait()
        placed = len(running.starts)
    sys.stderr.write(f"{placed} calls placed\n")
