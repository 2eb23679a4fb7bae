"""The lines that a create takes, where the limit counts the account's live calls."""

from typing import NamedTuple, Self

from conference_async.pace.contract import LiveLimit, LookAtCalls, Turn
from conference_async.sending.attempts import AttemptOutcome, Ending

_NOTHING_PLACED = frozenset({AttemptOutcome.REFUSED, AttemptOutcome.TOO_MANY})


class CountedLines(NamedTuple):
    """A limit that counts live calls, and what a client can find them with."""

    limit: LiveLimit
    look: LookAtCalls

    @classmethod
    def of(cls, limit: object, look: LookAtCalls) -> Self | None:
        """Return them if a limit counts live calls."""
        if not isinstance(limit, LiveLimit) or limit.max_live is None:
            return None
        return cls(limit, look)


class TakenLines:
    """The lines that the attempts of one create took, until it is known what became of them."""

    def __init__(self, counted: CountedLines) -> None:
        self._counted = counted
        self._turns: list[Turn] = []

    def wanted(self) -> None:
        """Let the limit know what to look at the account's calls with, before it is waited for."""
        self._counted.limit.look_with(self._counted.look)

    def left(self, turn: Turn, ending: Ending) -> None:
        """Take note of how an attempt ended that left with a line."""
        if ending.outcome in _NOTHING_PLACED:
            self._counted.limit.answered(turn, code=ending.code)
        else:
            self._turns.append(turn)

    def placed(self, call_sid: str) -> None:
        """Note the one call that the attempts placed; none if it is empty."""
        for turn in self._turns:
            self._counted.limit.answered(turn, call_sid=call_sid or None)
        self._turns.clear()
