"""The outcome of a campaign, for people and for other programs."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from os import PathLike
from pathlib import Path

from conference_async.dialer.ledger.outcome import LedgerStore, Outcome
from conference_async.dialer.ledger.private_file import PrivateFile
from conference_async.errors import ConfigurationError
from conference_async.privacy import mask, printable, printable_json
from conference_async.sending.entries import State

COLUMNS = (
    "row",
    "id",
    "target",
    "to",
    "conference",
    "state",
    "attempts",
    "call_sid",
    "conference_sid",
    "label",
    "sent_at",
    "ended_at",
    "reason",
)
"""The columns of a report, one row for each target. ``row``, ``id`` and ``label`` are those of the
file, also where nobody was called."""

_AT_ONCE = 500
_FORMULA = re.compile("(^|;)(?=\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
"""The places where a spreadsheet may see a formula begin: full-width signs count, and where
semicolons part cells, one begins after each of them."""


class Report:
    """The counts of a ledger, and one row per target, in the order of the plan.

    Rows are streamed. The ledger may be written to meanwhile. A run on one machine enters targets
    as their turn comes near: `missing` says how many have no row yet, and `counts` has them as
    planned.

    Args:
        ledger: What to report on, open or not.
        show_numbers: Whether addresses are written out; else only their last four digits are.

    Attributes:
        missing: How many targets of the plan had no row in what `csv`, `json` or `save` wrote last.
    """

    def __init__(self, ledger: LedgerStore, *, show_numbers: bool = False) -> None:
        self._ledger = ledger
        self._show_numbers = show_numbers
        self.missing: int = 0

    async def counts(self) -> dict[State, int]:
        """Return how many targets are in which state.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        async with self._ledger:
            return await self._ledger.counts()

    async def rows(self, *states: State) -> AsyncGenerator[dict[str, str | int | None], None]:
        """Yield what is known of each target, by the names of `COLUMNS`.

        Args:
            *states: Only the targets in these states; all if none are given.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        async with self._ledger, aclosing(self._ledger.outcomes(*states)) as outcomes:
            async for outcome in outcomes:
                yield self._row(outcome)

    def _row(self, outcome: Outcome) -> dict[str, str | int | None]:
        row: dict[str, str | int | None] = {}
        for name in COLUMNS:
            value: object = getattr(outcome, name)
            row[name] = value if value is None or isinstance(value, int) else str(value)
        row["label"] = outcome.label or outcome.own_label
        if not self._show_numbers:
            row["target"], row["to"] = mask(outcome.target), mask(outcome.to)
            row["id"] = outcome.id and mask(outcome.id)
        return row

    async def _whole(self) -> AsyncGenerator[dict[str, str | int | None], None]:
        """Yield all rows, and count those that are missing."""
        async with self._ledger, aclosing(self.rows()) as rows:
            there, targets = 0, sum((await self._ledger.counts()).values())
            async for row in rows:
                there += 1
                yield row
            self.missing = max(0, targets - there)

    async def csv(self) -> AsyncGenerator[str, None]:
        """Yield a CSV file, line by line, the columns' names first.

        An apostrophe stands before what a spreadsheet would take for a formula, and what would
        move a terminal's cursor or hide its neighbours is spelled out; `json` has the exact text.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        yield _line(COLUMNS)
        async with aclosing(self._whole()) as rows:
            async for row in rows:
                yield _line(map(_harmless, row.values()))

    async def json(self) -> AsyncGenerator[str, None]:
        """Yield a JSON document, a line per target.

        It has ``campaign``, ``counts``, ``targets``, and ``missing``: how many have no row yet.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        async with self._ledger:
            campaign = await self._ledger.campaign()
            head = {"campaign": campaign.name if campaign else None, "counts": await self.counts()}
            yield f'{printable_json(head)[:-1]}, "targets": ['
            comma = ""
            async with aclosing(self._whole()) as rows:
                async for row in rows:
                    yield f"{comma}\n  {printable_json(row)}"
                    comma = ","
            yield f'\n], "missing": {self.missing}}}\n'

    async def save(self, path: str | PathLike[str]) -> None:
        """Write the report to a file that only its owner can read.

        Args:
            path: Where to; ``.csv`` or ``.json`` says which. An existing file is replaced, whoever
                could read it, once the report is whole.

        Raises:
            ConfigurationError: It is neither, or cannot be written.
            LedgerError: The ledger cannot be read.
        """
        path = Path(path)
        formats = {".csv": self.csv, ".json": self.json}
        if path.suffix.lower() not in formats:
            raise ConfigurationError(f"a report is written as .csv or .json, not {path.name}")
        file = PrivateFile(path)
        try:
            lines: list[str] = []
            async with aclosing(formats[path.suffix.lower()]()) as stream:
                async for line in stream:
                    lines.append(line)
                    if len(lines) >= _AT_ONCE:
                        await asyncio.to_thread(file.write, lines)
                        lines = []
            await asyncio.to_thread(file.write, lines)
            await asyncio.to_thread(file.keep)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path.name}: {error.strerror}") from error
        finally:
            await asyncio.to_thread(file.discard)


def _line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _harmless(cell: str | int | None) -> str | int | None:
    return _FORMULA.sub(r"\1'", printable(cell)) if isinstance(cell, str) else cell
