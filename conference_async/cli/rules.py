"""The rules of a campaign, when and how often to call: for a run here and for workers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, time, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from cyclopts import Group, Parameter

from conference_async.errors import CallOver, ConfigurationError, NotAnswered, RequestTimeout

if TYPE_CHECKING:
    from conference_async.client import ConferenceClient
    from conference_async.dialer.rules.contact_rules import ContactRules
    from conference_async.dialer.rules.hours import CallingHours
    from conference_async.dialer.rules.wishes import Redial
    from conference_async.journal.contacts import ContactLimit
    from conference_async.models import Participant

_MISSED = "not reached"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_DIGITS = 7
_LONGEST_RINGING = 900.0
"""Seconds for which a call is watched: as long as it may ring, and wait before that."""


@Parameter(name="*", negative="", show_default=False, group=Group("Rules", sort_key=3))
@attrs.frozen(kw_only=True)
class Rules:
    """When to call people, and how often."""

    do_not_call: Path | None = None
    """A file of addresses that are not called, one per line; what follows a `#` is a comment."""

    preset: str | None = None
    """Keep to rules that are known by a name: us, us-debt or fr. A help, and no legal advice."""

    hours: tuple[str, ...] = ()
    """Call people only between these times of their own day, such as 09:00-20:30 or
    `mon-fri 10:00-18:00`; several of them may be given. Their time zone is that of a column
    `time_zone`, such as Europe/Paris, else those that the number may be in. Others wait if their
    time comes before --deadline, and are skipped if not; with workers (--submit) they wait without
    a deadline, too."""

    holidays: Path | None = None
    """A file of days on which nobody is called, such as 2026-12-25, one per line; what follows a
    `#` is a comment."""

    assume_zone: str | None = None
    """The time zone, such as America/New_York, of numbers for which none is known. They are skipped
    if it is not given."""

    limit: tuple[str, ...] = ()
    """How often one number may be called, such as 7/7d or 3/24h, by all campaigns that share a
    journal; several may be given. 3/7d:sales counts only calls of that purpose."""

    gap: str | None = None
    """The least time between two calls to one number, such as 4h."""

    purpose: str | None = None
    """The purpose of the calls; a column `purpose` goes before it."""

    journal: str | None = None
    """Where --limit and --gap are kept: a file, or postgresql://host/database. That of --ledger if
    it is a database."""

    deadline: float | None = None
    """Seconds after which no more calls are started, such as 3600; the rest stays planned."""

    quorum: int | None = None
    """Stop when so many have joined, such as 3, and hang up on those whose phone still rings."""

    humans: int | None = None
    """Stop when so many people have joined, such as 3: like --quorum, but those called with
    machine_detection count only once a person is heard."""

    quorum_within: float = 300.0
    """Seconds after which --quorum or --humans is given up, and phones that ring are hung up; 300
    if not given."""

    attempts: int = 1
    """Calls to one person at most, such as 3: those who were not seen to join, because the line
    was busy or nobody answered, are called again. A ringing call is looked at every two seconds,
    so somebody who joined for less than that may be missed. Not for workers."""

    redial_pause: float = 300.0
    """Seconds between two calls to one person; 300 if not given."""

    redial_unknown: bool = False
    """Call again those who may or may not have been called. Their phones may ring a second time."""

    def check(self, *, submitted: bool) -> None:
        """Refuse what workers cannot do.

        Raises:
            ConfigurationError: They would have to call again.
        """
        if submitted and self.journal:
            raise ConfigurationError("workers keep limits in their database: leave out --journal")
        if submitted and self.attempts > 1:
            raise ConfigurationError(
                "workers do not follow calls, so leave out --attempts; where callbacks say who "
                "was not reached, SharedCampaign.call_again lets workers call them again"
            )

    def settings(self, default_region: str | None) -> dict[str, Any]:
        """Return the keywords that a `Dialer` and `ClusterDialer.submit` both have.

        Args:
            default_region: The country of numbers without ``+``.

        Raises:
            ConfigurationError: One of them cannot be read, or says nothing that can be done.
        """
        from conference_async.dialer.plan.number_list import numbers_in
        from conference_async.dialer.rules.wishes import Quorum

        quorum = self.humans if self.quorum is None else self.quorum
        return {
            "do_not_call": numbers_in(self.do_not_call, default_region) if self.do_not_call else [],
            "rules": self.contact(),
            "deadline": self.deadline,
            "quorum": None
            if quorum is None
            else Quorum(joined=self.quorum, humans=self.humans, deadline=self.quorum_within),
            "redial_unknown": self.redial_unknown,
        }

    def contact(self) -> "ContactRules":
        """Return who may be called, when, and how often.

        Raises:
            ConfigurationError: One of the rules cannot be read.
        """
        from conference_async.dialer.rules.contact_rules import NO_RULES
        from conference_async.dialer.rules.presets import preset

        known = preset(self.preset).rules if self.preset else NO_RULES
        return attrs.evolve(
            known,
            hours=[_hours(each) for each in self.hours] or known.hours,
            holidays=_days_in(self.holidays) if self.holidays else (),
            limits=[*known.limits, *map(_limit, self.limit)],
            gap=None if self.gap is None else _length("--gap", self.gap),
            purpose=self.purpose,
            assumed_zone=self.assume_zone,
        )

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[dict[str, Any], None]:
        """Open the journal where there is one; return what tells a client of it."""
        if self.journal is None:
            yield {}
            return
        from conference_async.journal.place import journal_at

        async with journal_at(self.journal) as journal:
            yield {"journal": journal}

    def note(self) -> str | None:
        """Return what a person should know of the rules that have a name."""
        if self.preset is None:
            return None
        from conference_async.dialer.rules.presets import preset

        known = preset(self.preset)
        return (
            f"{known.about}, by {known.source}, since {known.since}, read {known.read}; not kept "
            f"to: {known.lacks}. This helps, and is no legal advice"
        )

    def redial(self, client: "ConferenceClient") -> "Redial | None":
        """Return how to call again, None if nobody is."""
        from conference_async.dialer.rules.wishes import Redial

        if self.attempts == 1:
            return None
        return Redial(
            watch=partial(_seen, client),
            attempts=self.attempts,
            pause=self.redial_pause,
            on=frozenset({_MISSED}),
        )


async def _seen(client: "ConferenceClient", participant: "Participant") -> str | None:
    """Return whether somebody joined, None if that is not known in time."""
    from conference_async.waiting.polling import Polling

    room = client.conferences(participant.conference_sid or "")
    try:
        await Polling(room).joined(participant.call_sid or "", timeout=_LONGEST_RINGING)
    except CallOver:
        return _MISSED
    except (NotAnswered, RequestTimeout):
        return None
    return "joined"


def _hours(text: str) -> "CallingHours":
    from conference_async.dialer.rules.hours import CallingHours

    days, _, times = text.strip().rpartition(" ")
    try:
        start, end = map(_time, times.split("-"))
    except ValueError:
        raise ConfigurationError(
            f"--hours must be like 09:00-20:30, not {text!r}; days may stand before them: mon-fri"
        ) from None
    return CallingHours(start, end, days) if days else CallingHours(start, end)


def _limit(text: str) -> "ContactLimit":
    from conference_async.journal.contacts import ContactLimit

    limit, _, purpose = text.partition(":")
    calls, _, within = limit.partition("/")
    if not (calls.isascii() and calls.isdigit() and len(calls) < _DIGITS):
        raise ConfigurationError(f"--limit must be like 7/7d or 3/24h:sales, not {text!r}")
    return ContactLimit(int(calls), _length("--limit", within), purpose or None)


def _length(option: str, text: str) -> timedelta:
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdigit() and len(number) < _DIGITS):
        raise ConfigurationError(f"{option} needs a time such as 30m, 4h or 7d, not {text!r}")
    return timedelta(**{unit: int(number)})


def _days_in(path: Path) -> list[date]:
    from conference_async.dialer.plan.documents import lines_of, opened

    days: list[date] = []
    with opened(path) as (file, _):
        for place, line in enumerate(lines_of(file), start=1):
            if written := line.partition("#")[0].strip():
                try:
                    days.append(date.fromisoformat(written))
                except ValueError:
                    raise ConfigurationError(
                        f"{path.name}, line {place}: must be a day, such as 2026-12-25"
                    ) from None
    return days


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(hour, minute)
