"""A run of a dialler, followed to its end: progress, Ctrl-C, what became of everybody."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import attrs

from conference_async.cli import problems
from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.output import Output
from conference_async.cli.progress import DialProgress
from conference_async.client import ConferenceClient
from conference_async.dialer import Dialer, Outcome, State

_TOLD = {State.REFUSED, State.UNKNOWN, State.PLANNED}
_OVER = (State.PLACED, State.REFUSED, State.UNKNOWN, State.SKIPPED)


@attrs.frozen(kw_only=True)
class Ended:
    """How a run ended."""

    counts: Mapping[State, int]
    """How many targets of the campaign are in which state."""

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
        return problems.SOME_FAILED if self.left or self.counts[State.REFUSED] else problems.DONE

    def __str__(self) -> str:
        states = [f"{self.counts[state]} {state}" for state in _OVER if self.counts[state]]
        return ", ".join([*states, f"{self.left} left"] if self.left or not states else states)


@attrs.define(kw_only=True)
class Follower:
    """Shows what becomes of each target; Ctrl-C stops the run, and again breaks it off."""

    client: ConferenceClient
    dialer: Dialer
    output: Output
    _asked: int = attrs.field(init=False, default=0)
    _task: "asyncio.Task[object] | None" = attrs.field(init=False, factory=asyncio.current_task)

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
            await self._show(outcomes, max(0, total - before))
            async with self.dialer.ledger as ledger:
                counts = await ledger.counts()
        except BaseException:
            if self.output.json:
                print("]}")
            raise
        left = max(0, total - sum(counts[state] for state in _OVER))
        ended = Ended(counts=counts, stopped=bool(self._asked), left=left)
        if self.output.json:
            closing = self.output.dumped(
                {"counts": ended.counts, "left": ended.left, "stopped": ended.stopped}
            )
            print(f"], {closing.removeprefix('{')}")
        else:
            print(ended)
        return ended

    async def _show(self, outcomes: AsyncGenerator[Outcome, None], total: int) -> None:
        cps, separator = self.client.limit.cps, ""
        progress = DialProgress(total, cps=cps, quiet=self.output.json)
        try:
            with on_interrupt(self._stop), progress:
                async with aclosing(outcomes):
                    async for outcome in outcomes:
                        if self.output.json:
                            print(separator + self._as_json(outcome), end="")
                            separator = ", "
                        progress.count(
                            outcome.state,
                            queue_time=self.client.limit.snapshot().queue_time,
                            problem=self._problem(outcome),
                        )
        except asyncio.CancelledError:
            if self._asked <= 1:
                raise

    def _stop(self) -> None:
        self._asked += 1
        if self._asked == 1:
            problems.say("stopping; press Ctrl-C again not to wait for what is under way")
            self.dialer.stop()
        elif self._task is not None:
            self._task.cancel()

    def _as_json(self, outcome: Outcome) -> str:
        return self.output.dumped(
            attrs.asdict(outcome, filter=lambda field, _: field.name != "token")
        )

    def _problem(self, outcome: Outcome) -> str | None:
        if outcome.state not in _TOLD:
            return None
        return self.output.text(f"{outcome.to} {outcome.state}: {outcome.reason}")
