"""Workers of campaigns that a database holds, and the database's tables."""

from typing import Annotated, TypeAlias

from cyclopts import App, Parameter, validators

from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.narration import narrated
from conference_async.cli.problems import say
from conference_async.cluster.ledgers import in_database, split_name
from conference_async.errors import ConfigurationError

Database: TypeAlias = Annotated[
    str, Parameter(name="--ledger", help="The database: postgresql://host/database.")
]

cluster = App(
    name="cluster",
    help="Prepare a database for campaigns that workers dial.",
    help_epilogue="Example: `conference-async cluster set-up --ledger postgresql://localhost/calls`",
    group_commands="Commands",
)


@cluster.command
async def set_up(*, ledger: Database) -> None:
    """Make the tables that are not there yet; harmless where they are."""
    from conference_async.cluster import ClusterDialer

    await ClusterDialer.set_up(_dsn(ledger))


async def worker(
    *,
    ledger: Database,
    cps: Annotated[float, Parameter(validator=validators.Number(gt=0, lte=30))] = 1.0,
    account: Account = FROM_ENVIRONMENT,
) -> None:
    """Dial what was submitted to a database, beside any number of other workers.

    Together they keep to one pace. Ctrl-C finishes the calls that are under way, leaves the rest
    to the others and ends with code 0. A killed worker's targets are taken over by the others.

    Args:
        ledger: The database.
        cps: The account's calls per second, the same for all workers.
        account: The account.
    """
    from conference_async.cluster import ClusterDialer

    dsn = _dsn(ledger)
    async with account.paced_by(dsn, cps=cps) as client:
        await client.conferences.list(limit=1)  # wrong credentials and dead hosts end it here
        async with ClusterDialer(client, dsn) as dialer:
            with on_interrupt(dialer.stop), narrated():
                say(f"at work at {cps:g} per second; Ctrl-C ends it")
                await dialer.work()


def _dsn(ledger: str) -> str:
    if not in_database(ledger):
        raise ConfigurationError("workers need a database as ledger: postgresql://host/database")
    return split_name(ledger)[0]
