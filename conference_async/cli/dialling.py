"""Bulk dialling as a command: shown first, stopped cleanly, resumed by the same command."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import attrs
from cyclopts import Group, Parameter

from conference_async.cli import plans, problems
from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.emulation import rehearsal
from conference_async.cli.output import PLAIN, Output
from conference_async.cli.plans import PlanOptions
from conference_async.cli.resuming import CommandLine, discard
from conference_async.cli.rules import Rules
from conference_async.cli.runs import Follower
from conference_async.client import ConferenceClient
from conference_async.cluster.ledgers import in_database, ledger_at, split_name
from conference_async.dialer import Dialer, LedgerStore, Plan, State
from conference_async.errors import ConfigurationError
from conference_async.masking import mask

_HERE = {"localhost", "127.0.0.1", "::1"}


@Parameter(name="*", negative="", show_default=False, group=Group("Run", sort_key=2))
@attrs.frozen(kw_only=True)
class RunOptions:
    """How a plan is dialled."""

    cps: float = 1.0
    """The account's calls per second, more than 0 and at most 30; 1 if not given."""

    ledger: str | None = None
    """The file that remembers who was called, so that the same command goes on where it was
    interrupted; FILE.CONFERENCE.ledger if not given. Or a database, postgresql://host/name, which
    then paces the calls of all who dial through it too."""

    submit: bool = False
    """Leave the calling to workers (see the command `worker`), on this machine and others; needs
    a database as ledger."""

    dry_run: bool = False
    """Show the plan, and call nobody."""

    yes: bool = False
    """Do not ask before phones ring."""

    emulator: bool = False
    """Rehearse: dial an emulator on this machine instead of phones."""

    @property
    def database(self) -> str | None:
        """The database that remembers the campaign, if it is one that does."""
        return split_name(self.ledger)[0] if self.ledger and in_database(self.ledger) else None

    def check(self) -> None:
        """Refuse what cannot go together.

        Raises:
            ConfigurationError: Something cannot.
        """
        if self.submit and (self.database is None or self.emulator):
            raise ConfigurationError("--submit needs --ledger postgresql://… and no --emulator")

    def ledger_for(self, file: Path, rows: PlanOptions) -> str:
        """Return where the campaign is remembered."""
        rehearsed = "emulator" if self.emulator else None
        endings = [ending for ending in (rows.conference, rehearsed, "ledger") if ending]
        return self.ledger or str(file.with_name(".".join([file.name, *endings])))


_ROWS = PlanOptions()
_RUN = RunOptions()
_RULES = Rules()


async def dial(
    file: Annotated[
        Path,
        Parameter(
            help="CSV whose first line names the columns, or JSON Lines (.jsonl). The columns are "
            "the options of create, such as `to`, `label` and `timeout`; `to` alone suffices."
        ),
    ],
    /,
    *,
    rows: PlanOptions = _ROWS,
    run: RunOptions = _RUN,
    rules: Rules = _RULES,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> int:
    """Dial everybody in a file into a conference, each of them once.

    The plan is shown before anybody is called. Ctrl-C finishes what is under way and stops; the
    same command goes on from there, also after a crash.
    """
    run.check()
    rules.check(submitted=run.submit)
    settings = rules.settings()
    plan, ledger = rows.plan(file), run.ledger_for(file, rows)
    shown = mask(ledger)
    async with _service(run, account) as client:
        preview = await plan.preview()
        facts = plans.as_json(preview, cps=run.cps, host=client.base_url)
        if not output.json:
            plans.show(preview, output, cps=run.cps, host=client.base_url, ledger=shown)
        elif run.dry_run:
            print(output.dumped({"plan": facts}))
        plans.refuse_bad(preview, rows)
        if run.dry_run:
            return problems.DONE
        if _phones_ring(client, run) and not plans.confirmed(
            f"Call {preview.good} through {client.base_url}?"
        ):
            return problems.say("nobody was called", problems.INTERRUPTED)
        await client.conferences.list(limit=1)  # wrong credentials and dead hosts end it here
        if run.submit:
            return await _submit(plan, client, ledger, settings, output)
        command, store = CommandLine.of_this_process(), ledger_at(ledger, name=plan.name)
        dialer = Dialer(client, ledger=store, redial=rules.redial(client), **settings)
        before = await _begun(dialer.ledger, plan, command, ledger)
        if before and not output.json:
            print(f"before       {before} were called by earlier runs")
        follower = Follower(client=client, dialer=dialer, output=output)
        ended = await follower.follow(
            dialer.run(plan), total=preview.good, before=before, plan=facts, ledger=shown
        )
    if ended.stopped:
        print(f"To go on:\n  {command}", file=sys.stderr)
    elif run.emulator and not (run.ledger or ended.left):
        discard(Path(ledger))
    return ended.code


@asynccontextmanager
async def _service(run: RunOptions, account: Account) -> AsyncGenerator[ConferenceClient, None]:
    """Open what is dialled through: the account, or an emulator for a rehearsal."""
    if run.emulator:
        async with rehearsal(run.cps) as (_, client):
            yield client
    elif run.database is not None:
        async with account.paced_by(run.database, cps=run.cps) as client:
            yield client
    else:
        async with account.client(cps=run.cps) as client:
            yield client


async def _submit(
    plan: Plan, client: ConferenceClient, ledger: str, settings: dict[str, Any], output: Output
) -> int:
    """Leave the calling to workers."""
    from conference_async.cluster import ClusterDialer

    dsn, name = split_name(ledger)
    async with ClusterDialer(client, dsn) as dialer:
        new = await dialer.submit(plan, name=name, **settings)
    name = name or plan.name
    told = f"{new} submitted to the workers of the campaign {name}"
    output.done(told, submitted=str(new), campaign=name)
    return problems.DONE


async def _begun(store: LedgerStore, plan: Plan, command: CommandLine, ledger: str) -> int:
    """Keep the command beside the campaign's own ledger; return how many were called before."""
    async with store:
        known, counts = await store.campaign(), await store.counts()
    if not in_database(ledger) and (known is None or known.name == plan.name):
        command.keep(Path(ledger))
    return sum(counts[state] for state in (State.PLACED, State.REFUSED, State.UNKNOWN))


def _phones_ring(client: ConferenceClient, run: RunOptions) -> bool:
    """Return whether somebody has to be asked before it goes on."""
    return not run.yes and urlsplit(client.base_url).hostname not in _HERE
