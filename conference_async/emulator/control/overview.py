"""The emulator's state, as JSON of bounded size."""

import math
from collections import Counter
from datetime import timedelta
from itertools import islice, takewhile

from conference_async.emulator.api.accounts import Accounts
from conference_async.emulator.clock import Clock
from conference_async.emulator.control import shown
from conference_async.emulator.faults import Faults
from conference_async.emulator.recorder import Recorder
from conference_async.emulator.replies import Json
from conference_async.emulator.settings import Settings
from conference_async.emulator.state import Account, Call, Room

SECONDS = 60
"""How far back the plot of the pace goes."""

_LIVE_ROOMS, _ENDED_ROOMS = 40, 5
_LIVE_CALLS, _ENDED_CALLS = 500, 10
_REQUESTS = 40
_FAULTS = 100


class Overview:
    """Shows one account of an emulator at a time."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        accounts: Accounts,
        faults: Faults,
        recorder: Recorder,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._accounts = accounts
        self._faults = faults
        self._recorder = recorder

    def of(self, account_sid: str) -> dict[str, Json]:
        """Return the state of an account, the main one in place of one that is not there."""
        accounts = self._accounts.by_sid
        account = accounts.get(account_sid, self._accounts.main)
        rooms, hidden_rooms = self._rooms(account)
        return {
            "account": account.sid,
            "accounts": list(accounts),
            "totals": self._totals(account),
            "pace": self._pace(account),
            "rooms": rooms,
            "hidden_rooms": hidden_rooms,
            "faults": [shown.rule(rule) for rule in islice(self._faults.rules, _FAULTS)],
            "requests": self._requests(),
        }

    def _totals(self, account: Account) -> dict[str, Json]:
        rooms = account.live_names.values()
        live = Counter(call.status for room in rooms for call in room.calls.values())
        return {
            "placed": self._recorder.rings.total(),
            "queued": live["queued"],
            "ringing": live["connecting"] + live["ringing"],
            "connected": live["connected"],
            "requests": self._recorder.kinds.total(),
        }

    def _pace(self, account: Account) -> dict[str, Json]:
        """Return per second, oldest first, how many calls started and how long new ones queue."""
        second = math.floor(self._clock.time())
        started, queue_time = [0] * SECONDS, [0] * SECONDS
        for start in takewhile(lambda start: start > second - SECONDS, reversed(account.starts)):
            started[SECONDS - 1 - second + math.floor(start)] += 1
        today = self._clock.now()
        since = today - timedelta(seconds=SECONDS)
        for call in takewhile(lambda call: call.created > since, reversed(account.calls.values())):
            place = SECONDS - 1 - round((today - call.created).total_seconds())
            queue_time[place] = max(queue_time[place], call.queue_time)
        cps = f"{account.cps:g}" if self._settings.pace else None
        return {"cps": cps, "started": started, "queue_time": queue_time}

    def _rooms(self, account: Account) -> tuple[list[Json], int]:
        live = list(islice(account.live_names.values(), _LIVE_ROOMS))
        newest_first = reversed(account.rooms.values())
        ended = islice((room for room in newest_first if not room.live), _ENDED_ROOMS)
        left, shown = _LIVE_CALLS, list[Json]()
        for room in (*live, *ended):
            calls = list(islice(room.calls.values(), left))
            left -= len(calls)
            shown.append(self._room(room, calls))
        return shown, len(account.live_names) - len(live)

    def _room(self, room: Room, calls: list[Call]) -> dict[str, Json]:
        return {
            "sid": room.sid,
            "name": room.friendly_name,
            "status": room.status,
            "live": len(room.calls),
            "inside": room.inside,
            "over": len(room.past),
            "hidden": len(room.calls) - len(calls),
            "calls": [
                self._call(call) for call in (*calls, *islice(reversed(room.past), _ENDED_CALLS))
            ],
        }

    def _call(self, call: Call) -> dict[str, Json]:
        return {
            "sid": call.sid,
            "label": call.label,
            "to": call.to,
            "status": call.status,
            "call_status": call.call_status,
            "seconds": self._seconds(call),
            "muted": call.muted,
            "waiting": call.waiting,
            "hold": call.hold,
            "coaching": call.coaching,
            "answered_by": call.answered_by,
            "over": call.ended is not None,
        }

    def _seconds(self, call: Call) -> int:
        """Return the seconds until a queued call starts, of ringing, or of talk."""
        now = self._clock.time()
        if call.ended is not None:
            return call.duration or 0
        if call.answered_at is not None:
            return round(now - call.answered_at)
        if call.started_at is not None:
            return round(now - call.started_at)
        return round(call.timer.when - now) if call.timer else 0

    def _requests(self) -> list[Json]:
        number = self._recorder.kinds.total()
        return [
            {
                "number": number - place,
                "date": self._clock.date(request.at).isoformat(),
                "kind": request.kind,
                "method": request.method,
                "path": request.path,
                "status": request.status,
                "fault": request.fault,
            }
            for place, request in enumerate(islice(reversed(self._recorder.requests), _REQUESTS))
        ]
