"""The state behind the API: accounts, their conferences, and the calls in them."""

from collections import deque
from datetime import UTC, datetime

import attrs

from conference_async.emulator.bounds import number
from conference_async.emulator.clock import Timer
from conference_async.emulator.forms import Form
from conference_async.emulator.replies import Reply
from conference_async.emulator.settings import ACCOUNT_SID, TOKEN
from conference_async.emulator.sids import serial_of

LARGEST_ROOM = 250
_NOTHING = Form({})


def _today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@attrs.frozen
class Recording:
    """One recording, of a call or of a conference."""

    sid: str
    """``RE…``."""
    started: datetime
    """Aware, UTC, whole seconds."""


@attrs.define(kw_only=True, eq=False, repr=False)
class Call:
    """One call, which is one participant of one conference."""

    sid: str
    """``CA…``."""
    room: "Room"
    """The conference it is, or was, in."""
    to: str
    """The ``To`` of the create, as it came."""
    from_: str
    """The ``From`` of the create, as it came."""
    options: Form
    """Every parameter of the create."""
    created: datetime
    """Aware, UTC, whole seconds."""
    updated: datetime
    """Aware, UTC, whole seconds."""
    created_at: float
    """Loop time of the create."""
    queue_time: int
    """Milliseconds from the create to the call's start."""
    visible_from: float
    """Loop time from which it is found and listed."""
    direction: str = "outbound-api"
    """``outbound-api``, or ``inbound`` for somebody who dialled in."""
    label: str | None = None
    """The label it can be addressed by."""
    status: str = "queued"
    """queued, connecting, ringing, connected, complete or failed."""
    call_status: str = "queued"
    """The same in the words of calls: queued, initiated, ringing, in-progress, completed, …."""
    muted: bool = False
    """Whether it was muted; see `silent`."""
    hold: bool = False
    """Whether it is on hold."""
    coaching: bool = False
    """Whether it speaks to `call_sid_to_coach` only."""
    call_sid_to_coach: str | None = None
    """The call that it coaches."""
    beep_on_exit: bool = True
    """Whether the others hear a beep when it leaves."""
    start_conference_on_enter: bool = True
    """Whether its arrival starts the conference."""
    end_conference_on_exit: bool = False
    """Whether its leaving ends the conference."""
    started: datetime | None = None
    """When dialling began."""
    started_at: float | None = None
    """Loop time from which dialling was due."""
    answered_at: float | None = None
    """Loop time of the answer."""
    ended: datetime | None = None
    """When it was over."""
    duration: int | None = None
    """Whole seconds of talk, once it is over."""
    answered_by: str | None = None
    """The result of machine detection, once there is one."""
    reason_left: str | None = None
    """Why it left its conference, in the API's words, once it has."""
    sip_response_code: int | None = None
    """What its last event says in SIP's numbers, where a script has a word of its own."""
    recording: Recording | None = None
    """Its recording, if it was answered and asked for one."""
    sequence: int = 0
    """The number of its next call progress event."""
    timer: Timer | None = None
    """Its next step, as long as one is due."""

    def __repr__(self) -> str:
        return f"<Call {self.sid} {self.status}>"

    @property
    def caller_or_called(self) -> str:
        """The number at the other end of the line."""
        return self.from_ if self.direction == "inbound" else self.to

    @property
    def waiting(self) -> bool:
        """Whether it is in, hears music, and waits for the conference to start."""
        return self.status == "connected" and self.room.status == "init"

    @property
    def silent(self) -> bool:
        """Whether the others cannot hear it: it was muted, or waits."""
        return self.muted or self.waiting

    def stop_timer(self) -> None:
        """Let nothing more happen to it by itself."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@attrs.define(kw_only=True, eq=False, repr=False)
class Room:
    """One conference."""

    sid: str
    """``CF…``."""
    account: "Account"
    """The account that it belongs to."""
    friendly_name: str
    """The name it was created with."""
    created: datetime
    """Aware, UTC, whole seconds."""
    updated: datetime
    """Aware, UTC, whole seconds."""
    visible_from: float
    """Loop time from which it is found and listed."""
    settings: dict[str, Form] = attrs.Factory(dict[str, Form])
    """By the parameter's name, the create that decides on a setting of the conference."""
    status: str = "init"
    """init until a participant that may start it is in; then in-progress, then completed."""
    joined: bool = False
    """Whether somebody has ever been in."""
    calls: dict[str, Call] = attrs.Factory(dict[str, Call])
    """Live calls by SID, oldest first; queued and ringing ones included."""
    labels: dict[str, Call] = attrs.Factory(dict[str, Call])
    """Live calls by label."""
    freed: dict[str, float] = attrs.Factory(dict[str, float])
    """Loop times at which labels were let go, where they stay in use for a while."""
    past: deque[Call] = attrs.Factory(deque[Call])
    """Calls that are over, as many as the account remembers; the newest is last."""
    started: bool = False
    """Whether ``conference-start`` has happened: it is in progress, and two are in."""
    recording: Recording | None = None
    """Its recording, if one was asked for and it is in progress."""
    reason_ended: str | None = None
    """Why it ended, in the API's words."""
    call_sid_ending: str | None = None
    """The participant whose leaving ended it."""
    sequence: int = 0
    """The number of its next event."""

    def __repr__(self) -> str:
        return f"<Room {self.sid} {self.status}, {self.inside} in>"

    def setting(self, name: str) -> Form:
        """Return the create that decides on a setting, one without parameters if there is none."""
        return self.settings.get(name, _NOTHING)

    @property
    def max_participants(self) -> int:
        """How many may be in it."""
        return self.setting("MaxParticipants").number("MaxParticipants", LARGEST_ROOM)

    @property
    def region(self) -> str:
        """The region in which it is mixed."""
        return self.setting("Region").text("Region") or "us1"

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.status != "completed"

    @property
    def inside(self) -> int:
        """How many are connected; those queued and ringing are not."""
        return sum(call.answered_at is not None for call in self.calls.values())

    @property
    def participants(self) -> list[Call]:
        """Live participants, oldest first; queued and ringing ones included."""
        return list(self.calls.values())

    def find(self, sid_or_label: str) -> Call | None:
        """Return the live call with this SID or label."""
        return self.calls.get(sid_or_label) or self.labels.get(sid_or_label)


