"""The other ends of the lines: who picks up, dials in, speaks and hangs up, as a test wants it."""

import attrs

from conference_async.emulator.calls.directory import find
from conference_async.emulator.calls.scripts import AnsweredBy, Script
from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError
from conference_async.emulator.service import Service
from conference_async.emulator.state import Account, Call, Room

_FLAGS = frozenset({"Muted", "StartConferenceOnEnter", "EndConferenceOnExit"})


class CannotJoin(ValueError):
    """Nobody can dial in so: the conference is over or full, or the label invalid or in use."""


@attrs.define(kw_only=True, eq=False)
class Phones(Service):
    """The part of an `Emulator` that moves its calls."""

    def script(self, ending: str, script: Script) -> None:
        """Let calls to every ``To`` that ends with `ending` go by `script` from now on.

        Raises:
            TypeError: The ending is not text, or the script not a `Script`.
        """
        if not isinstance(ending, str):
            raise TypeError(f"ending must be text, not {type(ending).__name__}")
        if not isinstance(script, Script):
            raise TypeError(f"script must be a Script, not {type(script).__name__}")
        self._scripts.add(ending, script)

    @property
    def scripts(self) -> dict[str, Script]:
        """The scripts, by the ends of the targets that they are for."""
        return self._scripts.known

    def forget_scripts(self) -> None:
        """Let every call go as `Settings.answer_after` says, numbers with outcomes included."""
        self._scripts.replace({})

    def dial_in(  # noqa: PLR0913 - each is an attribute of the service's own element
        self,
        conference: str,
        from_: str,
        *,
        to: str = "+15017122661",
        label: str | None = None,
        muted: bool = False,
        start_conference_on_enter: bool = True,
        end_conference_on_exit: bool = False,
        conference_status_callback: str | None = None,
        conference_status_callback_event: str = "start end",
        account: Account | None = None,
    ) -> Call:
        """Let somebody call in, as by a number that your application answers with TwiML.

        They are in at once. It counts neither against the pace nor among the `rings`; `answer`,
        `hang_up` and their kind know the call by its caller.

        Args:
            conference: The conference's SID, or a name, which opens one if no live one has it.
            from_: The caller's number.
            to: The number that was called.
            label: The label under which they are in. Creates with the same one are refused 16026.
            muted: Whether they join muted.
            start_conference_on_enter: Whether their arrival starts the conference.
            end_conference_on_exit: Whether their leaving ends it.
            conference_status_callback: Where the conference's events go if they are the first in.
            conference_status_callback_event: Which ones, as words with spaces between.
            account: The account whose number was called, the main one if None.

        Raises:
            CannotJoin: The conference is over or full, or the label is invalid or in use.
            ValueError: The account is not one of this emulator.
            TypeError: An argument is of another type.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        self._clock.check()
        if account is not None:
            self._check_account(account)
        said = {
            "From": from_,
            "To": to,
            "Label": label,
            "Muted": muted,
            "StartConferenceOnEnter": start_conference_on_enter,
            "EndConferenceOnExit": end_conference_on_exit,
            "ConferenceStatusCallback": conference_status_callback,
            "ConferenceStatusCallbackEvent": conference_status_callback_event,
        }
        form = Form(
            {name: [_spelled(name, value)] for name, value in said.items() if value is not None}
        )
        try:
            return self._participants.dial_in(account or self._accounts.main, conference, form)
        except ApiError as refusal:
            raise CannotJoin(refusal.message) from None

    def detect(self, who: str, answered_by: AnsweredBy) -> None:
        """Let machine detection report now, if the call asked for it and has no result yet.

        Args:
            who: A call that is connected, by SID, label or number.
            answered_by: What it heard, as in `Script.answered_by`.

        Raises:
            NoSuchCall: There is no such call, or more than one.
            ValueError: It is not connected, did not ask, or what was heard is no such word.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        call = self._driven(who)
        heard = Script(answered_by=answered_by).answered_by
        if call.status != "connected" or "MachineDetection" not in call.options:
            raise ValueError("only a connected call that asked for machine detection has a result")
        self._life.detect(call, heard)

    def answer(self, who: str) -> None:
        """Let a phone be picked up now, even if its call is still queued.

        Like `hang_up`, `busy`, `no_answer` and `fail`, it does nothing to a call that is over.

        Args:
            who: The call: its SID, its label, or the number as it was called; see `call`.

        Raises:
            NoSuchCall: There is no such call, or more than one.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        self._life.answer(self._driven(who))

    def hang_up(self, who: str) -> None:
        """Let a person hang up, before the answer decline the call; otherwise as `answer`."""
        call = self._driven(who)
        self._end(call, "completed" if call.answered_at is not None else "busy")

    def busy(self, who: str) -> None:
        """Let a call end busy; otherwise as `answer`, and a ValueError if it was answered."""
        self._end(self._driven(who), "busy")

    def no_answer(self, who: str) -> None:
        """Let a call end without an answer; otherwise as `busy`."""
        self._end(self._driven(who), "no-answer")

    def fail(self, who: str) -> None:
        """Let a call fail; otherwise as `busy`."""
        self._end(self._driven(who), "failed")

    def speak(self, who: str, seconds: float = 1.0) -> None:
        """Let a person speak: their conference's ``speaker`` events begin now and end then.

        Args:
            who: A call that is connected, by SID, label or number.
            seconds: How long, 0 or more.

        Raises:
            NoSuchCall: There is no such call, or more than one.
            ValueError: It is not connected, or the seconds are negative.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        call = self._driven(who)
        if call.status != "connected" or not seconds >= 0:
            raise ValueError("only a connected call can speak, for 0 seconds or more")
        self._events.changed(call, "speech-start")
        self._events.changed(call, "speech-stop", after=seconds)

    @property
    def calls(self) -> list[Call]:
        """All calls, live and over, oldest first within an account."""
        return [call for account in self.accounts for call in account.calls.values()]

    def call(self, who: str) -> Call:
        """Return a call by its SID, its label, or its ``To`` as the create gave it.

        A label or number means the live call that has it, else the newest that is over.

        Raises:
            NoSuchCall: There is none, or more than one is live; the message lists them.
        """
        return find(self.accounts, who)

    @property
    def conferences(self) -> list[Room]:
        """All conferences, live and over, oldest first within an account."""
        return [room for account in self.accounts for room in account.rooms.values()]

    def participants(self, conference: str) -> list[Call]:
        """Return the live participants of a conference, by SID or by the name of a live one."""
        return [
            call
            for room in self.conferences
            if room.sid == conference or (room.live and room.friendly_name == conference)
            for call in room.participants
        ]

    def _driven(self, who: str) -> Call:
        call = self.call(who)
        self._clock.check()
        return call

    def _end(self, call: Call, call_status: str) -> None:
        if call.ended is not None:
            return
        if call.answered_at is not None and call_status != "completed":
            raise ValueError("it was answered, so it can only end by hanging up")
        self._life.end(call, call_status)


def _spelled(name: str, value: object) -> str:
    """Return a value as a form has it."""
    if name in _FLAGS and isinstance(value, bool):
        return str(value).lower()
    if name in _FLAGS or not isinstance(value, str):
        kind = "a bool" if name in _FLAGS else "text"
        raise TypeError(f"{name} must be {kind}, not {type(value).__name__}")
    return value
