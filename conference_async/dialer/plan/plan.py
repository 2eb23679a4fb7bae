"""A plan: everybody to call, checked as a whole before anybody is called."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from typing import Self, TypedDict, Unpack

import attrs

from conference_async.dialer.plan.columns import Headings, RowReader
from conference_async.dialer.plan.documents import Document, Reading, csv_rows, json_rows
from conference_async.dialer.plan.preview import LARGEST_ROOM, Preview, Tally, WhyNot
from conference_async.dialer.plan.sources import FileRows, GivenParticipants, Source
from conference_async.dialer.plan.targets import Problem, Row, Sieve, Target
from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.models import NewParticipant, check_conference, is_conference_sid
from conference_async.privacy import Words

_QUOTED = 10


class FileOptions(TypedDict, total=False):
    """How the rows of a file become targets."""

    conference: str | None
    """The conference of rows that name none of their own: a SID or a name."""

    from_: str | None
    """The caller for rows without a ``from_``."""

    defaults: Mapping[str, object] | None
    """Parameters of `NewParticipant` for rows that leave them out."""

    default_region: str | None
    """The country (``US``) of numbers without ``+``; needs the `phonenumbers` library. Without it
    such numbers are bad rows."""

    columns: Mapping[str, str] | None
    """Parameters by the headings that stand for them where a file has its own: ``{"Telefon":
    "to"}``. Upper and lower case are the same."""

    room_size: int | None
    """Spread the targets over conferences of this many, 1 to 250, called ``standup-1``,
    ``standup-2`` and so on."""

    skip_bad_rows: bool
    """Whether the good rows are dialled although others are bad; False if not given."""

    name: str | None
    """The campaign's name; made of the file's and the conference's if not given."""


