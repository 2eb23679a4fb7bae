"""Operations on participants."""

from conference_async.emulator import parameters, resources
from conference_async.emulator.announcer import Announcer
from conference_async.emulator.clock import Clock
from conference_async.emulator.forms import Form
from conference_async.emulator.operations import Asked
from conference_async.emulator.paging import page
from conference_async.emulator.parties import Call, Room
from conference_async.emulator.recorder import Recorder
from conference_async.emulator.replies import ApiError, Reply, render, render_page
from conference_async.emulator.sids import SidMint
from conference_async.emulator.switchboard import Switchboard

_LONGEST_NAME = 128
_ELEMENT = "Participant"


class Participants:
    """Create, fetch, list, update, delete."""

    def __init__(
        self,
        switchboard: Switchboard,
        *,
        announcer: Announcer,
        clock: Clock,
        mint: SidMint,
        recorder: Recorder,
    ) -> None:
        self._switchboard = switchboard
        self._announcer = announcer
        self._clock = clock
        self._mint = mint
        self._recorder = recorder

    def create(self, asked: Asked) -> Reply:
        """Dial someone into a conference, named by SID or friendly name."""
        form = asked.form
        parameters.check_parties(form)
        parameters.check(form, parameters.CREATE)
        target = self._target(asked)
        room = target if isinstance(target, Room) else None
        self._check_place(room, form)
        _check_coach(room, form, already=None)
        call = self._switchboard.place(asked.account, target, form, hidden=asked.hidden)
        self._recorder.placed(call.to, asked.at)
        shown = resources.participant(call, created=True)
        return render(shown, _ELEMENT, xml=asked.route.xml, status=201)

    def fetch(self, asked: Asked) -> Reply:
        """Show one live participant."""
        return self._show(self._call(asked), asked)

    def list(self, asked: Asked) -> Reply:
        """Show the live participants of a conference; none if it is over."""
        parameters.check(asked.query, parameters.LIST)
        room = asked.room()
        muted, hold, coaching = (
            asked.query.flag(name) if name in asked.query else None
            for name in ("Muted", "Hold", "Coaching")
        )
        rows = [
            call
            for call in room.participants
            if call.visible_from <= asked.at
            and muted in (None, call.muted)
            and hold in (None, call.hold)
            and coaching in (None, call.coaching)
        ]
        envelope = page(
            rows,
            key="participants",
            show=resources.participant,
            path=asked.path,
            query=asked.query,
            mint=self._mint,
        )
        return render_page(envelope, "participants", xml=asked.route.xml)

    def update(self, asked: Asked) -> Reply:
        """Mute, hold, coach, announce to one live participant."""
        form = asked.form
        parameters.check(form, parameters.UPDATE)
        call = self._call(asked)
        _check_coach(call.room, form, already=call.call_sid_to_coach)
        call.updated = self._clock.now()
        self._set(call, form)
        if url := form.text("AnnounceUrl"):
            self._announcer.announcement(call.room, url, call)
        return self._show(call, asked)

    def delete(self, asked: Asked) -> Reply:
        """Hang up on one live participant."""
        self._switchboard.take_down(self._call(asked))
        return Reply(status=204, content_type="")

    def _show(self, call: Call, asked: Asked) -> Reply:
        return render(resources.participant(call), _ELEMENT, xml=asked.route.xml)

    def _call(self, asked: Asked) -> Call:
        call = asked.room().find(asked.route.participant)
        if call is None or call.visible_from > asked.at:
            raise asked.missing()
        return call

    def _target(self, asked: Asked) -> Room | str:
        name = asked.route.parent
        if parameters.CONFERENCE_SID.fullmatch(name):
            room = asked.account.rooms.get(name)
            if room is None or not room.live:
                raise ApiError(16022, f"Conference {name} does not exist or is completed")
            return room
        if len(name) > _LONGEST_NAME:
            raise ApiError(13237, f"A conference name has 1 to {_LONGEST_NAME} characters")
        return asked.account.live_names.get(name, name)

    def _check_place(self, room: Room | None, form: Form) -> None:
        if room is None:
            return
        if form.text("Label") in room.labels:
            raise ApiError(16026, "Label is already used by another active participant")
        if len(room.calls) >= room.max_participants:
            raise ApiError(16020, "The conference is full")

    def _set(self, call: Call, form: Form) -> None:
        for name, attribute, events in (
            ("Muted", "muted", ("unmute", "mute")),
            ("Hold", "hold", ("unhold", "hold")),
            ("EndConferenceOnExit", "end_conference_on_exit", ("modify", "modify")),
            ("BeepOnExit", "beep_on_exit", ("modify", "modify")),
        ):
            if name in form and form.flag(name) != getattr(call, attribute):
                setattr(call, attribute, form.flag(name))
                self._announcer.changed(call, events[form.flag(name)])
        if "Coaching" in form or "CallSidToCoach" in form:
            call.coaching = form.flag("Coaching", default=True)
            coached = form.text("CallSidToCoach") or call.call_sid_to_coach
            call.call_sid_to_coach = coached if call.coaching else None
            self._announcer.changed(call, "modify")
        elif "WaitUrl" in form:
            self._announcer.changed(call, "modify")


def _check_coach(room: Room | None, form: Form, *, already: str | None) -> None:
    """Check whom a participant is to coach: somebody of the same conference, not on hold."""
    if not form.flag("Coaching", default="CallSidToCoach" in form):
        return
    sid = form.text("CallSidToCoach") or already
    if sid is None:
        raise ApiError(13240, "Coaching needs CallSidToCoach")
    coached = room.calls.get(sid) if room else None
    if coached is None:
        raise ApiError(16028, "The participant to coach is not in the conference")
    if coached.hold:
        raise ApiError(16027, "The participant to coach is on hold")
