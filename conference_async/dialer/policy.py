"""What a run does, and what it does not, besides calling every target once."""

import re
from collections.abc import Awaitable, Callable, Iterable

import attrs

from conference_async.dialer.hours import CallingHours
from conference_async.dialer.targets import address_key
from conference_async.errors import ConfigurationError
from conference_async.models import Participant, kind_of

ON_THE_LIST = "it is on the do-not-call list"
"""Why somebody is not called whose address is among those not to be called."""

_PUNCTUATION = re.compile(r"[\s().\-]+")


def _at_least_one(_instance: object, attribute: "attrs.Attribute[int]", value: int) -> None:
    if value < 1:
        raise ConfigurationError(f"{attribute.name} must be 1 or more, not {value!r}")


def _seconds(_instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not 0 < value < float("inf"):
        raise ConfigurationError(f"{attribute.name} must be more than 0 seconds, not {value!r}")


def _words(statuses: Iterable[str]) -> frozenset[str]:
    return frozenset(statuses)


@attrs.frozen(kw_only=True)
class Redial:
    """Call again whom a call did not reach: the caller's explicit choice.

    Raises:
        ConfigurationError: A bound is out of bounds.
    """

    watch: Callable[[Participant], Awaitable[str | None]] = attrs.field(repr=False)
    """Awaited with a participant that was placed; returns the call's final status (``busy``,
    ``no-answer``, ``completed`` …), from callbacks or by polling, or None if it cannot tell."""

    attempts: int = attrs.field(default=3, validator=_at_least_one)
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
        ConfigurationError: A bound is out of bounds.
    """

    joined: int = attrs.field(validator=_at_least_one)
    """How many of the campaign's targets must be in the conference at the same time."""

    deadline: float = attrs.field(default=300.0, validator=_seconds)
    """Seconds after the run's start at which it ends without them."""

    poll: float = attrs.field(default=2.0, validator=_seconds)
    """Seconds between two looks at the conference."""

    count: Callable[[], Awaitable[int]] | None = attrs.field(default=None, repr=False)
    """Returns how many have joined, where callbacks know better; else the lists of participants
    are asked for those ``connected``."""


def addresses(numbers: Iterable[str]) -> frozenset[str]:
    """Return a do-not-call list in the form that targets are looked up in.

    Raises:
        ConfigurationError: An entry is no address, or a number without its country code, and
            so would never match.
    """
    keys: set[str] = set()
    for place, number in enumerate(numbers, start=1):
        address = number.strip() if ":" in number else _PUNCTUATION.sub("", number)
        if kind_of(address) is None or (":" not in address and not address.startswith("+")):
            raise ConfigurationError(
                f"do_not_call: entry {place} is no address; write numbers as + and digits, "
                "the country code first"
            )
        keys.add(address_key(address))
    return frozenset(keys)


@attrs.frozen(kw_only=True)
class Policy:
    """The settings of a `Dialer`; see there for their meaning."""

    deadline: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_seconds)
    )
    retries: int = 5
    redial_unknown: bool = False
    redial: Redial | None = None
    do_not_call: frozenset[str] = frozenset()
    hours: CallingHours | None = None
    quorum: Quorum | None = None

    def forbids(self, to: str) -> bool:
        """Return whether an address is not to be called."""
        return address_key(to) in self.do_not_call
