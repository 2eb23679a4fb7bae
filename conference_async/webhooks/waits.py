"""Waiting for what happens to a call, whoever it is that tells."""

from abc import ABC, abstractmethod
from collections.abc import Coroutine
from enum import Enum
from typing import Any, TypeAlias, TypedDict

from conference_async.errors import CallOver, RequestTimeout
from conference_async.webhooks.call_view import CallView, Unknown


class Goal(Enum):
    """What can be waited for."""

    ANSWERED = "answered"
    JOINED = "joined"
    LEFT = "left"
    COMPLETED = "completed"
    DETECTED = "told from a machine"


class CallbackFields(TypedDict, total=False):
    """The fields of a create by which the service tells what happens; see `NewParticipant`."""

    status_callback: str
    status_callback_event: str
    conference_status_callback: str
    conference_status_callback_event: str


WaitResult: TypeAlias = Coroutine[Any, Any, CallView]
"""What a wait gives when it is awaited."""


class Waits(ABC):
    """Awaits what happens to one call: by callbacks (`Calls`), or by polling (`Polling`).

    `who` is a Call SID or a label. What happened before the wait counts. Every wait ends after
    `timeout` seconds at the latest, with `RequestTimeout`, which is a `TimeoutError`; the call
    goes on, and the wait may be repeated.
    """

    def answered(self, who: str, *, timeout: float) -> WaitResult:
        """Wait until somebody, or something, picks up.

        Raises:
            CallOver: The call ended first: busy, not answered, failed, canceled.
            RequestTimeout: Neither happened in `timeout` seconds.
        """
        return self._until(who, Goal.ANSWERED, timeout)

    def joined(self, who: str, *, timeout: float) -> WaitResult:
        """Wait until the participant is in the conference.

        Raises:
            CallOver: The participant is out of it already, or will not come.
            RequestTimeout: Neither happened in `timeout` seconds.
        """
        return self._until(who, Goal.JOINED, timeout)

    def left(self, who: str, *, timeout: float) -> WaitResult:
        """Wait until the participant is out of the conference; `CallView.reason` says why.

        Raises:
            RequestTimeout: It did not happen in `timeout` seconds.
        """
        return self._until(who, Goal.LEFT, timeout)

    def completed(self, who: str, *, timeout: float) -> WaitResult:
        """Wait until the call is over; `CallView.status` says how.

        Raises:
            RequestTimeout: It did not happen in `timeout` seconds.
        """
        return self._until(who, Goal.COMPLETED, timeout)

    def detected(self, who: str, *, timeout: float) -> WaitResult:
        """Wait until machine detection tells who picked up: `CallView.answered_by`.

        The participant must be created with ``machine_detection`` and ``amd_status_callback``.

        Raises:
            CallOver: The call ended before that was told.
            RequestTimeout: Neither happened in `timeout` seconds.
            ConfigurationError: By polling this cannot be seen.
        """
        return self._until(who, Goal.DETECTED, timeout)

    @abstractmethod
    def callbacks(
        self, label: str | None = None, *, conference: str | None = None
    ) -> CallbackFields:
        """Return the fields of a create that these waits need, for ``create(**fields)``.

        Args:
            label: The label of that create, if it is given one.
            conference: The conference that it goes to, by SID or friendly name.
        """

    @abstractmethod
    async def _until(self, who: str, goal: Goal, seconds: float) -> CallView:
        """Return the call once it has come to the goal."""


def has_come(view: CallView, goal: Goal) -> bool:
    """Return whether a call has come to a goal.

    Raises:
        CallOver: It never will.
    """
    if goal is Goal.LEFT:
        return view.left
    if goal is Goal.COMPLETED:
        return bool(view.ended) or view.status is Unknown.UNKNOWN
    come = {
        Goal.ANSWERED: view.answered,
        Goal.JOINED: view.joined,
        Goal.DETECTED: view.answered_by is not None,
    }[goal]
    if view.over and not come:
        raise CallOver(
            f"{view.label or view.call_sid} is gone before it was {goal.value}: the call "
            f"{view.call_sid} is {view.status or 'over'}",
            call_sid=view.call_sid,
            status=view.status,
            reason=view.reason,
        )
    return bool(come)


def not_in_time(who: str, goal: Goal, seconds: float, view: CallView | None) -> RequestTimeout:
    """Return the error that says what was waited for in vain."""
    known = "nothing is known of it" if view is None else f"its status is {view.status}"
    return RequestTimeout(
        f"{who} was not {goal.value} within {seconds:g} s, and {known}; it is safe to wait again"
    )
