"""Operations on conferences."""

from collections.abc import Iterable
from datetime import date

from conference_async.emulator import parameters, resources
from conference_async.emulator.announcer import Announcer
from conference_async.emulator.forms import Form
from conference_async.emulator.operations import Asked
from conference_async.emulator.paging import page
from conference_async.emulator.parties import Room
from conference_async.emulator.replies import ApiError, Reply, render, render_page
from conference_async.emulator.sids import SidMint
from conference_async.emulator.switchboard import Switchboard

_ELEMENT = "Conference"


class Conferences:
    """Fetch, list, update."""

    def __init__(self, switchboard: Switchboard, *, announcer: Announcer, mint: SidMint) -> None:
        self._switchboard = switchboard
        self._announcer = announcer
        self._mint = mint

    def fetch(self, asked: Asked) -> Reply:
        """Show one conference, over or not."""
        return render(resources.conference(asked.room()), _ELEMENT, xml=asked.route.xml)

    def list(self, asked: Asked) -> Reply:
        """Show conferences; without a ``Status``, those in progress."""
        query = asked.query
        parameters.check(query, parameters.LIST_CONFERENCES)
        rows = [
            room
            for room in _candidates(asked)
            if room.visible_from <= asked.at
            and room.status == (query.text("Status") or "in-progress").lower()
            and query.text("FriendlyName") in (None, room.friendly_name)
            and _within(query, "DateCreated", room.created.date())
            and _within(query, "DateUpdated", room.updated.date())
        ]
        envelope = page(
            rows,
            key="conferences",
            show=resources.conference,
            path=asked.path,
            query=query,
            mint=self._mint,
        )
        return render_page(envelope, "conferences", xml=asked.route.xml)

    def update(self, asked: Asked) -> Reply:
        """End a live conference, or announce to everybody in it."""
        parameters.check(asked.form, parameters.UPDATE_CONFERENCE)
        room = asked.room()
        if not room.live:
            raise ApiError(16022, f"Conference {room.sid} is completed")
        if url := asked.form.text("AnnounceUrl"):
            self._announcer.announcement(room, url)
        if "Status" in asked.form:
            self._switchboard.close(room, "conference-ended-via-api")
        return render(resources.conference(room), _ELEMENT, xml=asked.route.xml)


def _candidates(asked: Asked) -> Iterable[Room]:
    """Return the conferences worth looking at: a live one by name is found without a search."""
    name = asked.query.text("FriendlyName")
    if name is None or asked.query.text("Status") == "completed":
        return asked.account.rooms.values()
    room = asked.account.live_names.get(name)
    return [room] if room else []


def _within(query: Form, name: str, day: date) -> bool:
    """Return whether a day passes ``name`` (on it), ``name<`` (before), ``name>`` (on or after)."""
    text = day.isoformat()
    on, before, after = (query.text(name + sign) for sign in ("", "<", ">"))
    return (
        on in (None, text)
        and (before is None or text < before)
        and (after is None or text >= after)
    )
