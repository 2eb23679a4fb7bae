"""The settings of a log of events: what is kept, and how long is waited."""

from typing import TypedDict

import attrs

from conference_async.bounds import check_count, check_seconds
from conference_async.errors import ConfigurationError


class LogSettings(TypedDict, total=False):
    """The keywords that every shared log of events takes."""

    since: float
    """Seconds of the past that a process reads when it starts, so that it knows the rooms that
    are live: the longest that a conference of yours lasts. Four hours if not given."""

    keep: float
    """Seconds for which events, and the keys that tell repetitions, are kept; `since` or more. A
    day if not given."""

    most: int
    """About how many events are kept at most, 1 or more; a million if not given."""

    patience: float
    """Seconds that a callback waits for the store before it is answered 503, more than 0; five if
    not given. The service waits for 15."""


@attrs.frozen(kw_only=True)
class Checked:
    """The settings of one log, with their defaults.

    Raises:
        ConfigurationError: One is out of its bounds.
    """

    since: float = 14_400.0
    keep: float = 86_400.0
    most: int = 1_000_000
    patience: float = 5.0

    def __attrs_post_init__(self) -> None:
        check_seconds("since", self.since)
        check_seconds("keep", self.keep, zero=False)
        check_count("most", self.most)
        check_seconds("patience", self.patience, zero=False)
        if self.keep < self.since:
            raise ConfigurationError(
                f"keep must be since ({self.since:g} s) or more, or a process that starts would "
                f"not find the past it reads; not {self.keep:g} s"
            )
