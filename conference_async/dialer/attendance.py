"""Who of a campaign is in the room, asked of the service."""

import logging
from contextlib import aclosing

import attrs

from conference_async.client import ConferenceClient
from conference_async.dialer.ledger import LedgerStore, Outcome, State
from conference_async.dialer.policy import Quorum
from conference_async.errors import ConferenceError, ParticipantNotFound
from conference_async.models import Participant, ParticipantStatus

_RINGING = frozenset(
    {ParticipantStatus.QUEUED, ParticipantStatus.CONNECTING, ParticipantStatus.RINGING}
)
_log = logging.getLogger("conference_async.dialer")


@attrs.frozen
class Census:
    """The campaign's participants at one moment."""

    joined: int
    """How many are connected."""

    ringing: tuple[Outcome, ...] = ()
    """Those who have not picked up."""


class Attendance:
    """Counts those whom a campaign called, for its quorum."""

    def __init__(self, quorum: Quorum, client: ConferenceClient, ledger: LedgerStore) -> None:
        self.quorum = quorum
        self._client = client
        self._ledger = ledger
        self._called: dict[str, dict[str, Outcome]] = {}

    async def recall(self) -> None:
        """Take note of those whom an earlier run called."""
        async with aclosing(self._ledger.outcomes(State.PLACED)) as outcomes:
            async for outcome in outcomes:
                self.note(outcome)

    def note(self, outcome: Outcome) -> None:
        """Take note of a target that was placed."""
        self._called.setdefault(outcome.conference_sid or "", {})[outcome.call_sid or ""] = outcome

    async def census(self) -> Census:
        """Ask who is there; a conference that cannot be asked counts as empty, and is logged."""
        present: list[tuple[Outcome, Participant]] = []
        for sid, called in list(self._called.items()):  # more may come while we ask
            try:
                there = await self._client.conferences(sid).participants.list(page_size=250)
            except ConferenceError as error:
                _log.debug("the participants of %s could not be listed: %s", sid, error)
                continue
            present += [(called[one.call_sid], one) for one in there if one.call_sid in called]
        joined = sum(one.status == ParticipantStatus.CONNECTED for _, one in present)
        if self.quorum.count is not None:
            joined = await self.quorum.count()
        return Census(joined, tuple(known for known, one in present if one.status in _RINGING))

    async def reached(self, *, over: bool = False) -> bool:
        """Return whether enough have joined, or nobody can join any more.

        Args:
            over: Whether nobody else will be called.
        """
        census = await self.census()
        return census.joined >= self.quorum.joined or (over and not census.ringing)

    async def take_down(self, outcome: Outcome) -> None:
        """Hang up on somebody whose phone still rings, and write that down."""
        room = self._client.conferences(outcome.conference_sid or "")
        try:
            await room.participants(outcome.call_sid or "").delete()
        except ParticipantNotFound:
            return  # over already, or answered and gone
        except ConferenceError as error:
            _log.warning("call %s could not be taken down: %s", outcome.call_sid, error)
            return
        await self._ledger.swap(outcome, outcome.noted("taken down while it rang"))