@attrs.define(kw_only=True, eq=False)
class Account:
    """One account with its own pace, conferences and calls."""

    sid: str = attrs.field(validator=ACCOUNT_SID)
    """``AC…``."""
    auth_token: str = attrs.field(validator=TOKEN, repr=False)
    """Signs in, and signs callbacks."""
    cps: float = attrs.field(default=1.0, validator=number(0, above=True))
    """Calls per second, above 0."""
    parent: "Account | None" = attrs.field(default=None, repr=False)
    """The account whose credentials may address this one too."""
    keep_ended: int = attrs.field(default=10_000, repr=False)
    """How many ended calls, and how many ended conferences, it remembers."""
    created: datetime = attrs.field(factory=_today, repr=False)
    """Aware, UTC, whole seconds."""
    next_start: float = attrs.field(default=float("-inf"), repr=False)
    """Loop time of the next free start."""
    starts: deque[float] = attrs.field(factory=lambda: deque[float](maxlen=10_000), repr=False)
    """Loop times at which its latest calls started, by its pace."""
    open_requests: int = attrs.field(default=0, repr=False)
    """Requests that are being answered."""
    rooms: dict[str, Room] = attrs.field(factory=dict[str, Room], repr=False)
    """Conferences by SID, oldest first."""
    live_names: dict[str, Room] = attrs.field(factory=dict[str, Room], repr=False)
    """Live conferences by friendly name."""
    calls: dict[str, Call] = attrs.field(factory=dict[str, Call], repr=False)
    """Calls by SID, oldest first."""
    answers_by_key: dict[str, Reply] = attrs.field(factory=dict[str, Reply], init=False, repr=False)
    """Answers to creates by their idempotency keys, where those count."""
    live_calls: int = attrs.field(default=0, repr=False)
    """Calls that are not over: queued, ringing and in progress."""
    _ended_rooms: deque[Room] = attrs.field(factory=deque[Room], init=False, repr=False)
    _ended_calls: deque[Call] = attrs.field(factory=deque[Call], init=False, repr=False)

    def forget(self) -> None:
        """Be as new: without calls, conferences and starts."""
        for kept in (self.rooms, self.live_names, self.calls, self.starts, self.answers_by_key):
            kept.clear()
        self._ended_rooms.clear()
        self._ended_calls.clear()
        self.next_start = float("-inf")
        self.live_calls = 0

    def room_over(self, room: Room) -> None:
        """Note that a conference is over, and forget the oldest of too many such."""
        self._ended_rooms.append(room)
        if len(self._ended_rooms) > self.keep_ended:
            del self.rooms[self._ended_rooms.popleft().sid]

    def call_over(self, call: Call) -> None:
        """Note that a call is over, and forget the oldest of too many such."""
        self.live_calls -= 1
        call.room.past.append(call)
        self._ended_calls.append(call)
        if len(self._ended_calls) > self.keep_ended:
            oldest = self._ended_calls.popleft()
            del self.calls[oldest.sid]
            oldest.room.past.popleft()


def position(resource: Call | Room) -> int:
    """Return the place of a call or conference in the order of creation."""
    return serial_of(resource.sid)
