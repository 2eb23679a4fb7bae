"""The roster is the truth, however the events come."""

import asyncio
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.errors import ConfigurationError, NotFound
from conference_async.webhooks import events
from conference_async.webhooks.call_events import CallRinging
from conference_async.webhooks.rooms import Attendee, Change, ChangeKind, RoomView
from conference_async.webhooks.roster import Roster
from conference_async.webhooks.states import CallStatus, EndReason, LeaveReason

START = datetime(2026, 10, 2, 12, 0, tzinfo=UTC)


@attrs.define
class Person:
    """Somebody who is in a room, in truth; of the shape of a listed participant."""

    call_sid: str
    label: str
    muted: bool = False
    hold: bool = False
    coaching: bool = False
    end_conference_on_exit: bool = False
    start_conference_on_enter: bool = True
    status: str = "connected"
    speaking: bool | None = None


@attrs.define
class Room:
    """A room in truth."""

    conference_sid: str
    chance: random.Random
    here: dict[str, Person] = attrs.field(factory=dict)
    told: list[events.ConferenceEvent] = attrs.field(factory=list)
    ended: bool = False
    _born: int = 0

    def live(self) -> None:
        """Let one thing happen."""
        someone = self.chance.choice(list(self.here.values())) if self.here else None
        if someone is None or (self.chance.random() < 0.2 and len(self.here) < 50):
            self.join()
        else:
            self.chance.choice([self.leave, *[self.change] * 7])(someone)

    def join(self) -> None:
        """Somebody comes in."""
        self._born += 1
        person = Person(f"CA{self.conference_sid[2:18]}{self._born:016}", f"guest {self._born}")
        self.here[person.call_sid] = person
        self.tell(events.ParticipantJoined, person)

    def leave(self, person: Person) -> None:
        """Somebody goes."""
        del self.here[person.call_sid]
        self.tell(events.ParticipantLeft, person, reason=LeaveReason.PARTICIPANT_HUNG_UP)

    def change(self, person: Person) -> None:
        """Something about somebody changes."""
        field = self.chance.choice(["muted", "hold", "speaking", "coaching"])
        value = not getattr(person, field)
        setattr(person, field, value)
        kinds: dict[str, tuple[type[events.ParticipantEvent], type[events.ParticipantEvent]]] = {
            "muted": (events.ParticipantUnmuted, events.ParticipantMuted),
            "hold": (events.ParticipantUnheld, events.ParticipantHeld),
            "speaking": (events.SpeechStopped, events.SpeechStarted),
            "coaching": (events.ParticipantModified, events.ParticipantModified),
        }
        self.tell(kinds[field][value], person)

    def end(self) -> None:
        """Let the conference end, and everybody out."""
        self.ended = True
        self.here.clear()
        self.tell(events.ConferenceEnded)

    def tell(
        self, kind: type[events.ConferenceEvent], person: Person | None = None, **own: Any
    ) -> None:
        """Note the event of what just happened."""
        if person:
            state = attrs.asdict(person)
            own |= {field: state[field] for field in state if field not in {"status", "speaking"}}
        number = len(self.told) + 1
        self.told.append(
            kind(
                conference_sid=self.conference_sid,
                sequence_number=number,
                timestamp=START + timedelta(seconds=number),
                **own,
            )
        )

    def listing(self) -> list[Person]:
        """Return the participants as a list would have them now."""
        return [attrs.evolve(person) for person in self.here.values()]

    def truth(self) -> dict[str, Any]:
        """Return who is in and how, with what a list tells."""
        return {sid: shape(person) for sid, person in self.here.items()}


def shape(person: Any, *, with_speech: bool = False) -> tuple[Any, ...]:
    """Return what can be compared between the truth and a roster."""
    shown = (person.label, person.muted, person.hold, person.coaching)
    return (*shown, bool(person.speaking)) if with_speech else shown


def seen(view: RoomView | None) -> dict[str, Any]:
    """Return who is in by a roster, in the shape of the truth."""
    return {one.call_sid: shape(one) for one in view.participants} if view else {}


