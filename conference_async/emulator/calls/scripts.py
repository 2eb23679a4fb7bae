"""Scripts: how the other end of the line behaves."""

from collections.abc import Mapping
from typing import Literal

import attrs

from conference_async.emulator.bounds import number, whole_number, word

Outcome = Literal["answer", "busy", "no_answer", "failed"]
AnsweredBy = Literal[
    "human",
    "fax",
    "unknown",
    "machine_start",
    "machine_end_beep",
    "machine_end_silence",
    "machine_end_other",
]


@attrs.frozen(kw_only=True)
class Script:
    """How calls to a number go.

    Raises:
        ValueError: An attribute is out of its bounds or vocabulary.
        TypeError: Seconds are not a number.
    """

    outcome: Outcome = attrs.field(default="answer", validator=word(Outcome))
    """``no_answer`` rings until the call's ``Timeout`` and its five seconds of grace are over."""
    after: float | None = attrs.field(default=None, validator=number(0, optional=True))
    """Seconds of ringing before the outcome; None takes the emulator's ``answer_after``."""
    answered_by: AnsweredBy = attrs.field(default="human", validator=word(AnsweredBy))
    """The one that picks up, as machine detection reports it if the call asked for it."""
    detected_after: float | None = attrs.field(default=0.0, validator=number(0, optional=True))
    """Seconds between the answer and machine detection's report; None until `Emulator.detect`.
    After the call's ``MachineDetectionTimeout`` (30 if not given) the report is ``unknown``."""
    hang_up_after: float | None = attrs.field(default=None, validator=number(0, optional=True))
    """Seconds of talk before the person hangs up; None stays until taken down."""
    sip_response_code: int | None = attrs.field(
        default=None, validator=whole_number(400, 699, optional=True)
    )
    """What the last event of a call that is busy or failed has as its ``SipResponseCode``, 400 to
    699; None means the usual one: 486 busy, 404 failed."""


_USUAL = Script()


class Scripts:
    """Scripts by target: the exact ``To``, else the longest matching end of it."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}
        self._lengths: list[int] = []

    def add(self, ending: str, script: Script) -> None:
        """Use `script` for every call whose ``To`` ends with `ending` from now on."""
        self._scripts[ending] = script
        self._lengths = sorted({len(known) for known in self._scripts}, reverse=True)

    @property
    def known(self) -> dict[str, Script]:
        """The scripts by the ends of targets."""
        return dict(self._scripts)

    def replace(self, scripts: Mapping[str, Script]) -> None:
        """Forget all scripts but these."""
        self._scripts.clear()
        self._lengths = []
        for ending, script in scripts.items():
            self.add(ending, script)

    def match(self, to: str) -> Script:
        """Return the script for a call to `to`."""
        for length in self._lengths:
            if length <= len(to) and (script := self._scripts.get(to[len(to) - length :])):
                return script
        return _USUAL
