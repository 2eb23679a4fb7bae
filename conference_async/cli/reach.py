"""A service that is out of reach, said once, and once more when it answers again."""

from conference_async.cli.problems import say
from conference_async.sending.attempts import AttemptEvent, AttemptOutcome


class Reach:
    """Notes how attempts end, so that a run which stands still says why."""

    def __init__(self) -> None:
        self._lost = False

    def note(self, event: AttemptEvent) -> None:
        """Take note of one attempt; an ``on_attempt``."""
        lost = event.outcome is AttemptOutcome.NOT_LEFT
        if lost and not self._lost:
            say("the service cannot be reached; it is tried again until Ctrl-C")
        elif self._lost and not lost:
            say("the service answers again")
        self._lost = lost
