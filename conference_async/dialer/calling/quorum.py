"""How many of a campaign are in the room, as the service has it."""

import logging
from collections.abc import Callable
from contextlib import aclosing

import attrs

from conference_async.client import ConferenceClient
from conference_async.dialer.calling.asking import answer_of
from conference_async.dialer.ledger.outcome import LedgerStore, Outcome
from conference_async.dialer.rules.wishes import Quorum
from conference_async.errors import ConferenceError, ParticipantNotFound
from conference_async.models import Participant, ParticipantStatus
from conference_async.sending.entries import State
from conference_async.webhooks.states import AnsweredBy

_RINGING = frozenset(
    {ParticipantStatus.QUEUED, ParticipantStatus.CONNECTING, ParticipantStatus.RINGING}
)
_log = logging.getLogger("conference_async.dialer")


@attrs.frozen
class Census:
    """The campaign's participants at one moment."""

    joined: int
    """How many are there who count."""

    ringing: tuple[Outcome, ...] = ()
    """Those who have not picked up."""


class Headcount:
    """Counts those whom a campaign called, for its quorum.

    Args:
        quorum: What is counted, and how many are enough.
        client: What asks who is there.
        ledger: Whom the campaign called.
        people: Whether a person picked up, by the calls of which that is known already.
    """

    def __init__(
        self,
        quorum: Quorum,
        client: ConferenceClient,
        ledger: LedgerStore,
        people: dict[str, bool] | None = None,
    ) -> None:
        self.quorum = quorum
        self._client = client
        self._ledger = ledger
        self._called: dict[str, dict[str, Outcome]] = {}
        self._people: dict[str, bool] = {} if people is None else people

    async def recall(self, detecting: Callable[[Outcome], bool] = lambda _: True) -> None:
        """Take note of those whom an earlier run, or another worker, called.

        Args:
            detecting: Returns whether machine detection says who picks up.
        """
        async with aclosing(self._ledger.outcomes(State.PLACED)) as outcomes:
            async for outcome in outcomes:
                self.note(outcome, detecting=detecting(outcome))

    def note(self, outcome: Outcome, *, detecting: bool = True) -> None:
        """Take note of a target that was placed.

        Args:
            outcome: The target.
            detecting: Whether machine detection says who picks up.
        """
        call_sid = outcome.call_sid or ""
        self._called.setdefault(outcome.conference_sid or "", {})[call_sid] = outcome
        if not detecting:
            self._people[call_sid] = True

    async def census(self) -> Census:
        """Ask who is present; a conference that cannot be asked counts as empty, and is logged."""
        present: list[tuple[Outcome, Participant]] = []
        for sid, called in list(self._called.items()):  # more may come while we ask
            try:
                there = await self._client.conferences(sid).participants.list(page_size=250)
            except ConferenceError as error:
                _log.debug("the participants of %s could not be listed: %s", sid, error)
                continue
            present += [(called[one.call_sid], one) for one in there if one.call_sid in called]
        connected = [one for _, one in present if one.status == ParticipantStatus.CONNECTED]
        if self.quorum.humans is not None:
            connected = [one for one in connected if await self._is_person(one)]
        joined = len(connected)
        if self.quorum.count is not None:
            counted = await answer_of("the quorum's count", self.quorum.count)
            joined = counted if type(counted) is int else joined
        return Census(joined, tuple(known for known, one in present if one.status in _RINGING))

    async def _is_person(self, participant: Participant) -> bool:
        call_sid = participant.call_sid or ""
        if call_sid not in self._people:
            try:
                call = await self._client.participant(participant).call()
            except ConferenceError as error:
                _log.debug("call %s could not be asked about: %s", call_sid, error)
                return False
            if call.answered_by is None:  # it has not been heard yet
                return False
            self._people[call_sid] = call.answered_by == AnsweredBy.HUMAN
        return self._people[call_sid]

    async def reached(self, *, over: bool = False) -> bool:
        """Return whether enough have joined, or nobody can join any more.

        Args:
            over: Whether nobody else will be called.
        """
        census = await self.census()
        return census.joined >= self.quorum.wanted or (over and not census.ringing)

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
