"""Operations on conferences."""

from datetime import datetime

from conference_async.emulator.api import parameters, resources
from conference_async.emulator.api.operations import Asked
from conference_async.emulator.api.paging import in_order, page
from conference_async.emulator.callbacks.events import Events
from conference_async.emulator.calls.life import Life
from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError, Reply, render, render_page
from conference_async.emulator.settings import Settings
from conference_async.emulator.sids import SidMint
from conference_async.emulator.state import Room

_ELEMENT = "Conference"


class Conferences:
    """Fetch, list, update."""

    def __init__(self, life: Life, settings: Settings, *, events: Events, mint: SidMint) -> None:
        self._life = life
        self._settings = settings
        self._events = events
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
            for room in in_order(_candidates(asked), newest_first=self._settings.newest_first)
            if room.visible_from <= asked.at
            and room.status == (query.text("Status") or "in-progress").lower()
            and query.text("FriendlyName") in (None, room.friendly_name)
            and _within(query, "DateCreated", room.created)
            and _within(query, "DateUpdated", room.updated)
        ]
        envelope = page(
            rows,
            key="conferences",
            show=resources.conference,
            path=asked.path,
            query=query,
            mint=self._mint,
            newest_first=self._settings.newest_first,
        )
        return render_page(envelope, "conferences", xml=asked.route.xml)

    def update(self, asked: Asked) -> Reply:
        """End a live conference, or announce to everybody in it."""
        parameters.check(asked.form, parameters.UPDATE_CONFERENCE)
        room = asked.room()
        if not room.live:
            raise ApiError(16022, f"Conference {room.sid} is completed")
        if url := asked.form.text("AnnounceUrl"):
            self._events.announcement(room, url)
        if "Status" in asked.form:
            self._life.close(room, "conference-ended-via-api")
        return render(resources.conference(room), _ELEMENT, xml=asked.route.xml)


def _candidates(asked: Asked) -> list[Room]:
    """Return the conferences worth looking at: a live one by name is found without a search."""
    name = asked.query.text("FriendlyName")
    if name is None or asked.query.text("Status") == "completed":
        return list(asked.account.rooms.values())
    room = asked.account.live_names.get(name)
    return [room] if room else []


def _within(query: Form, name: str, moment: datetime) -> bool:
    """Return whether a moment passes ``name`` (on that day), ``name<`` and ``name>``.

    Both inequalities mean the midnight at which the day begins, that instant included: ``<`` has
    what was before the day, ``>`` what was on it or after.
    """
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    on, before, after = (query.text(name + sign) for sign in ("", "<", ">"))
    return (
        (on is None or text.startswith(on))
        and (before is None or text <= f"{before}T00:00:00")
        and (after is None or text >= after)
    )
