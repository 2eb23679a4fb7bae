"""Bulk dialling as a command: shown first, stopped cleanly, resumed by the same command."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.output import PLAIN, Output
from conference_async.cli.plans import PlanOptions
from conference_async.cli.rules import Rules
from conference_async.cli.run_options import RunOptions

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
    run.check(file)
    rules.check(submitted=run.submit)
    from conference_async.cli.dial_file import dial_file

    return await dial_file(file, rows, run, rules, account=account, output=output)
