"""What became of a campaign, for people and for other programs."""

import asyncio
import csv
import io
import json
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from typing import TextIO

from conference_async.dialer.ledger import LedgerStore, Outcome, State
from conference_async.errors import ConfigurationError
from conference_async.masking import mask

COLUMNS = (
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
"""What a report says of each target."""

_AT_ONCE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Report:
    """The counts of a ledger, and one row per target, in the order of the plan.

    Rows are streamed. The ledger may be written to meanwhile.

    Args:
        ledger: What to report on, open or not.
        show_numbers: Whether addresses are written out; else only their last four digits are.
    """

    def __init__(self, ledger: LedgerStore, *, show_numbers: bool = False) -> None:
        self._ledger = ledger
        self._show_numbers = show_numbers

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
        if not self._show_numbers:
            row["target"], row["to"] = mask(outcome.target), mask(outcome.to)
        return row

    async def csv(self) -> AsyncGenerator[str, None]:
        """Yield a CSV file, line by line, the columns' names first.

        A cell that a spreadsheet would take for a formula starts with an apostrophe.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        yield _line(COLUMNS)
        async with aclosing(self.rows()) as rows:
            async for row in rows:
                yield _line(map(_harmless, row.values()))

    async def json(self) -> AsyncGenerator[str, None]:
        """Yield a JSON document, a line per target: ``campaign``, ``counts`` and ``targets``.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        async with self._ledger:
            campaign = await self._ledger.campaign()
            head = {"campaign": campaign.name if campaign else None, "counts": await self.counts()}
            yield f'{json.dumps(head)[:-1]}, "targets": ['
            comma = ""
            async with aclosing(self.rows()) as rows:
                async for row in rows:
                    yield f"{comma}\n  {json.dumps(row)}"
                    comma = ","
            yield "\n]}\n"

    async def save(self, path: str | PathLike[str]) -> None:
        """Write the report to a file that only its owner can read.

        Args:
            path: Where to; ``.csv`` or ``.json`` says which. An existing file is replaced.

        Raises:
            ConfigurationError: It is neither, or cannot be written.
            LedgerError: The ledger cannot be read.
        """
        path = Path(path)
        formats = {".csv": self.csv, ".json": self.json}
        if path.suffix.lower() not in formats:
            raise ConfigurationError(f"a report is written as .csv or .json, not {path.name}")
        try:
            file = await asyncio.to_thread(_private, path)
            try:
                lines: list[str] = []
                async with aclosing(formats[path.suffix.lower()]()) as stream:
                    async for line in stream:
                        lines.append(line)
                        if len(lines) >= _AT_ONCE:
                            await asyncio.to_thread(file.writelines, lines)
                            lines.clear()
                await asyncio.to_thread(file.writelines, lines)
            finally:
                await asyncio.to_thread(file.close)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path.name}: {error.strerror}") from error


def _private(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def _line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _harmless(cell: str | int | None) -> str | int | None:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
