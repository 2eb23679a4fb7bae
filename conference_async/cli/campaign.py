"""Commands about a campaign, read from its ledger."""

import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import attrs
from cyclopts import App, Parameter, validators

from conference_async.cli import problems
from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.dialling import dial
from conference_async.cli.output import CAMPAIGNS, PLAIN, Output
from conference_async.cli.resuming import kept
from conference_async.cli.run_options import RunOptions
from conference_async.errors import LedgerError
from conference_async.postgres.dsn import in_database

if TYPE_CHECKING:
    from conference_async.dialer.ledger.outcome import LedgerStore
    from conference_async.dialer.ledger.summary import Summary
    from conference_async.dialer.workers.shared_campaign import SharedCampaign

LedgerPlace: TypeAlias = Annotated[
    str,
    Parameter(
        help="The file that the dial command named, or postgresql://host/database#name; the name "
        "is that of the campaign, and may be left out if there is only one."
    ),
]


def _example(command: str) -> str:
    return f"Example: `conference-async campaign {command}`"


campaign: App = App(
    name="campaign",
    help="See how a campaign stands, report it, go on with it, clear up what is in doubt.",
    group_commands="Commands",
    help_epilogue=_example("status people.csv.standup.ledger"),
)


@campaign.command(name="list", help_epilogue=_example("list postgresql://host/calls"))
async def list_campaigns(
    place: Annotated[
        str,
        Parameter(
            help="A folder, a ledger in it, or postgresql://host/database; here if not given."
        ),
    ] = ".",
    /,
    *,
    output: Output = PLAIN,
) -> None:
    """List the campaigns of all ledgers in a folder, or of a database; none is disturbed."""
    await output.rows(_summaries(place), CAMPAIGNS)


@campaign.command(help_epilogue=_example("status people.csv.standup.ledger --watch"))
async def status(
    ledger: LedgerPlace,
    /,
    *,
    watch: Annotated[
        bool,
        Parameter(help="Look again until nothing is left to do, or until Ctrl-C.", negative=""),
    ] = False,
    every: Annotated[
        float,
        Parameter(help="Seconds between two looks.", validator=validators.Number(gte=0.1)),
    ] = 2.0,
    output: Output = PLAIN,
) -> None:
    """Show how many targets are in which state; a running campaign is not disturbed.

    For a campaign of workers, also which of them are alive. --watch shows the rate too, and how
    long the rest takes.
    """
    from conference_async.cli import watching

    if watch:
        await watching.watch(ledger, output, every)
        return
    async with watching.Watch.on(ledger) as watched:
        look = await watched.look()
    output.facts(look.facts() if output.json else look.shown())


@campaign.command(help_epilogue=_example("report people.csv.standup.ledger --to report.csv"))
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
    from conference_async.dialer.ledger.report import Report

    async with _existing(ledger, read_only=True) as known:
        written = Report(known, show_numbers=output.show_numbers)
        if to is not None:
            await written.save(to)
        else:
            async for chunk in written.json() if output.json else written.csv():
                print(chunk, end="")
    if written.missing:
        problems.say(f"{written.missing} targets are planned and not in the report yet")


@campaign.command(help_epilogue=_example("explain people.csv.standup.ledger +15558675310"))
async def explain(
    ledger: LedgerPlace,
    number: Annotated[str, Parameter(help="A number as in the file, or as + and digits.")],
    /,
    *,
    output: Output = PLAIN,
) -> None:
    """Say why a number is not called at this time, or was not, and when campaigns called it.

    It asks the rules of the command that began the campaign, or of the last submission.
    """
    from conference_async.cli.explaining import of_a_run, of_workers, show

    shared = bool(await _standing(ledger))
    show(await (of_workers(ledger, number) if shared else of_a_run(ledger, number)), output)


@campaign.command(help_epilogue=_example("backup people.csv.standup.ledger monday.ledger"))
async def backup(
    ledger: LedgerPlace,
    to: Annotated[Path, Parameter(help="A new file, that only you can read.")],
    /,
) -> None:
    """Copy a campaign's ledger to a new file, also while the campaign is running.

    A copy made by other means may lack what was written last. Do not go on with the copy while the
    original is in use: people would be called twice.
    """
    from conference_async.dialer.ledger.sqlite import Ledger

    known = _existing(ledger, read_only=True)
    if not isinstance(known, Ledger):
        raise LedgerError("a ledger in a database is backed up with it, as by pg_dump")
    await known.backup(to)


