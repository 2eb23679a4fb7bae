"""The life of calls and conferences: dialled, answered, joined, over."""

import math
from collections.abc import Callable

from conference_async.emulator.callbacks.events import Events
from conference_async.emulator.calls import conference_settings
from conference_async.emulator.calls.detection import in_words_of
from conference_async.emulator.calls.pace import reserve_start
from conference_async.emulator.calls.scripts import Scripts
from conference_async.emulator.clock import Clock
from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError
from conference_async.emulator.settings import Settings
from conference_async.emulator.sids import SidMint
from conference_async.emulator.state import Account, Call, Recording, Room

_USUAL_TIMEOUT = 60
_USUAL_DETECTION_TIMEOUT = 30
_GRACE = 5
_TAKEN_DOWN_UNANSWERED = "canceled"


class Life:
    """Moves every call along by timers of the loop, and has its events sent."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        mint: SidMint,
        scripts: Scripts,
        events: Events,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._mint = mint
        self._scripts = scripts
        self._events = events

    def place(self, account: Account, room: Room | str, form: Form, *, hidden: float) -> Call:
        """Queue a call into a live conference, or into a new one of that name.

        Everything else about the create has been checked before.

        Args:
            account: Whose call it is.
            room: A live conference, or a name that no live one has.
            form: The create's parameters.
            hidden: Seconds for which the participant is not found or listed.

        Raises:
            ApiError: 22005: the account's queue is full; 16021 or 10004: it has as many live calls
                as it may have. Nothing was placed.
        """
        most = self._settings.max_live
        if most is not None and account.live_calls >= most:
            raise ApiError(self._settings.max_live_code, "Account concurrent call limit exceeded")
        now = self._clock.time()
        start = reserve_start(account, now) if self._settings.pace else now
        call = self._add(account, room, form, at=now, starts=start, hidden=hidden)
        conference_settings.called(call)
        self._later(call, start, self._start)
        return call

    def dial_in(self, account: Account, room: Room | str, form: Form) -> Call:
        """Let somebody who dialled in be in a conference at once; neither pace nor script counts.

        Args:
            account: Whose number was dialled.
            room: A live conference, or a name that no live one has.
            form: What a create would say of them.
        """
        now = self._clock.time()
        call = self._add(account, room, form, at=now, starts=now, hidden=0.0)
        call.direction = "inbound"
        call.started_at, call.started = now, call.created
        conference_settings.called(call)
        self._join(call, stays=math.inf)
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
        self._events.conference_ended(room, by)
        room.account.room_over(room)

    def detect(self, call: Call, heard: str) -> None:
        """Report what machine detection heard, unless it has reported or the call is over."""
        if call.ended is None and call.answered_by is None:
            call.answered_by = in_words_of(call.options.text("MachineDetection") or "", heard)
            self._events.detected(call, self._clock.time() - (call.answered_at or 0.0))

    def _add(
        self,
        account: Account,
        room: Room | str,
        form: Form,
        *,
        at: float,
        starts: float,
        hidden: float,
    ) -> Call:
        """Return a new call of a live conference, or of a new one of that name."""
        date = self._clock.now()
        if isinstance(room, str):
            room = self._open(account, room, visible_from=at + hidden)
        coaching = form.flag("Coaching", default="CallSidToCoach" in form)
        call = Call(
            sid=self._mint.issue("CA"),
            room=room,
            to=form.text("To") or "",
            from_=form.text("From") or "",
            options=form,
            created=date,
            updated=date,
            created_at=at,
            queue_time=round((starts - at) * 1000),
            visible_from=at + hidden if hidden else at,
            label=form.text("Label"),
            muted=form.flag("Muted"),
            coaching=coaching,
            call_sid_to_coach=form.text("CallSidToCoach") if coaching else None,
            start_conference_on_enter=form.flag("StartConferenceOnEnter", default=True),
            end_conference_on_exit=form.flag("EndConferenceOnExit"),
        )
        room.calls[call.sid] = account.calls[call.sid] = call
        account.live_calls += 1
        if call.label is not None:
            room.labels[call.label] = call
        return call

    def _open(self, account: Account, name: str, *, visible_from: float) -> Room:
        date = self._clock.now()
        room = Room(
            sid=self._mint.issue("CF"),
            account=account,
            friendly_name=name,
            created=date,
            updated=date,
            visible_from=visible_from,
        )
        account.rooms[room.sid] = account.live_names[name] = room
        return room

    def _start(self, call: Call) -> None:
        # A timer fires a little late, which is the loop's doing and not the account's pace.
        due = call.timer.when if call.timer else math.inf
        call.started_at = min(due, self._clock.time())
        call.room.account.starts.append(call.started_at)
        call.started = self._clock.now()
        self._move(call, "connecting", "initiated")
        self._events.call_progress(call, "initiated")
        if self._settings.ring_after:
            self._later(call, self._clock.time() + self._settings.ring_after, self._ring)
        else:
            self._ring(call)

    def _ring(self, call: Call) -> None:
        self._move(call, "ringing", "ringing")
        self._events.call_progress(call, "ringing")
        now = self._clock.time()
        script = self._scripts.match(call.to)
        after = self._settings.answer_after if script.after is None else script.after
        longest = call.options.number("Timeout", _USUAL_TIMEOUT) + _GRACE
        if script.outcome == "no_answer" or after is None or after >= longest:
            self._later(call, now + longest, self._ring_out)
        elif script.outcome == "answer":
            self._later(call, now + after, self._answer)
        else:
            self._later(call, now + after, self._fail)

    def _fail(self, call: Call) -> None:
        """End a call as its script wants it."""
        script = self._scripts.match(call.to)
        call.sip_response_code = script.sip_response_code
        self.end(call, script.outcome)

    def _answer(self, call: Call) -> None:
        script = self._scripts.match(call.to)
        longest = call.options.number("MachineDetectionTimeout", _USUAL_DETECTION_TIMEOUT)
        listens = "MachineDetection" in call.options
        after, heard = script.detected_after, script.answered_by
        if after is None or after > longest:
            after, heard = longest, "unknown"
        if listens and not after:
            call.answered_by = in_words_of(call.options.text("MachineDetection") or "", heard)
        self._join(call, stays=script.hang_up_after)
        if call.answered_by:
            self._events.detected(call, 0.0)
        elif listens:
            self._clock.call_at(self._clock.time() + after, self.detect, call, heard)

    def _join(self, call: Call, *, stays: float | None) -> None:
        """Let somebody who is on the line be in, for `stays` seconds or until taken down."""
        room = call.room
        call.answered_at = self._clock.time()
        self._move(call, "connected", "in-progress")
        conference_settings.joined(call)
        if room.status == "init" and call.start_conference_on_enter:
            room.status = "in-progress"
            room.updated = call.updated
        if call.options.flag("Record") or "RecordingConfigurationId" in call.options:
            call.recording = self._record()
        self._events.answered(call)
        if room.status == "in-progress" and room.recording is None and _is_recorded(room):
            room.recording = self._record()
            self._events.conference_recording_began(room, room.recording)
        longest = call.options.number("TimeLimit", 4 * 3600)
        seconds = longest if stays is None else min(longest, stays)
        self._later(call, call.answered_at + seconds, self._end_talk)

    def _end_talk(self, call: Call) -> None:
        self.end(call, "completed")

    def _ring_out(self, call: Call) -> None:
        self.end(call, "no-answer")

    def _release(self, call: Call, call_status: str, reason: str) -> None:
        """Take a call out of its conference."""
        room = call.room
        call.stop_timer()
        over = call_status in ("completed", _TAKEN_DOWN_UNANSWERED)
        self._move(call, "complete" if over else "failed", call_status)
        call.ended = call.updated
        call.reason_left = reason
        talked = 0.0 if call.answered_at is None else self._clock.time() - call.answered_at
        call.duration = round(talked)
        del room.calls[call.sid]
        if call.label is not None and room.labels.get(call.label) is call:
            del room.labels[call.label]
            if self._settings.label_reuse_after:
                room.freed[call.label] = self._clock.time()
        room.account.call_over(call)
        self._events.left(call, reason)

    def _record(self) -> Recording:
        return Recording(self._mint.issue("RE"), self._clock.now())

    def _move(self, call: Call, status: str, call_status: str) -> None:
        call.status, call.call_status = status, call_status
        call.updated = self._clock.now()

    def _later(self, call: Call, when: float, step: Callable[[Call], None]) -> None:
        call.stop_timer()
        call.timer = self._clock.call_at(when, step, call)


def _is_recorded(room: Room) -> bool:
    asked = room.setting("ConferenceRecord").text("ConferenceRecord") or "false"
    return asked.lower() in ("true", "record-from-start")
