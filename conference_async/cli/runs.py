"""A run of a dialler, followed to its end: progress, Ctrl-C, what became of everybody."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import attrs

from conference_async.cli import problems
from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.output import Output
from conference_async.cli.progress import DialProgress
from conference_async.client import ConferenceClient
from conference_async.dialer.ledger.outcome import LedgerStore, Outcome
from conference_async.dialer.local.dialer import Dialer
from conference_async.dialer.rules.wishes import ON_THE_LIST
from conference_async.privacy import mask
from conference_async.sending.entries import State

_SHOWN = {State.REFUSED, State.UNKNOWN, State.PLANNED}
_OVER = (State.PLACED, State.REFUSED, State.UNKNOWN, State.SKIPPED)
_EXPLAINED = (State.REFUSED, State.UNKNOWN, State.SKIPPED)
_NAMED = 3
"""How many reasons of a state are named."""

_DISTINCT = 1000
"""How many reasons are counted apart; a service may give one to each target."""

_OF_ONE = re.compile(
    r"""^create\ .*?\ with\ label\ (?:'[^']*'|"[^"]*"):\  # the beginning of an unknown outcome
    | \ at\ \d\d:\d\d:\d\d(?=:)                        # when it was looked for
    | \ until\ \d.*                                    # when somebody may be called
    | (?<=\*\*\*)\d+                                   # what is shown of a number
    """,
    re.VERBOSE,
)
"""The parts of a reason that differ from target to target."""


@attrs.frozen(kw_only=True)
class Ended:
    """How a run ended."""

    counts: Mapping[State, int]
    """How many targets of the campaign are in which state."""

    reasons: Mapping[State, Counter[str]] = attrs.field(factory=dict[State, Counter[str]])
    """Why those that were not placed were not, and how many for each reason."""

    stopped: bool
    """Whether Ctrl-C ended it."""

    left: int
    """How many targets have not been called."""

    @property
    def code(self) -> int:
        """The exit code that says the worst of it."""
        if self.stopped:
            return problems.INTERRUPTED
        if self.counts[State.UNKNOWN]:
            return problems.UNKNOWN
        on_the_list = self.reasons.get(State.SKIPPED, Counter())[ON_THE_LIST]
        missed = self.left or self.counts[State.SKIPPED] > on_the_list
        return problems.SOME_FAILED if missed or self.counts[State.REFUSED] else problems.DONE

    def __str__(self) -> str:
        states = [
            f"{self.counts[state]} {state}{self._why(state)}"
            for state in _OVER
            if self.counts[state]
        ]
        return ", ".join([*states, f"{self.left} left"] if self.left or not states else states)

    def _why(self, state: State) -> str:
        """Return the most frequent reasons of a state, with how many targets each of them has."""
        reasons = self.reasons.get(state, Counter[str]()).most_common()
        if not reasons:
            return ""
        named = [f"{count}: {reason}" for reason, count in reasons[:_NAMED]]
        others = sum(count for _, count in reasons[_NAMED:])
        return f" ({'; '.join([*named, f'{others}: others'] if others else named)})"


def common(reason: str) -> str:
    """Return what a target's reason has in common with those of others, to count them by it."""
    return _OF_ONE.sub("", mask(reason))


async def _reasons(ledger: LedgerStore) -> dict[State, Counter[str]]:
    """Count why targets were not placed."""
    reasons: dict[State, Counter[str]] = {}
    async with aclosing(ledger.outcomes(*_EXPLAINED)) as outcomes:
        async for outcome in outcomes:
            counter = reasons.setdefault(outcome.state, Counter())
            reason = common(outcome.reason or "no reason is known")
            counter[reason if reason in counter or len(counter) < _DISTINCT else "others"] += 1
    return reasons


@attrs.define(kw_only=True)
class Follower:
    """Shows what becomes of each target; Ctrl-C stops the run, and again breaks it off."""

    client: ConferenceClient
    dialer: Dialer
    output: Output
    _asked: int = attrs.field(init=False, default=0)

    async def follow(
        self,
        outcomes: AsyncGenerator[Outcome, None],
        *,
        total: int,
        before: int = 0,
        **facts: object,
    ) -> Ended:
        """Show every outcome until the last; return how the run ended.

        Args:
            outcomes: What the dialler yields.
            total: How many targets there are.
            before: How many of them were called by earlier runs.
            **facts: What JSON says first.
        """
        if self.output.json:
            opening = self.output.dumped({**facts, "outcomes": []})
            print(opening.removesuffix("]}"), end="")
        try:
            showing = asyncio.create_task(self._show(outcomes, max(0, total - before)))
            with on_interrupt(lambda: self._stop(showing)):
                await asyncio.wait({showing})
            if not showing.cancelled():
                showing.result()
            async with self.dialer.ledger as ledger:
                counts, reasons = await ledger.counts(), await _reasons(ledger)
        except BaseException:
            if self.output.json:
                print("]}")
            raise
        left = max(0, total - sum(counts[state] for state in _OVER))
        ended = Ended(counts=counts, reasons=reasons, stopped=bool(self._asked), left=left)
        if self.output.json:
            closing = self.output.dumped(
                {
                    "counts": ended.counts,
                    "reasons": ended.reasons,
                    "left": ended.left,
                    "stopped": ended.stopped,
                }
            )
            print(f"], {closing.removeprefix('{')}")
        else:
            self.output.line(ended)
        return ended

    async def _show(self, outcomes: AsyncGenerator[Outcome, None], total: int) -> None:
        cps, separator = self.client.limit.cps, ""
        progress = DialProgress(total, cps=cps, quiet=self.output.json)
        async with aclosing(outcomes):
            with progress:
                async for outcome in outcomes:
                    if self.output.json:
                        print(separator + self._as_json(outcome), end="")
                        separator = ", "
                    progress.count(
                        outcome.state,
                        queue_time=self.client.limit.snapshot().queue_time,
                        problem=self._problem(outcome),
                    )

    def _stop(self, showing: asyncio.Task[None]) -> None:
        self._asked += 1
        if self._asked == 1:
            problems.say("stopping; press Ctrl-C again not to wait for what is under way")
            self.dialer.stop()
        else:
            showing.cancel()

    def _as_json(self, outcome: Outcome) -> str:
        return self.output.dumped(
            attrs.asdict(outcome, filter=lambda field, _: field.name != "token")
        )

    def _problem(self, outcome: Outcome) -> str | None:
        if outcome.state not in _SHOWN:
            return None
        return self.output.text(f"{outcome.to} {outcome.state}: {outcome.reason}")
