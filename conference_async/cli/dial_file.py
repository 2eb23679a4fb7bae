"""A file dialled: its plan shown and agreed to, then followed to its end or left to workers."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from conference_async.cli import plans, problems
from conference_async.cli.account import Account
from conference_async.cli.emulation import rehearsal, service
from conference_async.cli.output import Output
from conference_async.cli.plans import PlanOptions, Surroundings
from conference_async.cli.reach import Reach
from conference_async.cli.rehearsing import Rehearsed
from conference_async.cli.resuming import (
    CommandLine,
    discard,
    how_to_decide,
    how_to_go_on,
    how_to_watch,
)
from conference_async.cli.rules import Rules
from conference_async.cli.run_options import RunOptions
from conference_async.cli.runs import Follower
from conference_async.client import ConferenceClient
from conference_async.dialer.ledger.outcome import LedgerStore
from conference_async.dialer.ledger.place import ledger_at, split_name
from conference_async.dialer.ledger.report import Report
from conference_async.dialer.local.dialer import Dialer
from conference_async.dialer.plan.plan import Plan
from conference_async.dialer.plan.preview import Preview
from conference_async.postgres.dsn import in_database
from conference_async.privacy import mask
from conference_async.sending.entries import State


async def dial_file(
    file: Path,
    rows: PlanOptions,
    run: RunOptions,
    rules: Rules,
    *,
    account: Account,
    output: Output,
) -> int:
    """Dial everybody in a file, as the command `dial` says; return its exit code."""
    settings = rules.settings(rows.default_region)
    plan, ledger = rows.plan(file), run.ledger_for(file, rows)
    shown = mask(ledger)
    rehearsed = Rehearsed.of(run.script, rows.default_region)
    async with _service(run, account, rehearsed) as opened, rules.kept() as kept:
        client = opened.with_options(**kept)
        showing = _Showing(file=file, rows=rows, run=run, client=client, output=output)
        if run.submit:
            return await _submit(plan, ledger, settings, showing, rules)
        command, store = CommandLine.of_this_process(), ledger_at(ledger, name=plan.name)
        preview = _noted(await Dialer(client, ledger=store, **settings).preview(plan), rules)
        if run.emulator and run.max_live and (rows.skip_bad_rows or not preview.bad):
            showing = attrs.evolve(showing, lines=await rehearsed.lines(plan))
        facts = showing.show(preview, shown)
        if (code := await showing.agreed(preview)) is not None:
            return code
        watched = client.with_options(on_attempt=Reach().note)
        dialer = Dialer(watched, ledger=store, redial=rules.redial(client), **settings)
        before = await _begun(dialer.ledger, plan, command, ledger)
        if before and not output.json:
            print(f"before       {before} were called by earlier runs")
        follower = Follower(client=client, dialer=dialer, output=output)
        ended = await follower.follow(
            dialer.run(plan), total=preview.good, before=before, plan=facts, ledger=shown
        )
        if run.report is not None:
            await _reported(dialer.ledger, run.report, output)
    if ended.stopped:
        print(how_to_go_on(ledger), file=sys.stderr)
    elif run.emulator and not (run.ledger or ended.left):
        discard(Path(ledger))
    return ended.code


@asynccontextmanager
async def _service(
    run: RunOptions, account: Account, rehearsed: Rehearsed
) -> AsyncGenerator[ConferenceClient, None]:
    """Open what is dialled through: the account, or an emulator for a rehearsal."""
    if run.emulator:
        async with rehearsal(run.cps, run.max_live) as (emulator, client):
            for ending, script in rehearsed.scripts.items():
                emulator.script(ending, script)
            yield client
        return
    opened = (
        service(account, emulated=False, cps=run.cps, max_live=run.max_live)
        if run.database is None
        else account.paced_by(run.database, cps=run.cps, max_live=run.max_live)
    )
    async with opened as client:
        yield client


@attrs.frozen(kw_only=True)
class _Showing:
    """What a plan is shown with, and whether a person agrees to it."""

    file: Path
    rows: PlanOptions
    run: RunOptions
    client: ConferenceClient
    output: Output
    lines: tuple[float, int] = (0.0, 0)
    """For how long rehearsed calls hold their lines on average, and how many stay."""

    def show(self, preview: Preview, ledger: str, missing: int | None = None) -> dict[str, object]:
        """Print a plan; return it for machines."""
        run, host = self.run, self.client.base_url
        held, staying = self.lines
        around = Surroundings(
            file=self.file,
            cps=run.cps,
            host=host,
            ledger=ledger,
            missing=missing or 0,
            lines=run.max_live if run.emulator else None,
            held=held,
            staying=staying,
        )
        facts = plans.as_json(preview, around)
        if missing is not None:
            facts["missing"] = missing
        if not self.output.json:
            plans.show(preview, self.output, around)
        elif run.dry_run:
            print(self.output.dumped({"plan": facts}))
        return facts

    async def agreed(self, preview: Preview) -> int | None:
        """Return None if the plan is to be dialled, else the code that the command ends with.

        Raises:
            ConfigurationError: It cannot be dialled, or there is no terminal to ask at.
        """
        plans.refuse_bad(preview, self.rows)
        if self.run.dry_run:
            return problems.DONE
        question = f"Call {preview.to_call} through {self.client.base_url}?"
        if plans.phones_ring(self.client, yes=self.run.yes) and not plans.confirmed(question):
            return problems.say("nobody was called", problems.INTERRUPTED)
        await self.client.conferences.list(limit=1)  # wrong credentials and dead hosts end it here
        return None


def _noted(preview: Preview, rules: Rules) -> Preview:
    """Return a plan with what is to be known of its rules."""
    note = rules.note()
    return preview if note is None else attrs.evolve(preview, notes=(*preview.notes, note))


async def _submit(
    plan: Plan, ledger: str, settings: dict[str, Any], showing: _Showing, rules: Rules
) -> int:
    """Leave the calling to workers."""
    from conference_async.dialer.workers.cluster_dialer import ClusterDialer

    dsn, name = split_name(ledger)
    run = showing.run
    options: dict[str, Any] = {"priority": run.priority, "keep_missing": run.keep_missing}
    async with (
        ClusterDialer(showing.client, dsn) as dialer,
        dialer.staged(plan, name=name, **options, **settings) as submission,
    ):
        preview = submission.preview
        if preview is None:
            raise RuntimeError("a file can be read more than once")
        showing.show(_noted(preview, rules), mask(ledger), submission.missing)
        if (code := await showing.agreed(preview)) is not None:
            return code
        name = name or plan.name
        try:
            new = await submission.enter()
        except BaseException:
            if submission.begun:
                print(how_to_decide(dsn, name), file=sys.stderr)
            raise
    said = f"{new} submitted to the workers of the campaign {name} (in a URL: #{quote(name)})"
    showing.output.done(said, submitted=str(new), campaign=name)
    if hint := how_to_watch(dsn, name):
        print(hint, file=sys.stderr)
    return problems.DONE


async def _reported(ledger: LedgerStore, to: Path, output: Output) -> None:
    """Write a report where it was asked for."""
    report = Report(ledger, show_numbers=output.show_numbers)
    await report.save(to)
    missing = f", {report.missing} not in it yet" if report.missing else ""
    problems.say(f"the report is {to}{missing}")


async def _begun(store: LedgerStore, plan: Plan, command: CommandLine, ledger: str) -> int:
    """Keep the command beside the campaign's own ledger; return how many were called before."""
    async with store:
        known, counts = await store.campaign(), await store.counts()
    if not in_database(ledger) and (known is None or known.name == plan.name):
        command.keep(Path(ledger))
    return sum(counts[state] for state in (State.PLACED, State.REFUSED, State.UNKNOWN))
