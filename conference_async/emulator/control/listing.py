"""What the control API shows of an emulator, without changing anything."""

from collections import deque
from itertools import islice

from conference_async.emulator.callbacks.delivery import DELIVERY
from conference_async.emulator.clock import Clock
from conference_async.emulator.control import shown
from conference_async.emulator.control.answers import answer
from conference_async.emulator.control.asked import Asked
from conference_async.emulator.control.overview import Overview
from conference_async.emulator.phones import Phones
from conference_async.emulator.replies import Json, Reply
from conference_async.emulator.settings import CHANGEABLE
from conference_async.emulator.state import Call

_USUAL, _MOST = 1000, 20_000
_LATEST = 10**15


class Listing:
    """The operations that only look."""

    def __init__(self, phones: Phones, *, overview: Overview, clock: Clock) -> None:
        self._phones = phones
        self._overview = overview
        self._clock = clock

    def show_overview(self, asked: Asked) -> Reply:
        """Show what the page shows, of bounded size."""
        asked.only(query=("account",))
        return answer(self._overview.of(asked.query.get("account", "")))

    def settings(self) -> dict[str, Json]:
        """Return the settings that can be changed."""
        return {name: getattr(self._phones, name) for name in CHANGEABLE}

    def delivery(self) -> dict[str, Json]:
        """Return how callbacks are delivered."""
        return {name: getattr(self._phones.callbacks, name) for name in DELIVERY}

    def show_settings(self, asked: Asked) -> Reply:
        """Show the settings."""
        asked.only()
        return answer(self.settings())

    def show_clock(self, asked: Asked) -> Reply:
        """Show the time, and whether it stands still."""
        asked.only()
        seconds = self._clock.since_opening(self._clock.time())
        now = self._phones.now.isoformat()
        return answer({"now": now, "seconds": seconds, "frozen": self._phones.frozen})

    def list_accounts(self, asked: Asked) -> Reply:
        """Show the accounts."""
        asked.only()
        return answer({"accounts": [shown.account(one) for one in self._phones.accounts]})

    def list_scripts(self, asked: Asked) -> Reply:
        """Show the scripts."""
        asked.only()
        scripts = self._phones.scripts.items()
        return answer({"scripts": [shown.script(ending, one) for ending, one in scripts]})

    def list_calls(self, asked: Asked) -> Reply:
        """Show the latest calls that pass every filter, oldest first."""
        asked.only(query=("conference", "to", "from", "label", "call_status", "limit"))
        limit = asked.count("limit", _USUAL, most=_MOST)

        def passes(call: Call) -> bool:
            values = {
                "conference": (call.room.sid, call.room.friendly_name),
                "to": (call.to,),
                "from": (call.from_,),
                "label": (call.label,),
                "call_status": (call.call_status,),
            }
            return all(asked.query.get(name, own[0]) in own for name, own in values.items())

        chosen = deque((call for call in self._phones.calls if passes(call)), maxlen=limit)
        return answer({"calls": [shown.call(call) for call in chosen]})

    def show_call(self, asked: Asked) -> Reply:
        """Show one call, by SID, label or number."""
        asked.only()
        return answer(shown.call(self._phones.call(asked.names["call"])))

    def list_conferences(self, asked: Asked) -> Reply:
        """Show the latest conferences, oldest first."""
        asked.only(query=("name", "limit"))
        limit = asked.count("limit", _USUAL, most=_MOST)
        rooms = (
            room
            for room in self._phones.conferences
            if asked.query.get("name", room.sid) in (room.sid, room.friendly_name)
        )
        chosen = deque(rooms, maxlen=limit)
        return answer({"conferences": [shown.conference(room) for room in chosen]})

    def count_rings(self, asked: Asked) -> Reply:
        """Show how often each target was dialled."""
        asked.only()
        return answer({"rings": self._phones.ring_counts})

    def count_rings_of(self, asked: Asked) -> Reply:
        """Show how often one target was dialled."""
        asked.only()
        to = asked.names["to"]
        return answer({"to": to, "rings": self._phones.rings(to)})

    def list_requests(self, asked: Asked) -> Reply:
        """Show the latest requests, oldest first."""
        asked.only(query=("kind", "after", "limit"))
        after = asked.count("after", 0, most=_LATEST)
        limit = asked.count("limit", _USUAL, most=_MOST)
        kind = asked.query.get("kind")
        if kind is not None:
            self._phones.count(kind)  # which refuses a kind that there is not
        total, came = self._phones.count(), self._phones.requests
        numbered = zip(range(total, after, -1), reversed(came), strict=False)
        found = (one for one in numbered if kind in (None, one[1].kind))
        latest = list(islice(found, limit))[::-1]
        requests = [shown.request(number, one, self._clock) for number, one in latest]
        return answer({"count": total, "requests": requests})

    def list_callbacks(self, asked: Asked) -> Reply:
        """Show the latest callbacks, in the order in which they were over."""
        asked.only(query=("limit",))
        limit = asked.count("limit", _USUAL, most=_MOST)
        latest = list(islice(reversed(self._phones.callbacks.sent), limit))[::-1]
        callbacks = [shown.callback(one, self._clock) for one in latest]
        return answer({"delivery": self.delivery(), "callbacks": callbacks})

    def list_faults(self, asked: Asked) -> Reply:
        """Show what has yet to go wrong."""
        asked.only()
        return answer({"faults": [shown.rule(rule) for rule in self._phones.faults.rules]})
