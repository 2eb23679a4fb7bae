"""Whom a campaign calls when and how often: the same for a run here and for workers."""

from datetime import time
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from cyclopts import Group, Parameter

from conference_async.client import ConferenceClient
from conference_async.dialer import CallingHours, Quorum, Redial
from conference_async.errors import CallOver, ConfigurationError, RequestTimeout
from conference_async.models import Participant

_MISSED = "not reached"
_LONGEST_RINGING = 900.0
"""Seconds for which a call is watched: as long as it may ring, and wait before that."""


@Parameter(name="*", negative="", show_default=False, group=Group("Rules", sort_key=3))
@attrs.frozen(kw_only=True)
class Rules:
    """Whom to call when, and how often."""

    do_not_call: Path | None = None
    """A file of addresses that are not called, one per line."""

    hours: str | None = None
    """Call people only between these times of their own day, such as 09:00-20:30. Their time zone
    is that of a column `time_zone`, such as Europe/Paris, else those that the number may be in.
    Others wait if their time comes before --deadline, and are skipped if not; workers (--submit)
    need no deadline to let them wait."""

    deadline: float | None = None
    """Seconds after which no more calls are started, such as 3600; who is left stays planned."""

    quorum: int | None = None
    """Stop when so many have joined, such as 3, and hang up on those whose phone still rings."""

    quorum_within: float = 300.0
    """Seconds after which --quorum is given up, and phones that ring are hung up; 300 if not
    given."""

    attempts: int = 1
    """Calls to one person at most, such as 3: who was not seen to join, be it that the line was
    busy or that nobody answered, is called again. Each ringing call is asked after every two
    seconds; who joined for less than that may not have been seen. Not for workers."""

    redial_pause: float = 300.0
    """Seconds between two calls to one person; 300 if not given."""

    redial_unknown: bool = False
    """Call again those who may or may not have been called. Their phones may ring a second time."""

    def check(self, *, submitted: bool) -> None:
        """Refuse what workers cannot do.

        Raises:
            ConfigurationError: They are told to call again.
        """
        if submitted and self.attempts > 1:
            raise ConfigurationError(
                "workers do not follow calls, so leave out --attempts; where callbacks tell who "
                "was not reached, SharedCampaign.call_again lets workers call them again"
            )

    def settings(self) -> dict[str, Any]:
        """Return the keywords that a `Dialer` and `ClusterDialer.submit` both have.

        Raises:
            ConfigurationError: One of them says nothing that can be done.
        """
        quorum = self.quorum
        return {
            "do_not_call": _lines(self.do_not_call),
            "hours": None if self.hours is None else _hours(self.hours),
            "deadline": self.deadline,
            "quorum": None
            if quorum is None
            else Quorum(joined=quorum, deadline=self.quorum_within),
            "redial_unknown": self.redial_unknown,
        }

    def redial(self, client: ConferenceClient) -> Redial | None:
        """Return how to call again, None if nobody is."""
        if self.attempts == 1:
            return None
        return Redial(
            watch=partial(_seen, client),
            attempts=self.attempts,
            pause=self.redial_pause,
            on=frozenset({_MISSED}),
        )


async def _seen(client: ConferenceClient, participant: Participant) -> str | None:
    """Return whether somebody joined, None if that is not known in time."""
    from conference_async.waiting import Polling

    room = client.conferences(participant.conference_sid or "")
    try:
        await Polling(room).joined(participant.call_sid or "", timeout=_LONGEST_RINGING)
    except CallOver:
        return _MISSED
    except RequestTimeout:
        return None
    return "joined"


def _lines(file: Path | None) -> list[str]:
    if file is None:
        return []
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    return [line for line in lines if line.strip()]


def _hours(text: str) -> CallingHours:
    try:
        start, end = map(_time, text.split("-"))
    except ValueError:
        raise ConfigurationError(f"--hours must be like 09:00-20:30, not {text!r}") from None
    return CallingHours(start, end)


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(hour, minute)
