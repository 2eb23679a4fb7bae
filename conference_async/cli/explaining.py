"""Why a number is not called, asked of the rules of its campaign."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclopts import App

from conference_async.cli.dialling import dial
from conference_async.cli.output import Output
from conference_async.cli.plans import PlanOptions
from conference_async.cli.resuming import kept
from conference_async.cli.rules import Rules
from conference_async.client import ConferenceClient
from conference_async.credentials import Credentials
from conference_async.dialer.calling.explaining import Explanation
from conference_async.dialer.ledger.place import ledger_at
from conference_async.dialer.local.dialer import Dialer
from conference_async.dialer.plan.phones import normalise_number
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.postgres.dsn import in_database


async def of_a_run(ledger: str, number: str) -> list[Explanation]:
    """Return what the rules of the command say that began a campaign on this machine.

    Raises:
        LedgerError: The command is not known, or the ledger cannot be read.
    """
    if in_database(ledger):
        raise LedgerError("only the machine that dials this campaign knows its rules")
    place, given = _begun(Path(ledger))
    rows, rules = given.get("rows", PlanOptions()), given.get("rules", Rules())
    store = ledger_at(place, read_only=True)
    async with store, rules.kept() as journal:
        whose = await store.campaign()
        if whose is None:
            raise LedgerError("the ledger is empty: nothing was dialled with it")
        # The account is only named: nothing is asked of the service.
        client = ConferenceClient(Credentials(whose.account_sid, "not used"), **journal)
        dialer = Dialer(client, ledger=store, **rules.settings(rows.default_region))
        to = normalise_number(number, rows.default_region)
        return await dialer.explain(rows.plan(given["file"]), to)


def _begun(ledger: Path) -> tuple[Path, dict[str, Any]]:
    """Return where a ledger is, and the command that began its campaign."""
    place, known = ledger.absolute(), kept(ledger)
    os.chdir(known.directory)
    _, bound, _ = App(default_command=dial).parse_args(
        known.arguments[1:], print_error=False, exit_on_error=False
    )
    return place, dict(bound.arguments)


async def of_workers(ledger: str, number: str) -> list[Explanation]:
    """Return what workers would do.

    Raises:
        LedgerError: The database cannot be read.
    """
    async with SharedCampaign(ledger) as shared:
        return await shared.explain(normalise_number(number))


def show(found: Sequence[Explanation], output: Output) -> None:
    """Print explanations.

    Raises:
        ConfigurationError: There are none.
    """
    if not found:
        raise ConfigurationError("nobody in this campaign has that number")
    for each in found:
        outcome = each.outcome
        facts: dict[str, object] = {
            "row": outcome.row,
            "id": outcome.id,
            "to": outcome.to,
            "state": outcome.state,
            "why": each.why,
        }
        for number, made in enumerate(each.contacts, start=1):
            about = f" ({made.purpose})" if made.purpose else ""
            facts[f"call {number}"] = f"{output.text(made.at)} by {made.campaign}{about}"
        if output.json:
            facts = {
                **{name: facts[name] for name in ("row", "id", "to", "state", "why")},
                "contacts": [
                    {"campaign": made.campaign, "purpose": made.purpose, "at": made.at}
                    for made in each.contacts
                ],
            }
        output.facts(facts)