def lived(chance: random.Random, count: int, steps: int) -> list[Room]:
    """Return rooms in which some things have happened."""
    rooms = [Room(f"CF{number:032}", chance) for number in range(count)]
    for _ in range(steps):
        chance.choice(rooms).live()
    return rooms


def garbled(
    chance: random.Random, told: Iterable[events.Event], *, lost: float
) -> list[events.Event]:
    """Return events as a bad network delivers them: some lost, some twice, in any order."""
    arriving = [event for event in told if chance.random() >= lost]
    arriving += chance.sample(arriving, len(arriving) // 4)
    chance.shuffle(arriving)
    return arriving


@pytest.mark.parametrize("seed", range(3))
async def test_thousands_of_events(seed: int) -> None:
    """After 2,000 events, shuffled, doubled and a tenth lost, a list per room makes it true."""
    chance = random.Random(seed)
    rooms = lived(chance, 20, 2_000)
    for room in rooms[:3]:
        room.end()
    roster = Roster()
    told = [event for room in rooms for event in room.told]
    late = garbled(chance, told, lost=0.1)
    for event in late:
        roster.apply(event)
    for room in rooms:
        await roster.seed(room.conference_sid, room.listing())

    assert len(told) >= 2_000
    for room in rooms:
        assert seen(roster.room(room.conference_sid)) == room.truth()

    for event in late:
        roster.apply(event)
    for room in rooms:
        assert seen(roster.room(room.conference_sid)) == room.truth()


@given(
    chance=st.randoms(use_true_random=False),
    steps=st.integers(1, 60),
    end=st.booleans(),
)
def test_any_order_is_the_same(chance: random.Random, steps: int, end: bool) -> None:
    """If nothing is lost, any order and any doubles give the truth, its history and its times."""
    (room,) = lived(chance, 1, steps)
    speaking = {sid: shape(one, with_speech=True) for sid, one in room.here.items()}
    if end:
        room.end()
        speaking = {}
    roster = Roster()
    for event in garbled(chance, room.told, lost=0):
        roster.apply(event)

    view = roster.room(room.conference_sid)
    assert view is not None
    assert view.ended == end
    assert {one.call_sid: shape(one, with_speech=True) for one in view.participants} == speaking
    came = [e for e in room.told if isinstance(e, events.ParticipantJoined)]
    went = {e.call_sid: e.timestamp for e in room.told if isinstance(e, events.ParticipantLeft)}
    at_the_end = room.told[-1].timestamp if end else None
    assert {one.call_sid: (one.joined_at, one.left_at) for one in view.history} == {
        e.call_sid: (e.timestamp, went.get(e.call_sid, at_the_end)) for e in came
    }


@given(
    chance=st.randoms(use_true_random=False),
    steps=st.lists(st.sampled_from(["live", "deliver", "list"]), max_size=120),
    lost=st.sampled_from([0, 0.1, 0.5]),
)
async def test_lists_between_events(chance: random.Random, steps: list[str], lost: float) -> None:
    """Lists taken at any moment harm nothing: the last one, or the last event, makes it true."""
    (room,) = lived(chance, 1, 1)
    roster = Roster()
    sent = 0
    under_way: list[events.Event] = []
    for step in steps:
        if step == "live":
            room.live()
        elif step == "list":

            async def listing() -> list[Person]:
                # The world goes on while the list is under way, before it is made and after.
                deliver()
                room.live()
                made = room.listing()
                room.live()
                deliver()
                return made

            def deliver() -> None:
                nonlocal sent
                under_way.extend(e for e in room.told[sent:] if chance.random() >= lost)
                sent = len(room.told)
                for _ in range(chance.randint(0, len(under_way))):
                    roster.apply(under_way.pop(chance.randrange(len(under_way))))

            await roster.seed(room.conference_sid, listing())
        else:
            sent_now, sent = room.told[sent:], len(room.told)
            for event in garbled(chance, sent_now, lost=lost):
                roster.apply(event)
    for event in [*under_way, *room.told[sent:]]:
        roster.apply(event)
    if lost:
        await roster.seed(room.conference_sid, room.listing())

    assert seen(roster.room(room.conference_sid)) == room.truth()


SID = "CF" + "2" * 32


def told(
    number: int | None,
    kind: type[events.ConferenceEvent] = events.ParticipantJoined,
    who: int = 1,
    **own: Any,
) -> events.ConferenceEvent:
    """Return an event of the room, at as many seconds as its number."""
    if issubclass(kind, events.ParticipantEvent):
        own["call_sid"] = f"CA{who}"
    at = START + timedelta(seconds=number or 0)
    return kind(conference_sid=SID, sequence_number=number, timestamp=at, **own)


def filled(*happened: events.Event, **options: Any) -> Roster:
    """Return a roster to which these events came."""
    roster = Roster(**options)
    for event in happened:
        roster.apply(event)
    return roster


def view(roster: Roster) -> RoomView:
    """Return the room, which must be known."""
    found = roster.room(SID)
    assert found is not None
    return found


def here(roster: Roster) -> list[str]:
    """Return the Call SIDs of those who are in."""
    return [one.call_sid for one in view(roster).participants]


def test_a_room() -> None:
    """A room has its name, its times and everybody's way through it."""
    roster = filled(
        told(1, friendly_name="standup", label="alice", muted=False),
        told(2, who=2, label="bob"),
        told(3, events.ConferenceStarted),
        told(4, events.ParticipantMuted, muted=False),
        told(
            5,
            events.ParticipantLeft,
            who=2,
            reason=LeaveReason.PARTICIPANT_HUNG_UP,
            call_status=CallStatus.COMPLETED,
        ),
        told(6, events.AnnouncementEnded),
        CallRinging(call_sid="CA3", status=CallStatus.RINGING),
        told(7, events.ConferenceStarted),
    )

    room = view(roster)
    alice, bob = room.history
    assert room.friendly_name == "standup"
    assert room.started_at == START + timedelta(seconds=3)
    assert (room.ended, room.ended_at, room.end_reason) == (False, None, None)
    assert room.participants == (alice,)
    assert (alice.label, alice.muted, alice.present) == ("alice", True, True)
    assert (alice.joined_at, alice.left_at) == (START + timedelta(seconds=1), None)
    assert (bob.present, bob.left_at) == (False, START + timedelta(seconds=5))
    assert (bob.reason, bob.call_status) == ("participant_hung_up", "completed")
    assert roster.rooms() == (room,)
    assert roster.room("CF0") is None
    assert repr(roster) == "<Roster of 1 rooms>"


def test_the_end_of_a_room() -> None:
    """With the conference everybody is out, also one whose joining is told later."""
    roster = filled(
        told(1),
        told(9, events.ConferenceEnded, reason=EndReason.CONFERENCE_ENDED_VIA_API),
        told(2, who=2),
        told(10, events.ConferenceEnded, reason=EndReason.LAST_PARTICIPANT_LEFT),
    )

    room = view(roster)
    at = START + timedelta(seconds=9)
    assert (room.ended, room.ended_at) == (True, at)
    assert room.end_reason is EndReason.CONFERENCE_ENDED_VIA_API
    assert room.participants == ()
    assert [one.left_at for one in room.history] == [at, at]


def test_leaving_is_final() -> None:
    """One who left is not brought back by an event that comes later, whatever its number."""
    roster = filled(told(3, events.ParticipantLeft), told(1), told(4, events.ParticipantMuted))

    assert here(roster) == []


def test_never_came() -> None:
    """One who was added and did not answer is in the history, with the reason, and never came."""
    roster = filled(
        told(
            1,
            events.ParticipantLeft,
            reason=LeaveReason.PARTICIPANT_ADD_FAILED,
            call_status=CallStatus.NO_ANSWER,
        )
    )

    (one,) = view(roster).history
    assert (one.present, one.joined_at, one.reason) == (False, None, "participant_add_failed")


def test_without_numbers() -> None:
    """Events without a number count in the order in which they come."""
    roster = filled(
        told(None), told(None, events.ParticipantMuted), told(None, events.ParticipantUnmuted)
    )

    assert [one.muted for one in view(roster).participants] == [False]


class TestLists:
    """A list repairs what events did not tell."""

    async def test_absent_is_gone(self) -> None:
        """A participant missing in the list is gone, also if older news of them comes later."""
        roster = filled(told(1), told(2, who=2), told(5, who=3))
        await roster.seed(SID, [Person("CA2", "bob", muted=True)])
        for late in (told(4, events.ParticipantMuted), told(3, who=4)):
            roster.apply(late)

        assert here(roster) == ["CA2"]
        assert [one.left_at for one in view(roster).history] == [None] * 4
        roster.apply(told(6, who=4))
        assert here(roster) == ["CA2", "CA4"]

    async def test_late_news_before(self) -> None:
        """The list is newer than all that had come, also if the last to come was old news."""
        roster = filled(told(5), told(1, who=2))
        await roster.seed(SID, [])

        assert here(roster) == []

    async def test_late_news_under_way(self) -> None:
        """One with new news stays in, also if old news of the same one comes after it."""
        roster = filled(told(3, who=2))

        async def listing() -> list[Person]:
            roster.apply(told(5, events.ParticipantMuted))
            roster.apply(told(1))
            return []

        await roster.seed(SID, listing())

        assert here(roster) == ["CA1"]

    async def test_listed_is_in(self) -> None:
        """A participant in the list is in, as listed, until newer news comes."""
        roster = filled(told(5, events.ParticipantMuted, who=1, label="alice"))
        await roster.seed(SID, [Person("CA1", "alice"), Person("CA2", "bob", hold=True)])
        roster.apply(told(5, events.ParticipantMuted, label="alice"))
        roster.apply(told(4, events.ParticipantHeld))

        alice, bob = view(roster).participants
        assert (alice.muted, alice.hold, bob.hold) == (False, False, True)
        roster.apply(told(6, events.ParticipantUnheld, who=2))
        assert [one.hold for one in view(roster).participants] == [False, False]

    async def test_on_the_way(self) -> None:
        """One whose phone still rings is not in yet, one who is listed as over is not any more."""
        roster = filled(told(1), told(2, who=2), told(3, who=3))
        states = [
            Person("CA1", "alice", status="ringing"),
            Person("CA2", "bob", status="complete"),
            Person("CA4", "dora", status="queued"),
            Person("", "nobody"),
        ]
        await roster.seed(SID, states)

        # A list may be a moment behind the event that told that alice is in.
        assert here(roster) == ["CA1"]

    async def test_news_under_way(self) -> None:
        """Events that come while the list is under way count as newer than the list."""
        roster = filled(told(1), told(2, who=2))

        async def listing() -> list[Person]:
            roster.apply(told(3, who=3))
            roster.apply(told(4, events.ParticipantLeft, who=2))
            return [Person("CA1", "alice"), Person("CA2", "bob")]

        await roster.seed(SID, listing())

        assert here(roster) == ["CA1", "CA3"]

    async def test_lists_that_overtake_each_other(self) -> None:
        """Of two lists under way, the one that was asked for first does not undo the other."""
        roster = filled(told(1))
        answer: asyncio.Future[list[Person]] = asyncio.get_running_loop().create_future()
        first = asyncio.create_task(roster.seed(SID, answer))
        await asyncio.sleep(0)
        roster.apply(told(2, who=2))
        await roster.seed(SID, [Person("CA2", "bob")])
        answer.set_result([Person("CA1", "alice")])
        await first

        assert here(roster) == ["CA2"]

    async def test_of_a_room_that_ended(self) -> None:
        """A list that was made before the end does not revive the room."""
        roster = filled(told(1), told(2, events.ConferenceEnded))
        await roster.seed(SID, [Person("CA1", "alice")])

        assert here(roster) == []

    async def test_of_an_unknown_room(self) -> None:
        """A list alone makes a room known: after a start, nothing else is there."""
        roster = Roster()
        await roster.seed(SID, [Person("CA1", "alice")])

        assert here(roster) == ["CA1"]

    async def test_that_fails(self) -> None:
        """If the list cannot be had, the room stays as it was."""
        roster = filled(told(1))

        async def listing() -> list[Person]:
            raise NotFound("no such conference", status=404)

        with pytest.raises(NotFound):
            await roster.seed(SID, listing())

        assert here(roster) == ["CA1"]


class TestChanges:
    """Every difference is told, once, to every reader who keeps up."""

    async def test_told(self) -> None:
        """Joining, changing, leaving, the start and the end are told; repetitions are not."""
        roster = Roster()
        first, second = roster.changes(), roster.changes()
        for event in (
            told(1, muted=False),
            told(1, muted=False),
            told(2, events.ConferenceStarted),
            told(3, events.ParticipantMuted),
            told(4, who=2),
            told(5, events.ParticipantLeft, who=2),
            told(6, events.ParticipantLeft, who=3),
            told(7, events.ConferenceEnded),
            told(8, events.ParticipantMuted, who=2, muted=True),
        ):
            roster.apply(event)

        for reader in (first, second):
            changes = [await anext(reader) for _ in range(9)]
            assert {change.conference_sid for change in changes} == {SID}
            assert [(c.kind, c.attendee and c.attendee.call_sid) for c in changes] == [
                (ChangeKind.JOINED, "CA1"),
                (ChangeKind.STARTED, None),
                (ChangeKind.UPDATED, "CA1"),
                (ChangeKind.JOINED, "CA2"),
                (ChangeKind.LEFT, "CA2"),
                (ChangeKind.LEFT, "CA3"),
                (ChangeKind.LEFT, "CA1"),
                (ChangeKind.ENDED, None),
                (ChangeKind.UPDATED, "CA2"),
            ]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(reader), 0.01)

    async def test_slow_reader(self) -> None:
        """A reader who does not keep up is told that, and what comes after; the others get all."""
        roster = Roster()
        slow, quick = roster.changes(buffer=2), roster.changes()
        for number in range(1, 5):
            roster.apply(told(number, who=number))

        assert [(await anext(quick)).kind for _ in range(4)] == [ChangeKind.JOINED] * 4
        assert await anext(slow) == Change(kind=ChangeKind.MISSED)
        assert (await anext(slow)).attendee == view(roster).history[3]