@campaign.command(help_epilogue=_example("resume people.csv.standup.ledger"))
async def resume(
    ledger: LedgerPlace,
    /,
    *,
    yes: Annotated[bool, Parameter(help="Do not ask before phones ring.", negative="")] = False,
) -> int:
    """Go on with a campaign by the command that began it, or by its workers."""
    if in_database(ledger):
        async with _shared(ledger) as shared:
            await shared.resume()
        return problems.DONE
    known = kept(Path(ledger))
    os.chdir(known.directory)
    sys.argv[1:] = known.arguments  # it is this command that is kept again, and printed
    _, bound, _ = App(default_command=dial).parse_args(
        known.arguments[1:], print_error=False, exit_on_error=False
    )
    if yes:  # not as one more argument: the command may have it already
        run = bound.arguments.get("run", RunOptions())
        bound.arguments["run"] = attrs.evolve(run, yes=True)
    return await dial(*bound.args, **bound.kwargs)


@campaign.command(help_epilogue=_example("pause postgresql://host/calls#standup"))
async def pause(ledger: LedgerPlace, /, *, output: Output = PLAIN) -> None:
    """Let workers start no more calls of a campaign until it is resumed."""
    async with _shared(_of_workers(ledger)) as shared:
        _say_under_way("paused", await shared.pause(), output)


@campaign.command(help_epilogue=_example("cancel postgresql://host/calls#standup"))
async def cancel(ledger: LedgerPlace, /, *, output: Output = PLAIN) -> None:
    """Let workers give a campaign up; what they have not called is skipped."""
    async with _shared(_of_workers(ledger)) as shared:
        _say_under_way("cancelled", await shared.cancel(), output)


@campaign.command(help_epilogue=_example("reconcile people.csv.standup.ledger"))
async def reconcile(
    ledger: LedgerPlace, /, *, account: Account = FROM_ENVIRONMENT, output: Output = PLAIN
) -> int:
    """Look up those who may or may not have been called; nobody is called by this."""
    from conference_async.cli.runs import Follower
    from conference_async.dialer.local.dialer import Dialer
    from conference_async.sending.entries import State

    store = _existing(ledger, shared=bool(await _standing(ledger)))
    async with store, account.client() as client:
        counts = await store.counts()
        dialer = Dialer(client, ledger=store)
        doubtful = counts[State.SENDING] + counts[State.UNKNOWN]
        follower = Follower(client=client, dialer=dialer, output=output)
        ended = await follower.follow(dialer.reconcile(), total=doubtful)
    return problems.UNKNOWN if ended.counts[State.UNKNOWN] else problems.DONE


async def _summaries(place: str) -> "AsyncGenerator[Summary, None]":
    """Yield what is to be listed."""
    from conference_async.dialer.ledger.place import split_name
    from conference_async.dialer.ledger.summary import summaries_in
    from conference_async.dialer.workers.overview import summaries_of
    from conference_async.postgres.session import Session

    if not in_database(place):
        async for summary in summaries_in(Path(place)):
            yield summary
        return
    session = Session(split_name(place)[0], greet=None)
    await session.open()
    try:
        async for summary in summaries_of(session):
            yield summary
    finally:
        await session.aclose()


def _say_under_way(done: str, under_way: int, output: Output) -> None:
    """Say what is certain: nothing more is written down as being called."""
    rest = f"; {under_way} that are under way may still ring" if under_way else ""
    output.done(f"{done}: no more calls start{rest}", standing=done, under_way=str(under_way))


def _existing(place: str, *, read_only: bool = False, shared: bool = False) -> "LedgerStore":
    """Return a ledger that is there.

    Raises:
        LedgerError: There is none.
    """
    from conference_async.dialer.ledger.place import ledger_at

    if not in_database(place) and not Path(place).is_file():
        raise LedgerError(f"there is no ledger {place}")
    return ledger_at(place, read_only=read_only, shared=shared)


def _shared(place: str) -> "SharedCampaign":
    from conference_async.dialer.workers.shared_campaign import SharedCampaign

    return SharedCampaign(place)


async def _standing(place: str) -> dict[str, str | None]:
    """Return how a campaign of workers stands; nothing for other campaigns."""
    if not in_database(place):
        return {}
    async with _shared(place) as shared:
        found = await shared.standing()
    return {} if found is None else {"standing": found[0], "because": found[1]}


def _of_workers(place: str) -> str:
    if not in_database(place):
        raise LedgerError(
            "only a campaign of workers can be paused or cancelled; press Ctrl-C where this "
            "one runs"
        )
    return place
