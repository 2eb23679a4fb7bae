"""The emulator as a command: a service to try things on, without an account and without phones."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

from cyclopts import Parameter, validators

from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.problems import say
from conference_async.client import ConferenceClient
from conference_async.credentials import Credentials
from conference_async.emulator import Emulator
from conference_async.emulator.numbers import SCRIPTS
from conference_async.errors import ConfigurationError

_REHEARSING = f"AC{0:032x}"


async def emulator(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8081,
    cps: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 1.0,
    answer_after: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.5,
    pace: Annotated[bool, Parameter(negative="--no-pace")] = True,
) -> None:
    """Run a local service that behaves like the real one, until Ctrl-C ends it with code 0.

    The first line printed is its base URL. The lines below it, pasted into another shell, point
    every command and program there. Account and token are those of TWILIO_ACCOUNT_SID and
    TWILIO_AUTH_TOKEN, or made up.

    Everybody picks up and stays, but for five numbers: +15550000001 is busy, +15550000002 never
    answers, +15550000003 is a machine, +15550000004 fails, and +15550000005 hangs up.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        cps: The calls per second that the account has.
        answer_after: Seconds that phones ring before they are picked up.
        pace: Whether calls beyond the CPS queue up, as they do at the real service.
    """
    stopped = asyncio.Event()
    service = Emulator(
        host=host,
        port=port,
        cps=cps,
        answer_after=answer_after,
        pace=pace,
        account_sid=os.environ.get("TWILIO_ACCOUNT_SID"),
        auth_token=os.environ.get("TWILIO_AUTH_TOKEN"),
    )
    for number, script in SCRIPTS.items():
        service.script(number, script)
    with on_interrupt(stopped.set):
        async with _listening(service) as running:
            print(running.base_url)
            print(f"export CONFERENCE_ASYNC_BASE_URL={running.base_url}")
            _print_setting("TWILIO_ACCOUNT_SID", running.account_sid)
            _print_setting("TWILIO_AUTH_TOKEN", running.auth_token)
            if os.environ.get("TWILIO_API_KEY"):
                print("unset TWILIO_API_KEY TWILIO_API_SECRET")
            print("# Ctrl-C ends it", flush=True)
            await stopped.wait()
    say(f"calls placed: {len(service.starts)}")


@asynccontextmanager
async def _listening(service: Emulator) -> AsyncGenerator[Emulator, None]:
    async with AsyncExitStack() as stack:
        try:
            running = await stack.enter_async_context(service)
        except OSError as error:
            reason = str(error.strerror).rpartition(": ")[2]
            raise ConfigurationError(
                f"cannot listen on {service.host}, port {service.port}: {reason}; "
                "--port 0 takes a free one"
            ) from error
        yield running


@asynccontextmanager
async def rehearsal(cps: float) -> AsyncGenerator[tuple[Emulator, ConferenceClient], None]:
    """Open an emulator, and a client that talks to it.

    Its account is always the same, so that a rehearsal's ledger fits the next one.
    """
    async with (
        Emulator(cps=cps, account_sid=_REHEARSING) as emulator,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            cps=cps,
        ) as client,
    ):
        yield emulator, client


def _print_setting(name: str, value: str) -> None:
    """Print how to set a variable; one that is set already may be a secret, and stays untold."""
    print(
        f"# {name} is the one of this environment"
        if os.environ.get(name)
        else f"export {name}={value}"
    )
