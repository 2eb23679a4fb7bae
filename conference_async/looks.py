"""The looks for a create whose outcome is in doubt: where, when, and what was held there."""

from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from conference_async.privacy import described, one_line

Place: TypeAlias = Literal["label", "call-log"]
"""Where it was looked for: under its label among the living, or in the account's call log."""

Held: TypeAlias = Literal[
    "nothing",
    "absent",
    "several",
    "shared",
    "untimely",
    "elsewhere",
    "early",
    "unreadable",
    "unsearchable",
]
"""What was held there: see `Look.held`."""

_WORDS: dict[Held, str] = {
    "nothing": "no live participant has it",
    "absent": "it was read in full, and holds no call that could be this one",
    "several": "more than one call could be this one",
    "shared": "another create to the same number is in doubt too, so the call could be either's",
    "untimely": "it holds one call, which was not created while the request was under way",
    "elsewhere": "it holds one call, which goes on and is not seen in the conference",
    "early": "it was not read, since what is new may not be in it yet",
    "unreadable": "it could not be read",
    "unsearchable": "it can be searched for phone numbers in E.164 only, such as +15558675310",
}


@attrs.frozen(kw_only=True)
class Look:
    """One look for what became of a create."""

    where: Place
    """Where it was looked for."""

    at: datetime
    """When, by this machine's clock, in UTC."""

    held: Held
    """What it held.

    - ``nothing``: no live participant has the label, which proves nothing.
    - ``absent``: the log was read in full once it must show the call (`RetryPolicy.settled`), and
      holds none that could be this one, so nothing was placed.
    - ``several``: more than one call of the log could be this one.
    - ``shared``: another create of ours to that number is in doubt, so the call may be its.
    - ``untimely``: one call, created shortly before the request was under way, or after.
    - ``elsewhere``: one call, which goes on; the conference does not show it.
    - ``early``: the log was not read, as it need not show the call yet.
    - ``unsearchable``: caller or target is no phone number in E.164, so the log was not read.
    - ``unreadable``: the service did not answer in a readable way.
    """

    detail: str = attrs.field(default="", converter=one_line)
    """What stood in the way, masked; empty if nothing did."""

    def __repr__(self) -> str:
        return described(self)

    def __str__(self) -> str:
        place = "it in the call log" if self.where == "call-log" else "its label"
        detail = f" ({self.detail})" if self.detail else ""
        return f"{place} at {self.at:%H:%M:%S}: {_WORDS[self.held]}{detail}"
