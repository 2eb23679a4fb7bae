"""The life of calls and conferences: dialled, answered, joined, over."""

import math
from collections.abc import Callable

from conference_async.emulator.announcer import Announcer
from conference_async.emulator.clock import Clock
from conference_async.emulator.forms import Form
from conference_async.emulator.pace import reserve_start
from conference_async.emulator.parties import LARGEST_ROOM, Account, Call, Room
from conference_async.emulator.scripts import Scripts
from conference_async.emulator.settings import Settings
from conference_async.emulator.sids import SidMint

_USUAL_TIMEOUT = 60
_GRACE = 5
_TAKEN_DOWN_UNANSWERED = "canceled"


class Switchboard:
    """Moves every call along by timers of the loop, and tells the announcer."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        mint: SidMint,
        scripts: Scripts,
        announcer: Announcer,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._mint = mint
        self._scripts = scripts
        self._announcer = announcer

    def place(self, account: Account, room: Room | str, form: Form, *, hidden: float) -> Call:
        """Queue a call into a live conference, or into a new one of that name.

        Everything else about the create has been checked before.

        Args:
            account: Whose call it is.
            room: A live conference, or a name that no live one has.
            form: The create's parameters.
            hidden: Seconds for which the participant is not found or listed.

        Raises:
            ApiError: 22005: the account's queue is full; nothing was placed.
        """
        now = self._clock.time()
        start = reserve_start(account, now) if self._settings.pace else now
        date = self._clock.now()
        if isinstance(room, str):
            room = self._open(account, room, form, visible_from=now + hidden)
        call = Call(
            sid=self._mint.issue("CA"),
            room=room,
            to=form.text("To") or "",
            from_=form.text("From") or "",
            options=form,
            created=date,
            updated=date,
            queue_time=round((start - now) * 1000),
            visible_from=now + hidden,
            label=form.text("Label"),
            muted=form.flag("Muted"),
            coaching=form.flag("Coaching", default="CallSidToCoach" in form),
            call_sid_to_coach=form.text("CallSidToCoach"),
            start_conference_on_enter=form.flag("StartConferenceOnEnter", default=True),
            end_conference_on_exit=form.flag("EndConferenceOnExit"),
        )
        room.calls[call.sid] = account.calls[call.sid] = call
        if call.label is not None:
            room.labels[call.label] = call
        if "ConferenceStatusCallback" not in room.options:
            room.options = form
        self._later(call, start, self._start)
        return call

    def answer(self, call: Call) -> None:
        """Let the phone be picked up now, whatever the pace and the script say."""
        if call.status == "queued":
            self._start(call)
        if call.status in ("connecting", "ringing"):
            self._answer(call)

    def end(self, call: Call, call_status: str, *, kicked: bool = False) -> None:
        """End a live call; its conference ends with it if it was the last or meant it so.

        Args:
            call: The call.
            call_status: How it ended, in the words of calls.
            kicked: Whether the API took it down.
        """
        room = call.room
        if kicked:
            reason = "participant_updated_via_api"
        elif call.answered_at is None:
            reason = "participant_add_failed"
        else:
            reason = "participant_hung_up"
        self._release(call, call_status, reason)
        manner = "kicked" if kicked else "left"
        if call.answered_at is not None and call.end_conference_on_exit:
            self.close(room, f"participant-with-end-conference-on-exit-{manner}", by=call)
        elif not room.calls:
            self.close(room, f"last-participant-{manner}", by=call)

    def take_down(self, call: Call) -> None:
        """End a call by the API."""
        answered = call.answered_at is not None
        self.end(call, "completed" if answered else _TAKEN_DOWN_UNANSWERED, kicked=True)

    def close(self, room: Room, reason: str, *, by: Call | None = None) -> None:
        """End a conference and every call in it."""
        room.status = "completed"
        room.updated = self._clock.now()
        room.reason_ended = reason
        room.call_sid_ending = by.sid if by else None
        del room.account.live_names[room.friendly_name]
        left = "moderator_ended_conference" if by else "conference_ended_via_api"
        for call in room.participants:
            status = "completed" if call.answered_at is not None else _TAKEN_DOWN_UNANSWERED
            self._release(call, status, left)
        self._announcer.conference_ended(room, by)
        room.account.room_over(room)

    def _open(self, account: Account, name: str, form: Form, *, visible_from: float) -> Room:
        date = self._clock.now()
        room = Room(
            sid=self._mint.issue("CF"),
            account=account,
            friendly_name=name,
            created=date,
            updated=date,
            visible_from=visible_from,
            options=form,
            max_participants=form.number("MaxParticipants", LARGEST_ROOM),
            region=form.text("Region") or "us1",
        )
        account.rooms[room.sid] = account.live_names[name] = room
        return room

    def _start(self, call: Call) -> None:
        # A timer fires a little late, which is the loop's doing and not the account's pace.
        due = call.timer.when() if call.timer else math.inf
        call.started_at = min(due, self._clock.time())
        call.room.account.starts.append(call.started_at)
        call.started = self._clock.now()
        self._move(call, "connecting", "initiated")
        self._announcer.call_progress(call, "initiated")
        if self._settings.ring_after:
            self._later(call, self._clock.time() + self._settings.ring_after, self._ring)
        else:
            self._ring(call)

    def _ring(self, call: Call) -> None:
        self._move(call, "ringing", "ringing")
        self._announcer.call_progress(call, "ringing")
        now = self._clock.time()
        script = self._scripts.match(call.to)
        after = self._settings.answer_after if script.after is None else script.after
        longest = call.options.number("Timeout", _USUAL_TIMEOUT) + _GRACE
        if script.outcome == "no_answer" or after is None or after >= longest:
            self._later(call, now + longest, lambda call: self.end(call, "no-answer"))
        elif script.outcome == "answer":
            self._later(call, now + after, self._answer)
        else:
            status = script.outcome
            self._later(call, now + after, lambda call: self.end(call, status))

    def _answer(self, call: Call) -> None:
        room = call.room
        script = self._scripts.match(call.to)
        call.answered_at = self._clock.time()
        self._move(call, "connected", "in-progress")
        if room.status == "init":
            room.status = "in-progress"
            room.updated = call.updated
        if "MachineDetection" in call.options:
            call.answered_by = script.answered_by
        self._announcer.answered(call, script.detected_after)
        stays = min(
            call.options.number("TimeLimit", 4 * 3600),
            math.inf if script.hang_up_after is None else script.hang_up_after,
        )
        self._later(call, call.answered_at + stays, lambda call: self.end(call, "completed"))

    def _release(self, call: Call, call_status: str, reason: str) -> None:
        """Take a call out of its conference."""
        room = call.room
        call.stop_timer()
        over = call_status in ("completed", _TAKEN_DOWN_UNANSWERED)
        self._move(call, "complete" if over else "failed", call_status)
        call.ended = call.updated
        talked = 0.0 if call.answered_at is None else self._clock.time() - call.answered_at
        call.duration = round(talked)
        del room.calls[call.sid]
        if call.label is not None:
            del room.labels[call.label]
        room.account.call_over(call)
        self._announcer.left(call, reason)

    def _move(self, call: Call, status: str, call_status: str) -> None:
        call.status, call.call_status = status, call_status
        call.updated = self._clock.now()

    def _later(self, call: Call, when: float, step: Callable[[Call], None]) -> None:
        call.stop_timer()
        call.timer = self._clock.call_at(when, lambda: step(call))
