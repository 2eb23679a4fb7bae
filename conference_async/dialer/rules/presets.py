"""Rules of some countries as data: a help to start from, and no legal advice.

Each says where it was read and since when it holds. Laws change, states and trades have stricter
ones, and consent or a contract may allow more: whoever calls has to know.
"""

from collections.abc import Mapping
from datetime import date, time, timedelta

import attrs

from conference_async.dialer.rules.contact_rules import ContactRules
from conference_async.dialer.rules.hours import CallingHours
from conference_async.errors import ConfigurationError
from conference_async.journal.contacts import ContactLimit


@attrs.frozen(kw_only=True)
class Preset:
    """One country's rules for one kind of call, as far as `ContactRules` can say them."""

    about: str
    """What they say, in one line."""

    source: str
    """Where they are written."""

    since: date
    """Since when they hold."""

    read: date
    """When the source was read for this."""

    lacks: str
    """What they say besides, that is not kept to."""

    rules: ContactRules
    """The rules."""


_US_HOURS = CallingHours(time(8), time(21))
_READ = date(2026, 11, 26)

PRESETS: Mapping[str, Preset] = {
    "us": Preset(
        about="US: 8 to 21 h local",
        source="47 CFR 64.1200(c)(1), telephone solicitations",
        since=date(1992, 12, 20),
        read=_READ,
        lacks="the stricter hours of some states; the do-not-call registry",
        rules=ContactRules(hours=_US_HOURS),
    ),
    "us-debt": Preset(
        about="US debt collection: 8 to 21 h local, 7 in 7 days",
        source="12 CFR 1006.6(b)(1) and 1006.14(b)(2), Regulation F",
        since=date(2021, 11, 30),
        read=_READ,
        lacks="it counts for each debt, and after a conversation there is a week without calls",
        rules=ContactRules(hours=_US_HOURS, limits=ContactLimit(7, timedelta(days=7))),
    ),
    "fr": Preset(
        about="France: Monday to Friday, 10 to 13 and 14 to 20 h local, 4 in 30 days",
        source="Code de la consommation, D. 223-9, commercial canvassing (décret 2022-1313)",
        since=date(2023, 3, 1),
        read=_READ,
        lacks="public holidays: give them as holidays; the register; 60 days after a refusal",
        rules=ContactRules(
            hours=(
                CallingHours(time(10), time(13), "mon-fri"),
                CallingHours(time(14), time(20), "mon-fri"),
            ),
            limits=ContactLimit(4, timedelta(days=30)),
        ),
    ),
}
"""By their names."""


def preset(name: str) -> Preset:
    """Return the rules of that name.

    Raises:
        ConfigurationError: There are none.
    """
    if name not in PRESETS:
        raise ConfigurationError(f"there are rules for {', '.join(PRESETS)}, not for {name!r}")
    return PRESETS[name]
