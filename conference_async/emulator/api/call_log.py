"""Operations on an account and its calls."""

from datetime import datetime

from conference_async.emulator.api import parameters, resources
from conference_async.emulator.api.operations import Asked
from conference_async.emulator.api.paging import page
from conference_async.emulator.calls.life import Life
from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError, Reply, render, render_page
from conference_async.emulator.settings import Settings
from conference_async.emulator.sids import SidMint
from conference_async.emulator.state import Call

_DAY = len("2026-01-31")


class CallLog:
    """Fetch, list and end calls, ended and queued ones included; fetch their account."""

    def __init__(self, life: Life, settings: Settings, *, mint: SidMint) -> None:
        self._life = life
        self._settings = settings
        self._mint = mint

    def account(self, asked: Asked) -> Reply:
        """Show the account."""
        return render(resources.account(asked.account), "Account", xml=asked.route.xml)

    def fetch(self, asked: Asked) -> Reply:
        """Show one call, over or not."""
        return self._show(_call(asked), asked)

    def update(self, asked: Asked) -> Reply:
        """End a live call; ``canceled`` leaves one alone that was answered."""
        parameters.check(asked.form, parameters.UPDATE_CALL)
        call = _call(asked)
        if call.ended is not None:
            raise ApiError(21220, "Call is not in-progress")
        status = (asked.form.text("Status") or "").lower()
        if status == "completed" or (status == "canceled" and call.answered_at is None):
            self._life.take_down(call)
        return self._show(call, asked)

    def list(self, asked: Asked) -> Reply:
        """Show calls, the newest first; a ``StartTime`` filter hides those that have not started.

        The log is written behind the calls: a new call is in it after `Settings.call_log_lag`.
        """
        query = asked.query
        parameters.check(query, parameters.LIST_CALLS)
        to, from_, status = (query.text(name) for name in ("To", "From", "Status"))
        rows = [
            call
            for call in reversed(asked.account.calls.values())
            if call.created_at <= asked.at - self._settings.call_log_lag
            and to in (None, call.to)
            and from_ in (None, call.from_)
            and status in (None, resources.logged_status(call))
            and _within(query, "StartTime", call.started)
            and _within(query, "EndTime", call.ended)
        ]
        envelope = page(
            rows,
            key="calls",
            show=resources.call_record,
            path=asked.path,
            query=query,
            mint=self._mint,
            newest_first=True,
        )
        return render_page(envelope, "calls", xml=asked.route.xml)

    def _show(self, call: Call, asked: Asked) -> Reply:
        return render(resources.call_record(call), "Call", xml=asked.route.xml)


def _call(asked: Asked) -> Call:
    call = asked.account.calls.get(asked.route.parent)
    if call is None:
        raise asked.missing()
    return call


def _within(query: Form, name: str, moment: datetime | None) -> bool:
    """Return whether a moment passes ``name`` (on it), ``name<`` (before), ``name>`` (since)."""
    on, before, after = (query.text(name + sign) for sign in ("", "<", ">"))
    if moment is None:
        return on is before is after is None
    text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        (on is None or text[: _DAY if len(on) == _DAY else None] == on)
        and (before is None or text < before)
        and (after is None or text >= after)
    )
