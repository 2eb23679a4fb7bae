"""Workers of campaigns that a database holds, and the database's tables."""

import logging
from contextlib import AsyncExitStack
from typing import Annotated, TypeAlias

import attrs
from cyclopts import App, Group, Parameter, validators

from conference_async._version import __version__
from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.accounts import SERVED, Served
from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.log_lines import LogFormat, log_lines
from conference_async.cli.problems import DONE, UNKNOWN, UNREACHABLE, say, told
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.postgres.dsn import in_database

_log = logging.getLogger("conference_async.cli")

Database: TypeAlias = Annotated[
    str, Parameter(name="--ledger", help="The database: postgresql://host/database.")
]

cluster: App = App(
    name="cluster",
    help="Prepare a database for campaigns that workers dial.",
    help_epilogue="Example: `conference-async cluster set-up --ledger postgresql://localhost/calls`",
    group_commands="Commands",
)


@cluster.command
async def set_up(
    *,
    ledger: Database | None = None,
    grant_to: str | None = None,
    print_sql: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Make the tables that are not there yet, of all that is kept in a database.

    Harmless where they are. Nothing else makes tables, so everybody else gets along with the right
    to read and write rows.

    Args:
        ledger: The database, by a role that may make tables.
        grant_to: A role that is to read and write rows, and no more.
        print_sql: Print the SQL for somebody else to run, and do nothing.
    """
    from conference_async.dialer.workers.cluster_dialer import ClusterDialer

    if print_sql:
        print(ClusterDialer.set_up_sql(grant_to), end="")
    elif ledger is None:
        raise ConfigurationError("name the database (--ledger), or print the SQL (--print-sql)")
    else:
        await ClusterDialer.set_up(_dsn(ledger), grant_to=grant_to)


@Parameter(name="*", negative="", show_default=False, group=Group("Operation", sort_key=7))
@attrs.frozen(kw_only=True)
class Operation:
    """What a worker says of itself to those who run it."""

    log_format: LogFormat = "text"
    """How lines on stderr are written: one for each event, and one a minute; text if not given."""

    health: Annotated[int | None, Parameter(validator=validators.Number(gte=0, lte=65535))] = None
    """Answer on this port: /live, /ready, and /metrics with the extra `prometheus`. 0 takes a free
    one."""

    health_host: str = "127.0.0.1"
    """The address to answer on, such as 0.0.0.0 in a container; loopback if not given."""


_OPERATION = Operation()


async def worker(
    *,
    ledger: Database,
    direct: str | None = None,
    served: Served = SERVED,
    operation: Operation = _OPERATION,
    account: Account = FROM_ENVIRONMENT,
) -> int:
    """Dial what was submitted to a database, beside any number of other workers.

    Together they keep to one pace. Ctrl-C (and SIGTERM) finishes the calls that are under way,
    leaves the rest to the others and ends with code 0, within 25 seconds: with code 5 where the
    database or the service does not answer, as calls are left then for others to look up. A killed
    worker's targets are taken over by the others.

    Args:
        ledger: The database.
        direct: The same database past a pooler, for notifications: postgresql://host/database.
            Without it, workers behind a pooler look for jobs every second.
        served: Whom it dials for, and how quickly.
        operation: What it says of itself.
        account: The account.
    """
    with log_lines(operation.log_format):
        try:
            left = await _work(served, account, _dsn(ledger), direct, operation)
        except Exception as error:  # noqa: BLE001 -- a traceback tells a user nothing
            text, code = told(error)
            if isinstance(error, LedgerError):  # the database is away, and may come back
                code = UNREACHABLE
            if operation.log_format == "text":
                return say(text, code)
            _log.critical("%s", text, extra={"event": "worker.failed", "code": code})
            return code
    return UNKNOWN if left else DONE


async def _work(
    served: Served, account: Account, dsn: str, direct: str | None, operation: Operation
) -> int:
    from conference_async.cli.measuring import measures
    from conference_async.cli.probes import probes
    from conference_async.dialer.workers.cluster_dialer import ClusterDialer

    measured = measures(scraped=operation.health is not None)
    async with AsyncExitStack() as stack:
        whose, rates = await stack.enter_async_context(
            served.clients(account, dsn, measured.telemetry)
        )
        dialer = await stack.enter_async_context(ClusterDialer(whose, dsn, direct=direct))
        await dialer.check()
        facts: dict[str, object] = {
            "event": "worker.started",
            "accounts": len(rates),
            "cps": sum(rates),
            "version": __version__,
        }
        if operation.health is not None:
            facts["health"] = await stack.enter_async_context(
                probes(
                    operation.health_host,
                    operation.health,
                    why_not=dialer.why_not_ready,
                    measured=measured.exposed,
                )
            )

        def stop() -> None:
            _log.info("stopping", extra={"event": "worker.stopping"})
            dialer.stop()

        stack.enter_context(on_interrupt(stop))
        whom = f"for {len(rates)} accounts, " if len(rates) > 1 else ""
        answers = f"; answers on port {facts['health']}" if "health" in facts else ""
        _log.info(
            "at work %sat %g per second%s; Ctrl-C ends it", whom, sum(rates), answers, extra=facts
        )
        left = await dialer.work()
        _log.info("stopped", extra={"event": "worker.stopped", "left": left})
        return left


def _dsn(ledger: str) -> str:
    from conference_async.dialer.ledger.place import split_name

    if not in_database(ledger):
        raise ConfigurationError("workers need a database as ledger: postgresql://host/database")
    return split_name(ledger)[0]
