"""The wishes of a campaign besides calling every target once, and the rules it keeps to."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import attrs

from conference_async.bounds import check_count, check_seconds
from conference_async.dialer.plan.phones import normalise_number
from conference_async.dialer.plan.targets import Target, address_key
from conference_async.dialer.rules.contact_rules import NO_RULES, OUTSIDE, ContactRules, Verdict
from conference_async.dialer.rules.hours import CallingHours, zones_of
from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.journal.contacts import Contact
from conference_async.models import Participant

ON_THE_LIST = "it is on the do-not-call list"
"""Why somebody is not called whose address is among those not to be called."""

NOT_AT_THIS_TIME = "it is outside its calling hours at this time"
"""Why somebody is not called yet, where the hour comes."""

T = TypeVar("T")
Field: TypeAlias = "attrs.Attribute[Any]"


RETRIES = 8
"""How often a target that could not be sent is tried again in one run, if nothing else is said."""


def _count(least: int) -> Callable[[object, Field, int], None]:
    def check(_instance: object, attribute: Field, value: int) -> None:
        """Refuse what is no count."""
        check_count(attribute.name, value, least=least)

    return check


def _seconds(_instance: object, attribute: Field, value: float) -> None:
    check_seconds(attribute.name, value, zero=False)


def _callable(_instance: object, attribute: Field, value: object) -> None:
    if not callable(value):
        raise ConfigurationError(f"{attribute.name} must be an async function, not {value!r}")


def _one_of(kind: type[T], *, or_none: bool = True) -> Callable[[object, Field, T | None], None]:
    def check(_instance: object, attribute: Field, value: object) -> None:
        """Refuse what is of another kind."""
        if not (isinstance(value, kind) or (or_none and value is None)):
            raise ConfigurationError(
                f"{attribute.name} must be a {kind.__name__}, not {type(value).__name__}"
            )

    return check


def _words(statuses: Iterable[str]) -> frozenset[str]:
    words = frozenset([statuses] if isinstance(statuses, str) else statuses)
    if not all(isinstance(word, str) for word in words):
        raise ConfigurationError("on must be a set of statuses such as 'busy' and 'no-answer'")
    return words


@attrs.frozen(kw_only=True)
class Redial:
    """Call again whom a call did not reach: the caller's explicit choice.

    Raises:
        ConfigurationError: A bound is out of bounds.
    """

    watch: Callable[[Participant], Awaitable[str | None]] = attrs.field(
        repr=False, validator=_callable
    )
    """Awaited with a participant that was placed; returns the call's final status (``busy``,
    ``no-answer``, ``completed`` …), from callbacks or by polling, or None if it cannot tell. If it
    fails, that is logged, and the target is not called again."""

    attempts: int = attrs.field(default=3, validator=_count(1))
    """Calls to one target at most, the first included."""

    pause: float = attrs.field(default=300.0, validator=_seconds)
    """Seconds between two calls to one target."""

    on: frozenset[str] = attrs.field(
        default=frozenset({"busy", "no-answer", "failed"}), converter=_words
    )
    """After which statuses to call again."""


@attrs.frozen(kw_only=True)
class Quorum:
    """Stop calling once enough have joined, and hang up on those whose phone still rings.

    Raises:
        ConfigurationError: A bound is out of bounds, or not one of `joined` and `humans` is given.
    """

    joined: int | None = attrs.field(default=None, validator=attrs.validators.optional(_count(1)))
    """How many of the campaign's targets must be in the conference at the same time; whatever
    picks up counts, a voicemail too."""

    humans: int | None = attrs.field(default=None, validator=attrs.validators.optional(_count(1)))
    """How many people must be there at the same time. A target with ``machine_detection`` counts
    once it has heard a person; one without counts as soon as it has joined, since nobody can tell.
    Those whom an earlier run called count only where detection has heard a person."""

    deadline: float = attrs.field(default=300.0, validator=_seconds)
    """Seconds after the run's start at which it ends without them."""

    poll: float = attrs.field(default=2.0, validator=_seconds)
    """Seconds between two looks at the conference."""

    count: Callable[[], Awaitable[int]] | None = attrs.field(
        default=None, repr=False, validator=attrs.validators.optional(_callable)
    )
    """Returns how many have joined, where callbacks know better; else, and while it fails, the
    lists of participants are asked for those ``connected``."""

    def __attrs_post_init__(self) -> None:
        if (self.joined is None) is (self.humans is None):
            raise ConfigurationError("a quorum is so many joined= or so many humans=")

    @property
    def wanted(self) -> int:
        """How many are to be there, people or not."""
        return self.joined or self.humans or 0


