"""What happens at the other end of the line."""

from typing import Literal

import attrs

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
    """How calls to a number go."""

    outcome: Outcome = "answer"
    """``no_answer`` rings until the call's ``Timeout`` and its five seconds of grace are over."""
    after: float | None = None
    """Seconds of ringing before the outcome; None takes the emulator's ``answer_after``."""
    answered_by: AnsweredBy = "human"
    """Who picks up, as machine detection reports it if the call asked for it."""
    detected_after: float = 0.0
    """Seconds between the answer and machine detection's report."""
    hang_up_after: float | None = None
    """Seconds of talk before the person hangs up; None stays until taken down."""


class Scripts:
    """Scripts by target: the exact ``To``, else the longest matching end of it."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}
        self._lengths: list[int] = []

    def add(self, ending: str, script: Script) -> None:
        """Use `script` for every call whose ``To`` ends with `ending` from now on."""
        self._scripts[ending] = script
        self._lengths = sorted({len(known) for known in self._scripts}, reverse=True)

    def match(self, to: str) -> Script:
        """Return the script for a call to `to`."""
        for length in self._lengths:
            if length <= len(to) and (script := self._scripts.get(to[len(to) - length :])):
                return script
        return Script()