class TestBounds:
    """However much happens, what is held has an end."""

    def test_ended_rooms_go_first(self) -> None:
        """Above the number of rooms, the first that ended is dropped, and no event revives it."""
        roster = filled(told(1), max_rooms=2)
        other = attrs.evolve(told(1), conference_sid="CF1")
        roster.apply(attrs.evolve(told(2, events.ConferenceEnded), conference_sid="CF1"))
        roster.apply(attrs.evolve(told(1), conference_sid="CF2"))
        roster.apply(other)

        assert [room.conference_sid for room in roster.rooms()] == [SID, "CF2"]

    async def test_a_list_of_a_dropped_room(self) -> None:
        """Neither does a list."""
        roster = filled(told(1, events.ConferenceEnded), max_rooms=1)
        roster.apply(attrs.evolve(told(1), conference_sid="CF1"))
        await roster.seed(SID, [Person("CA1", "alice")])

        assert roster.room(SID) is None

    async def test_then_silent_rooms(self, caplog: pytest.LogCaptureFixture) -> None:
        """If none has ended, the live room that was silent for longest goes, which is said."""
        roster = filled(told(1), max_rooms=2)
        roster.apply(attrs.evolve(told(1), conference_sid="CF1"))
        roster.apply(told(2, who=2))
        changes = roster.changes()
        roster.apply(attrs.evolve(told(1), conference_sid="CF2"))

        assert [room.conference_sid for room in roster.rooms()] == [SID, "CF2"]
        assert "holds 2 live rooms and dropped one: raise max_rooms" in caplog.text
        roster.apply(attrs.evolve(told(1), conference_sid="CF1"))
        assert [room.conference_sid for room in roster.rooms()] == ["CF2", "CF1"]
        # What comes back may lack people, which is said too.
        assert [(c.kind, c.conference_sid) for c in [await anext(changes) for _ in range(5)]] == [
            (ChangeKind.DROPPED, "CF1"),
            (ChangeKind.JOINED, "CF2"),
            (ChangeKind.DROPPED, SID),
            (ChangeKind.MISSED, "CF1"),
            (ChangeKind.JOINED, "CF1"),
        ]

    async def test_live_rooms_stay(self) -> None:
        """While any room has ended, no live one is dropped, however silent it is."""
        roster = filled(told(1), max_rooms=3)
        for number in range(1, 9):
            for event in (told(1), told(2, events.ConferenceEnded)):
                roster.apply(attrs.evolve(event, conference_sid=f"CF{number}"))

        assert [room.conference_sid for room in roster.rooms()] == [SID, "CF7", "CF8"]

    @pytest.mark.parametrize("name", ["max_rooms", "max_attendees"])
    def test_numbers_out_of_bounds(self, name: str) -> None:
        """A roster that could hold nobody is a mistake in the set-up."""
        options: Any = {name: 0}
        with pytest.raises(ConfigurationError, match=f"^{name} must be 1 or more, not 0$"):
            Roster(**options)

    def test_ended_rooms_are_not_remembered_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Even the names of dropped rooms are bounded."""
        monkeypatch.setattr("conference_async.webhooks.roster._MOST_DROPPED", 3)
        roster = Roster(max_rooms=1)
        for number in range(9):
            roster.apply(
                attrs.evolve(told(1, events.ConferenceEnded), conference_sid=f"CF{number}")
            )

        assert len(roster._dropped) == 3

    def test_former_participants(self) -> None:
        """Of a room that lives long, those who left first are forgotten, and stay so."""
        roster = filled(told(1), max_attendees=3)
        for who in range(2, 9):
            roster.apply(told(2 * who, who=who))
            roster.apply(told(2 * who + 1, events.ParticipantLeft, who=who))
        roster.apply(told(4, who=2))

        assert [one.call_sid for one in view(roster).history] == ["CA1", "CA7", "CA8"]
        assert here(roster) == ["CA1"]

    def test_forgotten_in_any_order(self) -> None:
        """The highest number that was forgotten counts, not the last one."""
        roster = filled(
            *[told(number, events.ParticipantLeft, who=number) for number in (9, 4, 10, 11)],
            max_attendees=2,
        )
        roster.apply(told(8, who=9))

        assert [one.call_sid for one in view(roster).history] == ["CA10", "CA11"]

    async def test_all_present(self, caplog: pytest.LogCaptureFixture) -> None:
        """If everybody is still in, the first is forgotten all the same, which is said."""
        roster = filled(*[told(who, who=who) for who in range(1, 4)], max_attendees=3)
        changes = roster.changes()
        roster.apply(told(4, who=4))

        assert here(roster) == ["CA2", "CA3", "CA4"]
        dropped, came = [await anext(changes) for _ in range(2)]
        assert (dropped.kind, came.kind) == (ChangeKind.DROPPED, ChangeKind.JOINED)
        assert dropped.attendee
        assert dropped.attendee.call_sid == "CA1"
        assert "more present participants than max_attendees" in caplog.text


def test_masked() -> None:
    """A label or a name that is a phone number, against all advice, is not shown."""
    roster = filled(told(1, label="+15558675310", friendly_name="call +15017122661"))

    assert "***5310" in repr(view(roster))
    assert "***2661" in repr(view(roster))
    assert "15558675310" not in repr(view(roster))
    assert "15017122661" not in repr(view(roster))


def test_record() -> None:
    """The history is given every new state of a participant."""
    noted: list[tuple[str, str, bool]] = []
    filled(
        told(1),
        told(1),
        told(2, events.ConferenceStarted),
        told(3, events.ParticipantLeft),
        record=lambda room, one: noted.append((room, one.call_sid, one.present)),
    )

    assert noted == [(SID, "CA1", True), (SID, "CA1", False)]


async def test_a_record_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A disk that is full hides nobody from the readers of changes, and is logged."""

    def record(_: str, one: Attendee) -> None:
        if one.call_sid == "CA1":
            raise OSError("no space left for +15558675310")

    roster = Roster(record=record)
    with roster.changes() as changes:
        for who in (1, 2):
            roster.apply(told(who, who=who))

        assert [(await anext(changes)).kind for _ in range(2)] == [ChangeKind.JOINED] * 2
    assert "OSError: no space left for ***5310" in caplog.text


def test_an_async_record() -> None:
    """It would never run, and is refused."""

    async def record(_: str, __: Attendee) -> None:
        """Do nothing, once it is awaited."""

    with pytest.raises(ConfigurationError, match=r"^record calls its function"):
        Roster(record=record)  # type: ignore[arg-type]  # what a checker says, too
