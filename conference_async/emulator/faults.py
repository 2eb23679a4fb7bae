"""Faults on the way: rules that spoil requests."""

import enum
import random
from collections.abc import Callable
from inspect import iscoroutinefunction

import attrs

from conference_async.emulator.bounds import chance, number, text, whole_number, word
from conference_async.emulator.recorder import Request
from conference_async.emulator.routing import Kind

_MOST_RULES = 10_000


class Fault(enum.Enum):
    """A way to spoil one request. *Placed* means: it took effect; for a create, the phone rings."""

    RESET_BEFORE = "reset_before"
    """Not placed; the connection is reset without an answer."""
    RESET_AFTER = "reset_after"
    """Placed; then the connection is reset without an answer."""
    PLACE_THEN_500 = "place_then_500"
    """Placed; answered 500."""
    FAIL_500 = "fail_500"
    """Not placed; answered 500."""
    FAIL_503 = "fail_503"
    """Not placed; answered 503."""
    DELAY = "delay"
    """Placed at once; the answer comes after `seconds`."""
    STALL = "stall"
    """Placed; never answered, the connection stays open until the client leaves."""
    STALL_BEFORE = "stall_before"
    """Not placed; never answered, the connection stays open until the client leaves."""
    TRUNCATE = "truncate"
    """Placed; the answer breaks off in the middle of its body."""
    HTML_200 = "html_200"
    """Not placed; answered 200 with an HTML page."""
    HTML_200_PLACED = "html_200_placed"
    """Placed; answered 200 with an HTML page."""
    EMPTY_200 = "empty_200"
    """Not placed; answered 200 with an empty body."""
    REDIRECT = "redirect"
    """Not placed; answered 302 to another path."""
    TOO_MANY = "too_many"
    """Not placed; answered 429, with ``Retry-After`` if `retry_after` is given."""
    LABEL_CLASH = "label_clash"
    """Not placed; answered 16026, as if another participant had the label."""
    INVISIBLE = "invisible"
    """The new participant is not found or listed for `seconds`; combines with any other fault.
    The call log does not know of it."""


_PLACED = frozenset(
    {
        Fault.RESET_AFTER,
        Fault.PLACE_THEN_500,
        Fault.DELAY,
        Fault.STALL,
        Fault.TRUNCATE,
        Fault.HTML_200_PLACED,
    }
)


@attrs.frozen(kw_only=True)
class Injection:
    """A fault with its particulars.

    Raises:
        TypeError: The fault is not a `Fault`, or seconds are not a number.
        ValueError: Seconds are negative.
    """

    fault: Fault = attrs.field(validator=attrs.validators.instance_of(Fault))
    """The fault."""
    seconds: float = attrs.field(default=30.0, validator=number(0))
    """How long `Fault.DELAY` and `Fault.INVISIBLE` last."""
    retry_after: float | None = attrs.field(default=None, validator=number(0, optional=True))
    """Seconds for the ``Retry-After`` of `Fault.TOO_MANY`; None sends none."""

    @property
    def placed(self) -> bool:
        """Whether the request takes effect all the same."""
        return self.fault in _PLACED


@attrs.frozen(kw_only=True)
class Spoiled:
    """The fault of one request."""

    injection: Injection | None = None
    """The fault, if any."""
    hidden: float = 0.0
    """Seconds for which what it creates is not found or listed."""


@attrs.define(kw_only=True, eq=False)
class Rule:
    """Which requests to spoil, and how; see `Faults.add`."""

    injection: Injection
    """The fault."""
    on: str | None = attrs.field(validator=word(Kind, optional=True))
    """The kind of request, or None for all kinds."""
    times: int | None = attrs.field(validator=whole_number(0, optional=True))
    """How many more requests; None means all."""
    after: int = attrs.field(validator=whole_number(0))
    """How many more pass unharmed before."""
    to: str | None = attrs.field(validator=text(optional=True))
    """Only creates to this target."""
    label: str | None = attrs.field(validator=text(optional=True))
    """Only creates with this label."""
    probability: float = attrs.field(validator=chance)
    """The chance of each matching request."""

    def matches(self, request: Request) -> bool:
        """Return whether a request is one of those to spoil."""
        return (
            self.on in (None, request.kind)
            and (self.to is None or self.to in request.form.get("To", []))
            and (self.label is None or self.label in request.form.get("Label", []))
        )