def addresses(numbers: Iterable[str]) -> frozenset[str]:
    """Return a do-not-call list in the form that targets are looked up in.

    Raises:
        ConfigurationError: An entry is no address, or a number without its country code, and
            so would never match.
    """
    keys: set[str] = set()
    given: object = numbers
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"do_not_call must be addresses, not {type(given).__name__}")
    for place, number in enumerate(numbers, start=1):
        entry: object = number
        if not isinstance(entry, str):
            raise ConfigurationError(
                f"do_not_call: entry {place} is no text but {type(entry).__name__}; a number as "
                "such may have lost digits"
            )
        try:
            keys.add(address_key(normalise_number(number, parameter=f"entry {place}")))
        except InvalidParameter as error:
            raise ConfigurationError(f"do_not_call: {error}") from error
    return frozenset(keys)


class Callee(Protocol):
    """Somebody to be called: what rules ask of a row of a plan, or of a ledger."""

    @property
    def to(self) -> str:
        """The address."""
        ...

    @property
    def purpose(self) -> str | None:
        """What the call is about."""
        ...

    @property
    def earliest(self) -> datetime | None:
        """The first moment at which it may be made."""
        ...

    @property
    def latest(self) -> datetime | None:
        """The moment from which on it may not."""
        ...


@attrs.frozen(kw_only=True)
class Wishes:
    """The settings of a `Dialer`; see there for their meaning.

    Raises:
        ConfigurationError: One is out of bounds.
    """

    deadline: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_seconds)
    )
    retries: int = attrs.field(default=RETRIES, validator=_count(0))
    redial_unknown: bool = attrs.field(default=False, validator=_one_of(bool))
    redial: Redial | None = attrs.field(default=None, validator=_one_of(Redial))
    do_not_call: frozenset[str] = frozenset()
    hours: CallingHours | None = attrs.field(default=None, validator=_one_of(CallingHours))
    rules: ContactRules = attrs.field(
        default=NO_RULES, validator=_one_of(ContactRules, or_none=False)
    )
    quorum: Quorum | None = attrs.field(default=None, validator=_one_of(Quorum))

    contact: ContactRules = attrs.field(init=False, eq=False, repr=False)
    """All that is said of who may be called, when, and how often."""

    _withhold: bool = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.hours is not None and self.rules.hours:
            raise ConfigurationError("give the hours in hours=, or in the contact rules, not both")
        rules = self.rules if self.hours is None else attrs.evolve(self.rules, hours=self.hours)
        object.__setattr__(self, "contact", rules)
        object.__setattr__(self, "_withhold", bool(self.do_not_call) or rules != NO_RULES)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of them before dialling."""
        zone = self.contact.assumed_zone
        if zone is None:
            return ()
        return (f"numbers without a known time zone are taken to be in {zone}",)

    def concern(self, callee: Callee) -> bool:
        """Return whether anything may stand against calling a target at some time."""
        return self._withhold or callee.earliest is not None or callee.latest is not None

    def forbids(self, to: str) -> bool:
        """Return whether an address is not to be called."""
        return address_key(to) in self.do_not_call

    def zones_of(self, target: Target) -> tuple[ZoneInfo, ...]:
        """Return the time zones that a target is taken to be in; none where they do not matter.

        It reads files at first use, so call it off the event loop.
        """
        contact = self.contact
        return zones_of(target, contact.assumed_zone) if contact.ask_for_zones else ()

    def verdict(
        self,
        callee: Callee,
        now: datetime,
        zones: Sequence[ZoneInfo],
        contacts: Sequence[Contact] = (),
    ) -> Verdict:
        """Return when a target may be called, and why not before.

        Args:
            callee: The target.
            now: An aware datetime.
            zones: The time zones that it may be in.
            contacts: The calls to its number that are known.
        """
        if self.do_not_call and self.forbids(callee.to):
            return Verdict(opening=None, why=ON_THE_LIST)
        if self.contact is NO_RULES and callee.earliest is None and callee.latest is None:
            return Verdict(opening=now)  # as for most
        return self.contact.verdict(
            now,
            zones,
            contacts,
            purpose=self.purpose_of(callee),
            earliest=callee.earliest,
            latest=callee.latest,
        )

    def purpose_of(self, callee: Callee) -> str | None:
        """Return what a call to a target is about."""
        return callee.purpose or self.rules.purpose

    def why_not(
        self, callee: Callee, now: datetime, zones: Sequence[ZoneInfo], contacts: Sequence[Contact]
    ) -> str | None:
        """Return why a target is not called at an instant, None if nothing stands against it."""
        verdict = self.verdict(callee, now, zones, contacts)
        return NOT_AT_THIS_TIME if verdict.why == OUTSIDE else verdict.why or None
