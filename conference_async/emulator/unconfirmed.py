"""What is not known of the service for sure, as settings whose default is the likely answer."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from conference_async.emulator.bounds import number, seconds, word

_is_flag = attrs.validators.instance_of(bool)
_LOWEST_CODE, _HIGHEST_CODE = 10_000, 99_999
_LOWEST_STATUS, _HIGHEST_STATUS = 400, 599


def _statuses(given: Mapping[Any, Any]) -> dict[int, int]:
    """Return statuses by code; JSON has the codes as text."""
    if not isinstance(given, Mapping):
        raise TypeError("error_statuses must have statuses by codes")
    try:
        return {int(code): status for code, status in given.items()}
    except ValueError:
        raise ValueError("error_statuses must have whole numbers for codes") from None


def _check_statuses(_owner: object, _field: object, statuses: Mapping[int, int]) -> None:
    for code, status in statuses.items():
        if not _LOWEST_CODE <= code <= _HIGHEST_CODE:
            raise ValueError("error_statuses must have codes of five digits")
        if type(status) is not int or not _LOWEST_STATUS <= status <= _HIGHEST_STATUS:
            raise ValueError(
                f"error_statuses must have statuses from {_LOWEST_STATUS} to {_HIGHEST_STATUS}"
            )


def _combinations(given: Iterable[Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the combinations, each in the order of the alphabet."""
    message = "refused_updates must be groups of two or more parameters' names"
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise TypeError(message)
    groups: list[tuple[str, ...]] = []
    for group in given:
        names = list(group) if isinstance(group, (list, tuple, set, frozenset)) else []
        if len(names) < 2 or not all(isinstance(name, str) for name in names):  # noqa: PLR2004 - a pair
            raise ValueError(message)
        groups.append(tuple(sorted(names)))
    return tuple(groups)


@attrs.define(kw_only=True, eq=False)
class Unconfirmed:
    """The settings of an `Emulator` that stand for what nobody has confirmed.

    They may be changed while it runs; the defaults are the likely answers.

    Raises:
        ValueError: One is out of its bounds, when it is made or changed.
        TypeError: One is of another type.
    """

    error_statuses: Mapping[int, int] = attrs.field(
        factory=dict[int, int], converter=_statuses, validator=_check_statuses
    )
    """HTTP statuses by the service's error code, where they are to be others than the usual: 400
    for the codes from 10004 to 22005, 422 for 20422. So ``{16026: 409}``."""
    retry_after: float | None = attrs.field(default=None, validator=number(0, optional=True))
    """Seconds in the ``Retry-After`` of every 429; None sends none."""
    calls_share_pace: bool = attrs.field(default=True, validator=_is_flag)
    """Whether calls that are made elsewhere, by the Calls resource, take starts of the same calls
    per second; see `Emulator.call_elsewhere`."""
    labels_ignore_case: bool = attrs.field(default=False, validator=_is_flag)
    """Whether ``Alice`` is in use where ``alice`` is."""
    label_reuse_after: float = attrs.field(default=0.0, validator=seconds)
    """Seconds for which a label stays in use when whoever had it has left."""
    label_race: float = attrs.field(default=0.0, validator=seconds)
    """Seconds after a create in which a second one of the same label is not noticed."""
    sid_like_names: bool = attrs.field(default=False, validator=_is_flag)
    """Whether a create for an unknown ``CF…`` opens a conference of that name, instead of 16022."""
    idempotency_keys: bool = attrs.field(default=False, validator=_is_flag)
    """Whether a create that repeats an ``Idempotency-Key`` is answered as the first was."""
    amd_duration: bool = attrs.field(default=True, validator=_is_flag)
    """Whether the callback of machine detection has ``MachineDetectionDuration``."""
    progress_has_answered_by: bool = attrs.field(default=True, validator=_is_flag)
    """Whether callbacks of a call's progress have ``AnsweredBy`` once it is known."""
    refused_updates: tuple[tuple[str, ...], ...] = attrs.field(default=(), converter=_combinations)
    """Parameters of an update that are refused together, by their wire names, such as
    ``[["AnnounceUrl", "Hold"]]``; the answer is a 400 without a code."""
    newest_first: bool = attrs.field(default=False, validator=_is_flag)
    """Whether lists of participants and of conferences begin with the newest."""
    subaccount_callbacks: Literal["own", "parent"] = attrs.field(
        default="own", validator=word(Literal["own", "parent"])
    )
    """Whose auth token signs the callbacks of a subaccount."""
