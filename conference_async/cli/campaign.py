"""Commands about a campaign, read from its ledger."""

import os
import sys
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter

from conference_async.cli import problems
from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.dialling import dial
from conference_async.cli.output import PLAIN, Output
from conference_async.cli.resuming import kept
from conference_async.cli.runs import Follower
from conference_async.cluster.ledgers import in_database, ledger_at
from conference_async.cluster.shared_campaign import SharedCampaign
from conference_async.dialer import Dialer, LedgerStore, Report, State
from conference_async.errors import LedgerError

LedgerPlace: TypeAlias = Annotated[
    str,
    Parameter(
        help="The file that the dial command named, or postgresql://host/database#name; the name "
        "is that of the campaign, and may be left out if there is only one."
    ),
]

campaign = App(
    name="campaign",
    help="See how a campaign stands, report it, go on with it, clear up what is in doubt.",
    group_commands="Commands",
    help_epilogue="Example: `conference-async campaign status people.csv.standup.ledger`",
)


@campaign.command
async def status(ledger: LedgerPlace, /, *, output: Output = PLAIN) -> None:
    """Show how many targets are in which state; a running campaign is not disturbed."""
    async with _existing(ledger, read_only=True) as known:
        whose, counts = await known.campaign(), await known.counts()
    if whose is None:
        raise LedgerError("the ledger is empty: nothing was dialled with it")
    facts: dict[str, object] = {
        "campaign": whose.name,
        "account_sid": whose.account_sid,
        "targets": whose.total,
    }
    facts |= await _standing(ledger)
    output.facts({**facts, **{state: counts[state] for state in State}})


@campaign.command
async def report(
    ledger: LedgerPlace,
    /,
    *,
    to: Annotated[
        Path | None, Parameter(help="Write it to this file, .csv or .json, that only you can read.")
    ] = None,
    output: Output = PLAIN,
) -> None:
    """Print one row per target as CSV, or all of it as JSON; harmless to spreadsheets."""
    async with _existing(ledger, read_only=True) as known:
        told = Report(known, show_numbers=output.show_numbers)
        if to is not None:
            await told.save(to)
            return
        async for chunk in told.json() if output.json else told.csv():
            print(chunk, end="")


@campaign.command
async def resume(
    ledger: LedgerPlace,
    /,
    *,
    yes: Annotated[bool, Parameter(help="Do not ask before phones ring.", negative="")] = False,
) -> int:
    """Go on with a campaign by the command that began it, or by its workers."""
    if in_database(ledger):
        async with SharedCampaign(ledger) as shared:
            await shared.resume()
        return problems.DONE
    known = kept(Path(ledger))
    os.chdir(known.directory)
    sys.argv[1:] = known.arguments  # it is this command that is kept again, and printed
    tokens = [*known.arguments[1:], *(["--yes"] if yes else [])]
    _, bound, _ = App(default_command=dial).parse_args(
        tokens, print_error=False, exit_on_error=False
    )
    return await dial(*bound.args, **bound.kwargs)


@campaign.command
async def pause(ledger: LedgerPlace, /) -> None:
    """Let workers start no more calls of a campaign until it is resumed."""
    async with SharedCampaign(_of_workers(ledger)) as shared:
        await shared.pause()


@campaign.command
async def cancel(ledger: LedgerPlace, /) -> None:
    """Let workers give a campaign up; what they have not called is skipped."""
    async with SharedCampaign(_of_workers(ledger)) as shared:
        await shared.cancel()


@campaign.command
async def reconcile(
    ledger: LedgerPlace, /, *, account: Account = FROM_ENVIRONMENT, output: Output = PLAIN
) -> int:
    """Look up those who may or may not have been called; nobody is called by this."""
    store = _existing(ledger, shared=bool(await _standing(ledger)))
    async with store, account.client() as client:
        counts = await store.counts()
        dialer = Dialer(client, ledger=store)
        doubtful = counts[State.SENDING] + counts[State.UNKNOWN]
        follower = Follower(client=client, dialer=dialer, output=output)
        ended = await follower.follow(dialer.reconcile(), total=doubtful)
    return problems.UNKNOWN if ended.counts[State.UNKNOWN] else problems.DONE


def _existing(place: str, *, read_only: bool = False, shared: bool = False) -> LedgerStore:
    """Return a ledger that is there.

    Raises:
        LedgerError: There is none.
    """
    if not in_database(place) and not Path(place).is_file():
        raise LedgerError(f"there is no ledger {place}")
    return ledger_at(place, read_only=read_only, shared=shared)


async def _standing(place: str) -> dict[str, str | None]:
    """Return how a campaign of workers stands; nothing for other campaigns."""
    if not in_database(place):
        return {}
    async with SharedCampaign(place) as shared:
        found = await shared.standing()
    return {} if found is None else {"standing": found[0], "because": found[1]}


def _of_workers(place: str) -> str:
    if not in_database(place):
        raise LedgerError("only campaigns of workers can be told so; press Ctrl-C where it runs")
    return place
