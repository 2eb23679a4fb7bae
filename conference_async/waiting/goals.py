"""Waiting for a call to come to a goal, by whatever means that is known."""

from abc import ABC, abstractmethod
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Protocol, Required, TypeAlias, TypedDict

import attrs

from conference_async.errors import CallOver, ConfigurationError, NotAnswered
from conference_async.privacy import printable
from conference_async.waiting.call_view import CallView, Unknown


class Goal(Enum):
    """The goals that can be waited for."""

    ANSWERED = "answered"
    JOINED = "joined"
    LEFT = "left"
    COMPLETED = "completed"
    DETECTED = "identified as a person or a machine"


class CallbackFields(TypedDict, total=False):
    """The fields of a create by which the service reports what happens; see `NewParticipant`."""

    status_callback: str
    status_callback_event: str
    conference_status_callback: str
    conference_status_callback_event: str


class LabelledFields(CallbackFields, total=False):
    """The label of a create, and the callbacks that carry it."""

    label: Required[str]


class Placed(Protocol):
    """A value of one call: what a create returned, a `Participant` or a `CallView`."""

    @property
    def call_sid(self) -> str | None:
        """The call, ``CA…``."""

    @property
    def label(self) -> str | None:
        """The participant's label."""


Called: TypeAlias = str | Placed
"""Which call is meant: what the create returned, a Call SID or a label."""

WaitResult: TypeAlias = Coroutine[Any, Any, CallView]
"""A wait, which gives the call when it is awaited."""


@attrs.frozen
class Mark:
    """A point in the order in which calls became known; see `Waits.mark`."""

    births: int
    """The number of calls that were known before it."""


class Waits(ABC):
    """Awaits what happens to one call: by callbacks (`Calls`), or by polling (`Polling`).

    `who` is what the create returned, a Call SID or a label. The first two mean one call for
    good. A label may be used again, so it means the call of the create that was last prepared
    with `callbacks` or `labelled`, else the newest; with `since`, the first call that came after
    that point. What happened before the wait counts. Every wait ends after `timeout` seconds at
    the latest, with `NotAnswered`, which is a `TimeoutError` and shows the call as it stands; the
    call goes on, and the wait may be repeated.

    A `timeout` that is negative or endless is a `ConfigurationError`.
    """

    def answered(self, who: Called, *, timeout: float, since: Mark | None = None) -> WaitResult:
        """Wait until somebody, or something, picks up.

        Raises:
            CallOver: The call ended first: busy, not answered, failed, canceled.
            NotAnswered: Neither happened in `timeout` seconds.
        """
        return self._until(who, Goal.ANSWERED, timeout, since)

    def joined(self, who: Called, *, timeout: float, since: Mark | None = None) -> WaitResult:
        """Wait until the participant is in the conference.

        Raises:
            CallOver: The participant is out of it already, or will not come.
            NotAnswered: Neither happened in `timeout` seconds.
        """
        return self._until(who, Goal.JOINED, timeout, since)

    def left(self, who: Called, *, timeout: float, since: Mark | None = None) -> WaitResult:
        """Wait until the participant is out of the conference; `CallView.reason` says why.

        Raises:
            NotAnswered: It did not happen in `timeout` seconds.
        """
        return self._until(who, Goal.LEFT, timeout, since)

    def completed(self, who: Called, *, timeout: float, since: Mark | None = None) -> WaitResult:
        """Wait until the call is over; `CallView.status` says how.

        Raises:
            NotAnswered: It did not happen in `timeout` seconds.
        """
        return self._until(who, Goal.COMPLETED, timeout, since)

    def detected(self, who: Called, *, timeout: float, since: Mark | None = None) -> WaitResult:
        """Wait until machine detection says who picked up: `CallView.answered_by`.

        The participant must be created with ``machine_detection``; for callbacks, also with
        ``amd_status_callback``.

        Raises:
            CallOver: The call ended before that was known.
            NotAnswered: Neither happened in `timeout` seconds.
        """
        return self._until(who, Goal.DETECTED, timeout, since)

    def labelled(self, label: str, *, conference: str | None = None) -> LabelledFields:
        """Return a label and the fields that these waits need, for ``create(**fields)``.

        Call it once for each create: the label then means the call which that create places.

        Args:
            label: The label of that create.
            conference: The conference that it goes to, by SID or friendly name.
        """
        return {"label": label, **self.callbacks(label, conference=conference)}

    @abstractmethod
    def callbacks(
        self, label: str | None = None, *, conference: str | None = None
    ) -> CallbackFields:
        """Return the fields of a create that these waits need, for ``create(**fields)``.

        Args:
            label: The label of that create, if it has one: as for `labelled`, which gives the
                create its label, too.
            conference: The conference that it goes to, by SID or friendly name.
        """

    @abstractmethod
    def mark(self) -> Mark:
        """Return the present point: a wait ``since`` it means a call that came after it."""

    @abstractmethod
    async def _until(self, who: Called, goal: Goal, seconds: float, since: Mark | None) -> CallView:
        """Return the call once it has come to the goal."""


def name_of(who: Called) -> str:
    """Return the Call SID or label of the call that is meant.

    Raises:
        ConfigurationError: It has neither.
    """
    name: object = who
    if not isinstance(who, str):
        name = getattr(who, "call_sid", None) or getattr(who, "label", None)
    if not isinstance(name, str) or not name:
        raise ConfigurationError("a wait needs a label, a Call SID or what the create returned")
    return name


_COMES_OR_NEVER = {Goal.ANSWERED, Goal.JOINED, Goal.DETECTED}


def is_decided(view: CallView, goal: Goal) -> bool:
    """Return whether a call has come to a goal, or never will."""
    return _is_at(view, goal) or (view.over and goal is not Goal.COMPLETED)


def has_come(view: CallView, goal: Goal) -> bool:
    """Return whether a call has come to a goal.

    Raises:
        CallOver: It never will.
    """
    come = _is_at(view, goal)
    if view.over and not come and goal in _COMES_OR_NEVER:
        how = "over, it is not known how" if view.status is Unknown.UNKNOWN else view.status
        raise CallOver(
            f"{printable(view.label or view.call_sid)} was gone before it was {goal.value}: the "
            f"call {view.call_sid} is {printable(how or 'over')}",
            call_sid=view.call_sid,
            status=view.status,
            reason=view.reason,
        )
    return come


def _is_at(view: CallView, goal: Goal) -> bool:
    match goal:
        case Goal.ANSWERED:
            return bool(view.answered)
        case Goal.JOINED:
            return bool(view.joined)
        case Goal.DETECTED:
            return view.answered_by is not None
        case Goal.LEFT:
            return view.left
        case Goal.COMPLETED:
            return bool(view.ended) or view.status is Unknown.UNKNOWN


def not_in_time(
    who: str, goal: Goal, seconds: float, view: CallView | None, why: str
) -> NotAnswered:
    """Return the error that says what did not happen.

    Args:
        who: The call, as it was asked for.
        goal: What was waited for.
        seconds: For how long.
        view: The call as it stands; None if nothing is known of it.
        why: Why not more is known of it; empty where that is not the matter.
    """
    known = [] if view is None else [f"its status is {printable(view.status or 'unknown')}"]
    known += [why] if why else []
    return NotAnswered(
        f"{printable(who)} was not {goal.value} within {seconds:g} s, and {'; '.join(known)}; it "
        "is safe to wait again",
        view=view,
    )
