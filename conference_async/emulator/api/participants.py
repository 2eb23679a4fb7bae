"""Operations on participants."""

from conference_async.emulator.api import parameters, resources
from conference_async.emulator.api.endpoints import check_endpoints
from conference_async.emulator.api.operations import Asked
from conference_async.emulator.api.paging import in_order, page
from conference_async.emulator.callbacks.events import Events
from conference_async.emulator.calls.life import Life
from conference_async.emulator.clock import Clock
from conference_async.emulator.forms import Form
from conference_async.emulator.recorder import Recorder
from conference_async.emulator.replies import ApiError, Reply, render, render_page
from conference_async.emulator.settings import Settings
from conference_async.emulator.sids import SidMint
from conference_async.emulator.state import Account, Call, Room

_LONGEST_NAME = 128
_MOST_KEYS = 10_000
_ELEMENT = "Participant"


class Participants:
    """Create, fetch, list, update, delete."""

    def __init__(
        self,
        life: Life,
        settings: Settings,
        *,
        events: Events,
        clock: Clock,
        mint: SidMint,
        recorder: Recorder,
    ) -> None:
        self._life = life
        self._settings = settings
        self._events = events
        self._clock = clock
        self._mint = mint
        self._recorder = recorder

    def create(self, asked: Asked) -> Reply:
        """Dial someone into a conference, named by SID or friendly name."""
        key = asked.idempotency_key if self._settings.idempotency_keys else None
        if key is None:
            return self._create(asked)
        answers = asked.account.answers_by_key
        if key not in answers:
            answers[key] = self._create(asked)
            if len(answers) > _MOST_KEYS:
                del answers[next(iter(answers))]
        return answers[key]

    def _create(self, asked: Asked) -> Reply:
        form = asked.form
        check_endpoints(form)
        parameters.check(form, parameters.CREATE)
        parameters.check_recording(form)
        target = self._target(asked.account, asked.route.parent)
        room = target if isinstance(target, Room) else None
        self._check_place(room, form)
        _check_coach(room, form, already=None)
        call = self._life.place(asked.account, target, form, hidden=asked.hidden)
        self._recorder.placed(call.to, asked.at)
        shown = resources.participant(call, created=True)
        return render(shown, _ELEMENT, xml=asked.route.xml, status=201)

    def dial_in(self, account: Account, conference: str, form: Form) -> Call:
        """Let somebody who called a number of the account be in a conference.

        Raises:
            ApiError: The label is invalid or in use, or the conference over or full.
        """
        parameters.check(form, parameters.CREATE)
        target = self._target(account, conference)
        self._check_place(target if isinstance(target, Room) else None, form)
        return self._life.dial_in(account, target, form)

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
            for call in in_order(room.participants, newest_first=self._settings.newest_first)
            if call.visible_from <= asked.at
            and muted in (None, call.silent)
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
            newest_first=self._settings.newest_first,
        )
        return render_page(envelope, "participants", xml=asked.route.xml)

    def update(self, asked: Asked) -> Reply:
        """Mute, hold, coach, announce to one live participant."""
        form = asked.form
        parameters.check(form, parameters.UPDATE)
        for group in self._settings.refused_updates:
            if all(name in form for name in group):
                raise ApiError(None, f"These cannot be updated together: {', '.join(group)}")
        call = self._call(asked)
        _check_coach(call.room, form, already=call.call_sid_to_coach)
        call.updated = self._clock.now()
        self._set(call, form)
        if url := form.text("AnnounceUrl"):
            self._events.announcement(call.room, url, call)
        return self._show(call, asked)

    def delete(self, asked: Asked) -> Reply:
        """Hang up on one live participant."""
        self._life.take_down(self._call(asked))
        return Reply(status=204, content_type="")

    def _show(self, call: Call, asked: Asked) -> Reply:
        return render(resources.participant(call), _ELEMENT, xml=asked.route.xml)

    def _call(self, asked: Asked) -> Call:
        call = asked.room().find(asked.route.participant)
        if call is None or call.visible_from > asked.at:
            raise asked.missing()
        return call

    def _target(self, account: Account, name: str) -> Room | str:
        """Return the live conference of a SID or name, or a name that no live one has."""
        if parameters.CONFERENCE_SID.fullmatch(name):
            room = account.rooms.get(name)
            if room is not None and room.live:
                return room
            if room is not None or not self._settings.sid_like_names:
                raise ApiError(16022, f"Conference {name} does not exist or is completed")
        if not 1 <= len(name) <= _LONGEST_NAME:
            raise ApiError(13237, f"A conference name has 1 to {_LONGEST_NAME} characters")
        return account.live_names.get(name, name)

    def _is_in_use(self, room: Room, label: str) -> bool:
        """Return whether somebody has the label, or had it a moment ago."""
        settings, now = self._settings, self._clock.time()
        known = {label}
        if settings.labels_ignore_case:
            everyones = (*room.labels, *room.freed)
            known = {one for one in everyones if one.lower() == label.lower()}
        held = (room.labels[one].created_at for one in known if one in room.labels)
        freed = (room.freed[one] for one in known if one in room.freed)
        return any(now - at >= settings.label_race for at in held) or any(
            now - at < settings.label_reuse_after for at in freed
        )

    def _check_place(self, room: Room | None, form: Form) -> None:
        if room is None:
            return
        label = form.text("Label")
        if label is not None and self._is_in_use(room, label):
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
                self._events.changed(call, events[form.flag(name)])
        if "Coaching" in form or "CallSidToCoach" in form:
            call.coaching = form.flag("Coaching", default=True)
            coached = form.text("CallSidToCoach") or call.call_sid_to_coach
            call.call_sid_to_coach = coached if call.coaching else None
            self._events.changed(call, "modify")
        elif "WaitUrl" in form:
            self._events.changed(call, "modify")


def _check_coach(room: Room | None, form: Form, *, already: str | None) -> None:
    """Check the participant to be coached: of the same conference, and not on hold."""
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
