"""Why somebody is not called: asked of the rules as a run asks them."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.calling.contacting import Contacting
from conference_async.dialer.calling.decide import Call, Skip, Wait, decide
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.plan.targets import Target
from conference_async.dialer.rules.wishes import Wishes
from conference_async.journal.contacts import Contact
from conference_async.sending.entries import State


@attrs.frozen
class WhyNot:
    """Tells a preview whom the rules withhold at an instant."""

    wishes: Wishes
    now: datetime
    contacting: Contacting | None = None
    """What keeps to limits; None where there are none."""

    async def __call__(self, targets: Sequence[Target]) -> list[str | None]:
        """Return why each target is not called, None where it is.

        Raises:
            LedgerError: The calls that were made cannot be read.
        """
        if not any(map(self.wishes.concern, targets)):
            return [None] * len(targets)
        known = {} if self.contacting is None else await self.contacting.known(targets)
        return await asyncio.to_thread(self._reasons, targets, known)

    def _reasons(
        self, targets: Sequence[Target], known: dict[str, list[Contact]]
    ) -> list[str | None]:
        wishes = self.wishes
        return [
            wishes.why_not(each, self.now, wishes.zones_of(each), known.get(each.to, ()))
            for each in targets
        ]


@attrs.frozen(kw_only=True)
class Explanation:
    """What is known of one target, and why it is or is not called."""

    outcome: Outcome
    """What the ledger has of it; ``planned`` if it has nothing yet."""

    why: str
    """In words: why it is not called at this time, or was not; else what became of it."""

    contacts: tuple[Contact, ...] = ()
    """The calls to its number that the account's campaigns made, the oldest first, where limits ask
    for them."""

    @property
    def withheld(self) -> bool:
        """Whether rules keep it from being called."""
        return self.outcome.state in {State.PLANNED, State.SKIPPED} and self.why != TO_BE_CALLED


TO_BE_CALLED = "nothing stands against it: it is called when its turn comes"
"""Why somebody is not called whom a run has yet to come to."""

LEFT = {
    State.SENDING: "its request may be under way; a run looks it up",
    State.PLACED: "it was called",
    State.REFUSED: "the service refused it",
    State.UNKNOWN: "it may have been called",
}
"""Why somebody is not called again."""


async def explained(
    outcome: Outcome,
    wishes: Wishes,
    now: datetime,
    zones: Sequence[ZoneInfo],
    contacting: Contacting | None,
) -> Explanation:
    """Return why a target is or is not called at an instant.

    Args:
        outcome: What is known of it.
        wishes: The campaign's.
        now: An aware datetime.
        zones: The time zones that it may be in.
        contacting: What keeps to limits; None where there are none.

    Raises:
        LedgerError: The calls that were made cannot be read.
    """
    known: list[Contact] = []
    if contacting is not None:
        known = (await contacting.known([outcome])).get(outcome.to, [])
    match decide(outcome, wishes, now, zones, None, known):
        case Call():
            why = TO_BE_CALLED
        case Wait(_, reason):
            why = reason
        case Skip(after):
            why = after.reason or ""
        case _:
            why = LEFT.get(outcome.state, "")
            if outcome.reason:
                why = f"{why}: {outcome.reason}"
    return Explanation(outcome=outcome, why=why, contacts=tuple(known))
