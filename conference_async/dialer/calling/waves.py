"""People rung in waves, until enough of them are in the room."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, cast

import attrs

from conference_async.bounds import check_count, check_seconds
from conference_async.conferences import ConferenceHandle
from conference_async.dialer.plan.targets import address_key
from conference_async.errors import ConferenceError, ConfigurationError, NotAnswered
from conference_async.models import NewParticipant
from conference_async.privacy import described
from conference_async.time_limits import time_limit_at
from conference_async.visit import Visitor
from conference_async.waiting.call_view import CallView
from conference_async.waiting.goals import Waits
from conference_async.waiting.placing import with_callbacks
from conference_async.waiting.polling import Polling
from conference_async.webhooks.states import AnsweredBy

_PEOPLE: Final = frozenset({AnsweredBy.HUMAN, None})
"""None where machine detection was not asked for."""


@attrs.frozen(kw_only=True)
class NotReached:
    """Somebody who was rung, and did not come."""

    to: str = attrs.field(repr=False)
    """The address that was called."""

    label: str | None = None
    """The label that was given to the create, if one was."""

    error: ConferenceError
    """Why: `CallOver` if the line was busy, nobody answered or somebody hung up; else what the
    create met."""


@attrs.frozen(kw_only=True, repr=False)
class Bridge:
    """What became of those whom `bridge` rang. Its `repr` shows no phone number."""

    enough: bool
    """Whether as many people as were wanted were in the conference at the same time."""

    people: tuple[CallView, ...] = ()
    """Those in the conference who count as people, in the order in which they came. Where
    ``answered_by`` is None, machine detection was not asked for, and nobody can say whether a
    voicemail picked up."""

    machines: tuple[CallView, ...] = ()
    """The calls that a machine or a fax picked up; they were hung up on."""

    undecided: tuple[CallView, ...] = ()
    """The calls for which machine detection could not tell; they do not count, and stay."""

    not_reached: tuple[NotReached, ...] = ()
    """Those who did not come, and why. Whoever was still ringing at the end is not among them."""

    waves: int = 0
    """How many waves were rung."""

    def __repr__(self) -> str:
        return described(self)


async def bridge(
    room: ConferenceHandle,
    waves: Iterable[Iterable[NewParticipant]],
    *,
    humans: int,
    wave_every: float = 20.0,
    deadline: float = 300.0,
    calls: Waits | None = None,
) -> Bridge:
    """Ring people wave after wave, until enough of them are in the conference.

    All of a wave are rung at once, at the client's pace. The next wave follows when
    `wave_every` seconds did not bring enough people, or earlier if all of the waves before are
    decided; phones of earlier waves go on ringing. As soon as there are enough, and at the
    deadline, those whose phone still rings are hung up on, and creates that wait for their turn
    are not sent. Nobody is rung twice, whatever number of waves they are in.

    Somebody counts while they are in the conference. With ``machine_detection`` in the request
    they count once it has heard a person; without, whoever picks up counts, a voicemail too.
    Cancelled, it hangs up on those whose phone still rings; those who have joined stay.

    Example::

        lead = NewParticipant(from_=ours, to=hers, label="lead", machine_detection="Enable")
        found = await bridge(room, waves=[[lead], [second, third]], humans=1)

    Args:
        room: The conference.
        waves: Whom to ring, one list for each wave.
        humans: How many people to bring together, 1 or more.
        wave_every: Seconds between two waves, more than 0.
        deadline: Seconds after which it ends without them, more than 0.
        calls: How to see what happens: `Calls` by callbacks; else `Polling`, every second.

    Raises:
        ConfigurationError: A number is out of its bounds, or fewer people are given than wanted.
        Exception: What a function of yours raised, such as `before_send`; nobody is left ringing.
    """
    check_count("humans", humans)
    check_seconds("wave_every", wave_every, zero=False)
    check_seconds("deadline", deadline, zero=False)
    planned = _each_once(waves)
    if sum(map(len, planned)) < humans:
        raise ConfigurationError(
            f"humans={humans} can never be reached: the waves have "
            f"{sum(map(len, planned))} different addresses"
        )
    ringing = _Ringing(room, humans, calls or Polling(room, every=1.0), deadline)
    return await ringing.run(planned, wave_every)


def _items(given: object) -> Iterable[object]:
    if not isinstance(given, Iterable):
        raise _not_waves(given)
    return cast("Iterable[object]", given)


def _not_waves(given: object) -> ConfigurationError:
    return ConfigurationError(f"waves hold lists of NewParticipant, not {type(given).__name__}")


def _each_once(waves: Iterable[Iterable[NewParticipant]]) -> list[list[NewParticipant]]:
    seen: set[str] = set()
    planned: list[list[NewParticipant]] = []
    for wave in _items(waves):
        people: list[NewParticipant] = []
        for new in _items(wave):
            if not isinstance(new, NewParticipant):
                raise _not_waves(new)
            key = address_key(new.to)
            if key not in seen:
                seen.add(key)
                people.append(new)
        planned.append(people)
    return planned


class _Ringing:
    """The phones that ring, and those who have come."""

    def __init__(self, room: ConferenceHandle, humans: int, calls: Waits, deadline: float) -> None:
        self._room = room
        self._humans = humans
        self._calls = calls
        self._now = asyncio.get_running_loop().time
        self._ends_at = self._now() + deadline
        self._people: list[CallView] = []
        self._machines: list[CallView] = []
        self._undecided: list[CallView] = []
        self._not_reached: list[NotReached] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._open = 0  # phones of which it is not known yet whether a person comes
        self._changed = asyncio.Event()
        self._error: Exception | None = None

    async def run(self, waves: Sequence[Sequence[NewParticipant]], wave_every: float) -> Bridge:
        """Ring everybody who is needed; hang up on those who are not, however this ends."""
        rung = 0
        try:
            for rung, wave in enumerate(waves, start=1):
                self._open += len(wave)
                self._tasks += [asyncio.create_task(self._ring(new)) for new in wave]
                more = rung < len(waves)
                await self._until(self._now() + wave_every if more else self._ends_at)
                if self._enough or self._error or not self._left:
                    break
            enough = self._enough
        finally:
            for task in self._tasks:
                task.cancel()
            # Each of them hangs up before it ends, also if this is cancelled meanwhile.
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._error is not None:
            raise self._error
        return Bridge(
            enough=enough,
            people=tuple(self._people),
            machines=tuple(self._machines),
            undecided=tuple(self._undecided),
            not_reached=tuple(self._not_reached),
            waves=rung,
        )

    @property
    def _enough(self) -> bool:
        return len(self._people) >= self._humans

    @property
    def _left(self) -> float:
        """The seconds until the deadline."""
        return max(0.0, self._ends_at - self._now())

    async def _until(self, instant: float) -> None:
        """Wait until enough have come, nobody is left who could come, or that instant."""
        with suppress(TimeoutError):
            async with time_limit_at(min(instant, self._ends_at)):
                while self._open and not (self._enough or self._error):
                    self._changed.clear()
                    await self._changed.wait()

    async def _ring(self, new: NewParticipant) -> None:
        undecided = True

        def decided() -> None:
            nonlocal undecided
            self._open -= undecided
            undecided = False
            self._changed.set()

        try:
            async with self._room.participant(
                with_callbacks(self._room, new, self._calls)
            ) as guest:
                view = await self._who_came(guest.key, new)
                if view.answered_by in _PEOPLE:
                    await self._while_in(guest, view, decided)
                elif view.answered_by == AnsweredBy.UNKNOWN:
                    self._undecided.append(view)
                    guest.stay()
                else:
                    self._machines.append(view)
                    decided()
        except NotAnswered:
            pass  # it rings until the deadline, and that is now
        except ConfigurationError as error:
            self._error = error
        except ConferenceError as error:
            self._not_reached.append(NotReached(to=new.to, label=new.label, error=error))
        except Exception as error:  # noqa: BLE001 -- the application's: raised once all is hung up
            self._error = error
        finally:
            decided()

    async def _who_came(self, call_sid: str, new: NewParticipant) -> CallView:
        view = await self._calls.joined(call_sid, timeout=self._left)
        if new.machine_detection is None:
            return view
        return await self._calls.detected(call_sid, timeout=self._left)

    async def _while_in(self, guest: Visitor, view: CallView, decided: Callable[[], None]) -> None:
        """Count somebody for as long as they are in the conference."""
        guest.stay()
        self._people.append(view)
        decided()
        await self._calls.left(guest.key, timeout=self._left)
        self._people.remove(view)