class Faults:
    """The rules of an emulator: one fault a request, the oldest matching rule first."""

    def __init__(self, randomness: random.Random) -> None:
        self._randomness = randomness
        self._rules: list[Rule] = []
        self._choose: Callable[[Request], Fault | Injection | None] | None = None

    def add(  # noqa: PLR0913 - each argument narrows the rule on its own
        self,
        fault: Fault,
        *,
        on: str | None = "create",
        times: int | None = 1,
        after: int = 0,
        to: str | None = None,
        label: str | None = None,
        probability: float = 1.0,
        seconds: float = 30.0,
        retry_after: float | None = None,
    ) -> None:
        """Spoil requests from now on.

        Args:
            fault: The way to spoil them.
            on: The kind of request, as in `Request.kind`; None means all kinds.
            times: How many requests, 1 or more; None means all.
            after: How many matching requests pass unharmed before.
            to: Only creates to this target, as it is sent.
            label: Only creates with this label.
            probability: The chance of each matching request, 0 to 1.
            seconds: How long a delay or invisibility lasts.
            retry_after: Seconds for the ``Retry-After`` of a 429.

        Raises:
            ValueError: An argument is out of its bounds or vocabulary, or there are 10,000 rules.
            TypeError: An argument is of another type.
        """
        if times == 0:
            raise ValueError("times must be at least 1, or None for all requests")
        if len(self._rules) >= _MOST_RULES:
            raise ValueError(f"there are {_MOST_RULES:,} rules; clear() forgets them")
        self._rules.append(
            Rule(
                injection=Injection(fault=fault, seconds=seconds, retry_after=retry_after),
                on=on,
                times=times,
                after=after,
                to=to,
                label=label,
                probability=probability,
            )
        )

    @property
    def rules(self) -> list[Rule]:
        """The rules that are left, the oldest first."""
        return list(self._rules)

    def plan(self, choose: Callable[[Request], Fault | Injection | None] | None) -> None:
        """Let `choose` decide for every request, before the rules; None ends that.

        Raises:
            TypeError: It cannot be called, or is async and would never run.
        """
        if choose is not None and not callable(choose):
            raise TypeError("choose must be a function of a Request, or None")
        called = getattr(type(choose), "__call__", None)  # noqa: B004 - what it is matters, not if
        if iscoroutinefunction(choose) or iscoroutinefunction(called):
            raise TypeError("choose must be a plain function: nobody awaits an async one")
        self._choose = choose

    def clear(self) -> None:
        """Forget every rule and the plan."""
        self._rules.clear()
        self._choose = None

    @property
    def armed(self) -> bool:
        """Whether anything may go wrong at all."""
        return bool(self._rules) or self._choose is not None

    def take(self, request: Request) -> Spoiled:
        """Return the fault of `request`, and count it against the rules."""
        chosen = self._choose(request) if self._choose else None
        found = [Injection(fault=chosen) if isinstance(chosen, Fault) else chosen]
        for rule in tuple(self._rules):
            hides = rule.injection.fault is Fault.INVISIBLE
            taken = any(one and (one.fault is Fault.INVISIBLE) is hides for one in found)
            if not taken and rule.matches(request) and self._applies(rule):
                found.append(rule.injection)
        hidden = max(
            (one.seconds for one in found if one and one.fault is Fault.INVISIBLE), default=0.0
        )
        spoiling = (one for one in found if one and one.fault is not Fault.INVISIBLE)
        return Spoiled(injection=next(spoiling, None), hidden=hidden)

    def _applies(self, rule: Rule) -> bool:
        if rule.after > 0:
            rule.after -= 1
            return False
        if rule.probability < 1 and self._randomness.random() >= rule.probability:
            return False
        if rule.times is not None:
            rule.times -= 1
            if rule.times == 0:
                self._rules.remove(rule)
        return True
