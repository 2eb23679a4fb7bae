"""What commands print: a table on a terminal, tab-separated lines elsewhere, or JSON."""

import json
import sys
from collections.abc import AsyncIterable, Callable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import TypeAlias, cast

import attrs
from cyclopts import Group, Parameter

from conference_async.cli.printable import printable
from conference_async.masking import mask
from conference_async.models import Conference, Participant

Shown: TypeAlias = Participant | Conference
"""What the service answers with."""


@Parameter(name="*", negative="", show_default=False, group=Group("Output", sort_key=9))
@attrs.frozen(kw_only=True)
class Output:
    """How to print results; they go to stdout, everything else to stderr."""

    json: bool = False
    """Print JSON. Otherwise a table on a terminal, and lines of tab-separated fields elsewhere."""

    show_numbers: bool = False
    """Show phone numbers whole, instead of their last four digits."""

    async def rows(self, values: AsyncIterable[Shown], columns: "Columns") -> None:
        """Print many values as they come; a table on a terminal waits for the last one."""
        if self.json:
            await self._json_array(values)
        elif sys.stdout.isatty():
            self._table([self._cells(value, columns) async for value in values], columns)
        else:
            async for value in values:
                print("\t".join(self._cells(value, columns)))

    def row(self, value: Shown, columns: "Columns") -> None:
        """Print one value, in short for people and whole as JSON."""
        if self.json:
            print(self.dumped(_given(value)))
        elif sys.stdout.isatty():
            self._table([self._cells(value, columns)], columns)
        else:
            print("\t".join(self._cells(value, columns)))

    def whole(self, value: Shown) -> None:
        """Print one value whole; for people without what only programs need."""
        self.facts(_given(value))

    def facts(self, facts: dict[str, object]) -> None:
        """Print what belongs together, each under its name."""
        if self.json:
            print(self.dumped(facts))
            return
        pairs = [
            (name, self.text(content))
            for name, content in facts.items()
            if not isinstance(content, dict)
        ]
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.table import Column, Table
            from rich.text import Text

            table = Table.grid("", Column(overflow="fold"), padding=(0, 2))
            for name, text in pairs:
                table.add_row(Text(name, style="bold"), Text(text))
            Console(highlight=False).print(table)
        else:
            for pair in pairs:
                print("\t".join(pair))

    def done(self, what: str, **facts: str) -> None:
        """Print that something was done which leaves nothing to show."""
        print(self.dumped(facts) if self.json else self.text(what))

    def text(self, content: object) -> str:
        """Return a value as text for a person: masked, and free of what moves a cursor."""
        if content is None:
            return "-"
        if isinstance(content, bool):
            return "yes" if content else "no"
        if isinstance(content, datetime):
            return content.isoformat(" ").replace("+00:00", "Z")
        text = str(content)
        return printable(text if self.show_numbers else mask(text))

    def dumped(self, content: object) -> str:
        """Return a value as JSON on one line, masked."""
        return json.dumps(self._plain(content), ensure_ascii=False)

    def _plain(self, content: object) -> object:
        match content:
            case str() if not self.show_numbers:
                return mask(content)
            case datetime():
                return content.isoformat()
            case dict():
                pairs = cast("dict[str, object]", content)
                return {name: self._plain(value) for name, value in pairs.items()}
            case list() | tuple():
                return [self._plain(item) for item in cast("list[object]", content)]
            case _:
                return content

    async def _json_array(self, values: AsyncIterable[Shown]) -> None:
        lead = "["
        async for value in values:
            print(lead + self.dumped(_given(value)), end="")
            lead = ",\n "
        print("[]" if lead == "[" else "]")

    def _cells(self, value: Shown, columns: "Columns") -> list[str]:
        return [self.text(read(value)) for read in columns.values()]

    @staticmethod
    def _table(rows: list[list[str]], columns: "Columns") -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for heading in columns:
            table.add_column(heading, no_wrap="SID" in heading, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console(highlight=False).print(table)


Columns: TypeAlias = Mapping[str, Callable[..., object]]
"""What to show of a value: a heading, and how to read what stands below it."""

PLAIN = Output()
"""How to print when no option says otherwise."""


def _state(participant: Participant) -> str:
    notes = {
        "muted": participant.muted,
        "on hold": participant.hold,
        "coaching": participant.coaching,
        "found placed": participant.reconciled,
    }
    return ", ".join([str(participant.status), *(note for note, true in notes.items() if true)])


PARTICIPANTS: Columns = {
    "Label": attrgetter("label"),
    "Call SID": attrgetter("call_sid"),
    "State": _state,
}
"""A participant in a table of 80 columns."""

CONFERENCES: Columns = {
    "Name": attrgetter("friendly_name"),
    "SID": attrgetter("sid"),
    "Status": attrgetter("status"),
    "Created": attrgetter("date_created"),
}
"""A conference in a table of 80 columns."""


def _given(value: Shown) -> dict[str, object]:
    return attrs.asdict(value, recurse=False)