class Plan:
    """Targets, normalised and without duplicates, from a file or an iterable; nothing is sent.

    Made by `from_participants`, `from_csv` or `from_jsonl`. Rows are read as they are needed, and
    never held as a whole.

    Attributes:
        name: The campaign, as its ledger knows it; a ledger of another campaign is refused.
        skip_bad_rows: Whether the good rows are dialled although others are bad.
    """

    def __init__(
        self,
        source: Source,
        *,
        name: str,
        conference: str | None,
        room_size: int | None,
        skip_bad_rows: bool,
    ) -> None:
        if room_size is not None:
            _check_spread(room_size, conference)
        self.name = name
        self.skip_bad_rows = skip_bad_rows
        self._source = source
        self._spread = conference, room_size
        self._preview: Preview | None = None

    @classmethod
    def from_participants(
        cls,
        participants: Iterable[NewParticipant] | AsyncIterable[NewParticipant],
        *,
        conference: str,
        default_region: str | None = None,
        room_size: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Return a plan of requests that are made already.

        Args:
            participants: The requests. What can be iterated only once, such as a generator or a
                queue, can be run but not previewed.
            conference: Where to call them to: a conference SID or a friendly name.
            default_region: The country (``US``) of numbers without ``+``; needs the
                `phonenumbers` library. If not given, requests are taken as they are.
            room_size: Spread them over conferences of this many, 1 to 250, called
                ``standup-1``, ``standup-2`` and so on.
            name: The campaign's name; the conference's if not given.

        Raises:
            ConfigurationError: `room_size` is out of bounds or cannot go with a SID, or
                `default_region` is no country.
            InvalidParameter: `conference` cannot be the name of one.
        """
        conference = check_conference(conference)
        return cls(
            GivenParticipants(participants, conference, default_region),
            name=name or conference,
            conference=conference,
            room_size=room_size,
            skip_bad_rows=False,
        )

    @classmethod
    def from_csv(cls, path: str | PathLike[str], **options: Unpack[FileOptions]) -> Self:
        """Return a plan of a CSV file, whose first line names the columns.

        A column is any parameter of `NewParticipant`, in snake case or in the service's spelling
        (``status_callback``, ``StatusCallback``); ``to`` alone suffices where a caller is given
        here. Further columns: ``conference`` for a room per row, ``time_zone`` for the target's
        own (``Europe/Dublin``), ``id`` for a row's own identity, without which it is that of its
        number, ``not_before`` and ``not_after`` for a day or an instant (``2026-12-01T09:30``),
        ``purpose`` for the limits of `ContactRules`, and ``priority``, 0 to 9: the highest are
        called first. Comma, semicolon or tab, or what a first line ``sep=;`` names; UTF-8, UTF-16
        with its mark, or cp1252.

        Args:
            path: The file. It is read when the plan is previewed, and again when it is run.
            **options: See `FileOptions`.

        Raises:
            ConfigurationError: Options contradict each other.
            InvalidParameter: ``conference`` cannot be the name of one.
        """
        return cls._from_file(path, csv_rows, options)

    @classmethod
    def from_jsonl(cls, path: str | PathLike[str], **options: Unpack[FileOptions]) -> Self:
        """Return a plan of a JSON Lines file: an object per line, named as a CSV file's columns.

        Args:
            path: The file. It is read when the plan is previewed, and again when it is run.
            **options: See `FileOptions`.

        Raises:
            ConfigurationError: Options contradict each other.
            InvalidParameter: ``conference`` cannot be the name of one.
        """
        return cls._from_file(path, json_rows, options)

    @classmethod
    def _from_file(cls, path: str | PathLike[str], read: Reading, options: FileOptions) -> Self:
        unknown = sorted(options.keys() - FileOptions.__annotations__.keys())
        if unknown:
            raise ConfigurationError(f"{unknown[0]} is no option of a plan (see FileOptions)")
        headings = Headings(options.get("columns"))
        document = Document(path=Path(path), read=read, headings=headings)
        conference = options.get("conference")
        defaults = {**(options.get("defaults") or {}), "from_": options.get("from_")}
        reader = RowReader(conference, defaults, options.get("default_region"))
        own_name = f"{document.path.name} to {conference or 'its conferences'}"
        return cls(
            FileRows(document, reader),
            name=options.get("name") or own_name,
            conference=conference,
            room_size=options.get("room_size"),
            skip_bad_rows=options.get("skip_bad_rows", False),
        )

    @property
    def rereadable(self) -> bool:
        """Whether it can be read more than once, and so be previewed before it is run."""
        return self._source.rereadable

    async def preview(self, why_not: WhyNot | None = None) -> Preview:
        """Read the whole plan and return what it would do; read once, however often asked.

        Args:
            why_not: Awaited with some targets at a time; returns why each of them is not called at
                this time, None if it is. With it the plan is read again, and `Preview.withheld`
                counts the reasons. `Dialer.preview` asks the rules of a dialler in this way.

        Raises:
            ConfigurationError: The source cannot be read, or can be read only once.
            InvalidParameter: The file's first line does not name what is needed.
        """
        if not self.rereadable:
            raise ConfigurationError(
                "this plan's source can be read only once, so it cannot be previewed; "
                "run it as it is, or give a list or a file"
            )
        if self._preview is not None and why_not is None:
            return self._preview
        tally, notes = Tally(why_not), list[str]()
        async with aclosing(self.counted(tally, notes)) as batches:
            async for _ in batches:
                pass
        preview = tally.preview(notes)
        self._preview = preview if why_not is None else attrs.evolve(preview, withheld={})
        return preview

    async def batches(self) -> AsyncGenerator[list[Target], None]:
        """Yield the targets, a few hundred at a time at most: those of higher priorities first.

        Raises:
            ConfigurationError: The source cannot be read.
            InvalidParameter: A row is bad, and bad rows are not to be skipped.
        """
        # Read as often as there are priorities: few can be told apart, and many rows not be held.
        for priority in (await self.preview()).priorities if self.rereadable else (None,):
            async with aclosing(self._rows([])) as batches:
                async for batch in batches:
                    targets = list(map(self._accepted, batch))
                    yield [
                        target
                        for target in targets
                        if target is not None and priority in (None, target.priority)
                    ]

    async def counted(self, tally: Tally, notes: list[str]) -> AsyncGenerator[list[Target], None]:
        """Yield the targets as `batches` does, bad rows left out, and count all rows meanwhile.

        Args:
            tally: Counts them.
            notes: Takes what a person should know of how they were read.

        Raises:
            ConfigurationError: The source cannot be read.
            InvalidParameter: The file's first line does not name what is needed.
        """
        async with aclosing(self._rows(notes)) as batches:
            async for batch in batches:
                yield await tally.add(batch)

    def _accepted(self, row: Row) -> Target | None:
        """Return a target, or None for a row that is passed over.

        Raises:
            InvalidParameter: It is bad, and bad rows are not to be skipped.
        """
        if isinstance(row, Target):
            return row
        if row.duplicate or self.skip_bad_rows:
            return None
        raise InvalidParameter("plan", _listed(1, row))

    async def check(self) -> int | None:
        """Return how many targets there are, or None where that cannot be known before they come.

        Raises:
            ConfigurationError: The source cannot be read.
            InvalidParameter: Rows are bad, and bad rows are not to be skipped.
        """
        if not self.rereadable:
            return None
        return self.accepted(await self.preview())

    def accepted(self, preview: Preview) -> int:
        """Return how many targets a preview of this plan has.

        Raises:
            InvalidParameter: Rows are bad, and bad rows are not to be skipped.
        """
        if preview.bad and not self.skip_bad_rows:
            raise InvalidParameter("plan", _listed(preview.bad, *preview.problems[:_QUOTED]))
        return preview.good

    @property
    def spread(self) -> tuple[str, int] | None:
        """The conference that is spread over rooms, and their size; None if none is."""
        conference, room_size = self._spread
        return None if conference is None or room_size is None else (conference, room_size)

    def _rows(self, notes: list[str]) -> AsyncGenerator[list[Row], None]:
        return self._source.batches(Sieve(*self._spread), notes)

    def __repr__(self) -> str:
        return f"<Plan {self.name!r}>"


def _listed(bad: int, *problems: Problem) -> Words:
    lines = "".join(f"\n  row {problem.row}: {problem.reason}" for problem in problems)
    more = f"\n  and {bad - len(problems)} more" if bad > len(problems) else ""
    return Words(f"{bad} bad row{'s' * (bad > 1)}, so nobody was called:{lines}{more}")


def _check_spread(room_size: int, conference: str | None) -> None:
    if type(room_size) is not int or not 1 <= room_size <= LARGEST_ROOM:
        raise ConfigurationError(f"room_size must be 1 to {LARGEST_ROOM}, not {room_size!r}")
    if conference is None or is_conference_sid(conference):
        raise ConfigurationError("room_size needs the friendly name of a conference, to number it")


def check_plan(plan: object) -> None:
    """Refuse what is no plan, such as the path of its file.

    Raises:
        ConfigurationError: As said.
    """
    if not isinstance(plan, Plan):
        raise ConfigurationError(
            "plan must be a Plan, as in Plan.from_csv('people.csv', ...), not "
            f"{type(plan).__name__}"
        )
