"""The emulator as a command: a service to try things on, without an account and without phones."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from conference_async.cli.account import Account
from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.problems import cannot_listen, say
from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from conference_async.client import ConferenceClient
    from conference_async.emulator import Emulator
    from conference_async.pace.local import CreateLimit

_REHEARSING = f"AC{0:032x}"
_BEFORE_A_TOKEN = {
    "TWILIO_API_KEY": "TWILIO_API_SECRET",
    "TWILIO_CLIENT_ID": "TWILIO_CLIENT_SECRET",
}
"""Variables that pass before an auth token, and their secrets."""


async def emulator(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8081,
    cps: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 1.0,
    answer_after: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.5,
    pace: Annotated[bool, Parameter(negative="--no-pace")] = True,
    control_token: Annotated[
        str | None, Parameter(env_var="CONFERENCE_ASYNC_CONTROL_TOKEN", show_env_var=True)
    ] = None,
    max_live: Annotated[int | None, Parameter(validator=validators.Number(gte=0))] = None,
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
        control_token: What the page and the control API below /control ask for, as a bearer's
            token or as a password. If not given, nothing on loopback; where other machines reach
            it, one is made up and printed.
        max_live: How many calls the account may have live at once; more are refused, as the real
            service does. No cap if not given.
    """
    from conference_async.emulator import Emulator
    from conference_async.emulator.numbers import SCRIPTS

    stopped = asyncio.Event()
    try:
        service = Emulator(
            host=host,
            port=port,
            cps=cps,
            answer_after=answer_after,
            pace=pace,
            control_token=control_token,
            max_live=max_live,
            account_sid=os.environ.get("TWILIO_ACCOUNT_SID"),
            auth_token=os.environ.get("TWILIO_AUTH_TOKEN"),
        )
    except ValueError as error:
        raise ConfigurationError(
            f"{error}; account and token come from TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
        ) from error
    for number, script in SCRIPTS.items():
        service.script(number, script)
    with on_interrupt(stopped.set):
        async with _listening(service) as running:
            print(running.base_url)
            print(f"export CONFERENCE_ASYNC_BASE_URL={running.base_url}")
            _print_setting("TWILIO_ACCOUNT_SID", running.account_sid)
            _print_setting("TWILIO_AUTH_TOKEN", running.auth_token)
            for name, secret in _BEFORE_A_TOKEN.items():
                if os.environ.get(name):
                    print(f"unset {name} {secret}")
            if running.beyond_loopback and control_token is None:
                print(f"export CONFERENCE_ASYNC_CONTROL_TOKEN={running.control_token}")
            reach = "; other machines reach it" if running.beyond_loopback else ""
            print(f"# its page is at {running.base_url}/, its control API below /control/{reach}")
            print("# Ctrl-C ends it", flush=True)
            await stopped.wait()
    say(f"calls placed: {len(service.starts)}")


@asynccontextmanager
async def _listening(service: "Emulator") -> "AsyncGenerator[Emulator, None]":
    async with AsyncExitStack() as stack:
        try:
            running = await stack.enter_async_context(service)
        except OSError as error:
            raise cannot_listen(service.host, service.port, error) from error
        yield running


@asynccontextmanager
async def rehearsal(
    cps: float, max_live: int | None = None
) -> "AsyncGenerator[tuple[Emulator, ConferenceClient], None]":
    """Open an emulator, and a client that talks to it.

    Its account is always the same, so that a rehearsal's ledger fits the next one.
    """
    from conference_async.client import ConferenceClient
    from conference_async.credentials import Credentials
    from conference_async.emulator import Emulator
    from conference_async.pace.contract import check_cps

    check_cps(cps)
    async with (
        Emulator(cps=cps, account_sid=_REHEARSING) as emulator,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            cps=cps,
            limit=_counting(cps, max_live),
        ) as client,
    ):
        yield emulator, client


@asynccontextmanager
async def service(
    account: Account, *, emulated: bool, cps: float, max_live: int | None = None
) -> "AsyncGenerator[ConferenceClient, None]":
    """Open a client of the account, or of an emulator that runs as long."""
    if emulated:
        async with rehearsal(cps, max_live) as (_, client):
            yield client
    else:
        async with account.client(cps=cps, limit=_counting(cps, max_live)) as client:
            yield client


def _counting(cps: float, max_live: int | None) -> "CreateLimit | None":
    """Return a limit that counts live calls; None where they are not counted."""
    from conference_async.pace.local import CreateLimit

    return None if max_live is None else CreateLimit(cps, max_live=max_live)


def _print_setting(name: str, value: str) -> None:
    """Print how to set a variable; one that is set already may be a secret, and is not printed."""
    print(
        f"# {name} is the one of this environment"
        if os.environ.get(name)
        else f"export {name}={value}"
    )
