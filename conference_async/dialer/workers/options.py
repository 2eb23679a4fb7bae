"""How workers are to dial a plan: what a submission may say."""

from collections.abc import Iterable
from typing import TypedDict

from conference_async.dialer.rules.contact_rules import ContactRules
from conference_async.dialer.rules.hours import CallingHours
from conference_async.dialer.rules.wishes import Quorum
from conference_async.errors import ConfigurationError


class SubmitOptions(TypedDict, total=False):
    """How workers are to dial a plan."""

    priority: int
    """Campaigns of a higher one go first; those of one take turns. 0 if not given."""

    redial_unknown: bool
    """Whether targets whose outcome stayed unknown are called again, with the same label. **It can
    ring a phone twice**, if the first call is already over."""

    do_not_call: Iterable[str]
    """Addresses to skip, as for a `Dialer`. Numbers that are listed later are skipped once the plan
    is submitted again."""

    deadline: float | None
    """Seconds from now after which no more calls are started, by the server's clock. The campaign
    is ``ended`` then, and what is left stays planned; resuming it or submitting it again goes
    on."""

    hours: CallingHours | None
    """When targets may be called, in their own time zones. Others wait in the database, for days if
    need be, and are skipped if their time never comes or comes after the deadline."""

    rules: ContactRules
    """Who may be called, when, and how often. Limits hold for all of the account's campaigns in the
    database. A worker of an older version knows hours only: stop those first."""

    quorum: Quorum | None
    """When enough have joined. Workers look every 5 seconds, whatever its `poll` says; its
    `deadline` counts from now, and is one for the whole campaign."""

    keep_missing: bool
    """Whether to call also those who were submitted before and are in the plan no more; they are
    skipped if not given."""


def refuse_unknown(options: SubmitOptions) -> None:
    """Refuse what is no option.

    Raises:
        ConfigurationError: There is such a one.
    """
    unknown = sorted(options.keys() - SubmitOptions.__annotations__.keys())
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is no option of submit (see SubmitOptions)")
