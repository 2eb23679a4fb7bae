"""The conference behind a handle: a SID, or a name for as long as the conference lives."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from conference_async.errors import ConferenceNotActive, ConferenceNotFound, NotFound
from conference_async.models import NewParticipant, check_conference, is_conference_sid
from conference_async.plain_values import plain
from conference_async.privacy import mask
from conference_async.sending.creation import Creation
from conference_async.sending.lookup import live_conference
from conference_async.sending.sender import Sender

if TYPE_CHECKING:
    from conference_async.sending.once import Once

ResultT = TypeVar("ResultT")


class Room:
    """A conference by SID or friendly name, shared by all handles that are made from one.

    A name leads to the one conference of that name which is live, and to another one later. So
    the SID behind a name is remembered only until something suggests that the conference is over;
    then the name is looked up again, for every handle at once.
    """

    def __init__(self, sender: Sender, sid_or_name: str) -> None:
        self.sender = sender
        self._is_sid = is_conference_sid(sid_or_name)
        self.name: str = plain(sid_or_name) if self._is_sid else check_conference(sid_or_name)
        self._remembered: str | None = None

    async def resolve(self) -> str:
        """Return the SID: the given one, or that of the conference of the name which is live now.

        Raises:
            ConferenceNotFound: No conference of that name is live.
        """
        if self._is_sid:
            return self.name
        before = self._remembered
        found = await live_conference(self.sender.request, self.sender.account_sid, self.name)
        if self._remembered == before:  # else a create was answered meanwhile, and knows better
            self._remembered = None if found is None else found.sid
        if self._remembered is None:
            raise ConferenceNotFound(
                f"no conference named {self.name!r} is live; create a participant with the "
                "name to open it, or use the SID of the one you mean",
                status=404,
            )
        return self._remembered

    def creation(self, new: NewParticipant, once: str | None) -> "Creation | Once":
        """Return a create into the conference, or that of an intent where there is a key."""
        if once is None:
            return Creation(self.sender, self.name, new)
        from conference_async.sending.once import Once

        return Once(self.sender, self.name, new, once)

    def opened(self, conference_sid: str | None) -> None:
        """Take over what the reply to a create says: the conference of the name that is live."""
        if conference_sid:
            self._remembered = conference_sid

    def ask(
        self,
        question: Callable[[str], Awaitable[ResultT]],
        *,
        doubtful: Callable[[ResultT], bool] = lambda _: False,
    ) -> Awaitable[ResultT]:
        """Return the answer to what is asked of a SID; if that was remembered, of a live one.

        A remembered conference may be over. Where the answer can mean that, the name is looked up
        again, and the question asked again if it leads elsewhere now.

        Args:
            question: Sends one request.
            doubtful: Whether a live conference might answer otherwise. A `NotFound` and a
                `ConferenceNotActive` are doubtful in any case.
        """
        return question(self.name) if self._is_sid else self._ask_by_name(question, doubtful)

    async def _ask_by_name(
        self,
        question: Callable[[str], Awaitable[ResultT]],
        doubtful: Callable[[ResultT], bool],
    ) -> ResultT:
        remembered = self._remembered
        if remembered is None:
            return await question(await self.resolve())
        try:
            answer = await question(remembered)
        except (NotFound, ConferenceNotActive):
            live = await self.resolve()
            if live == remembered:
                raise
        else:
            if not doubtful(answer):
                return answer
            live = await self.resolve()
            if live == remembered:
                return answer
        return await question(live)

    def __repr__(self) -> str:
        return mask(f"<Room {self.name!r}>")
