"""Calls by each of their names: which call a label means, however many have borne it."""

from bisect import bisect, insort
from collections import OrderedDict
from itertools import chain
from typing import TypeAlias

from conference_async.waiting.call_view import CallView

Name: TypeAlias = tuple[str, ...]
"""A name of a call: the sort of name, then the name itself."""


def by_create(create: str) -> Name:
    """Return the name of the call that a create placed, which its callback URL carries."""
    return ("create", create)


def by_label(label: str, conference: str | None = None) -> Name:
    """Return the name of the calls with a label, in one conference or in any."""
    return ("label", label) if conference is None else ("label", label, conference)


def by_conference(conference_sid: str) -> Name:
    """Return the name of all calls of a conference."""
    return ("conference", conference_sid)


def names_of(view: CallView, create: str | None) -> set[Name]:
    """Return everything that a call is known by, its Call SID left out."""
    names = {by_create(create)} if create else set[Name]()
    if view.conference_sid:
        names.add(by_conference(view.conference_sid))
    if view.label:
        conferences = (None, view.conference_sid, view.conference_name)
        names |= {by_label(view.label, one) for one in conferences if one is None or one}
    return names


class CallIndex:
    """The latest view of each call, of no more calls than allowed."""

    def __init__(self, *, remember: int, keep: float) -> None:
        """Hold at most `remember` calls, those that are over for `keep` seconds at most."""
        self._remember = remember
        self._keep = keep
        self._views: OrderedDict[str, CallView] = OrderedDict()
        self._names: dict[str, set[Name]] = {}
        self._named: dict[Name, list[tuple[int, str]]] = {}
        self._born: dict[str, int] = {}
        self._over: OrderedDict[str, float] = OrderedDict()
        self._births = 0

    def __repr__(self) -> str:
        return f"{len(self._views)} known, {len(self._over)} of them over"

    @property
    def births(self) -> int:
        """The number of calls so far: each takes the next number as its place."""
        return self._births

    def get(self, call_sid: str) -> CallView | None:
        """Return a call as it stands."""
        return self._views.get(call_sid)

    def over_since(self, call_sid: str) -> float:
        """Return the instant at which it was first known that a call is over."""
        return self._over[call_sid]

    def born(self, call_sid: str) -> int:
        """Return a call's place in the order of their first events."""
        return self._born[call_sid]

    def all_of(self, name: Name) -> list[str]:
        """Return the calls of a name, by their first events."""
        return [call_sid for _, call_sid in self._named.get(name, ())]

    def newest(self, name: Name) -> str | None:
        """Return the call of a name whose first event came last."""
        named = self._named.get(name)
        return named[-1][1] if named else None

    def first_after(self, name: Name, birth: int) -> str | None:
        """Return the call of a name whose first event came first after that of a place."""
        named = self._named.get(name, [])
        place = bisect(named, birth, key=lambda one: one[0])
        return named[place][1] if place < len(named) else None

    def put(self, view: CallView, create: str | None, now: float) -> set[Name]:
        """Take what a call has become, and return the names that it was not known by before.

        Args:
            view: The call.
            create: What its callback URL calls the create that placed it, if it does.
            now: The present instant of the loop's clock, in seconds.
        """
        call_sid = view.call_sid
        if call_sid not in self._views:
            self._births += 1
            self._born[call_sid] = self._births
            self._names[call_sid] = set()
        self._views[call_sid] = view
        self._views.move_to_end(call_sid)
        if view.over:
            self._over.setdefault(call_sid, now)
        new = names_of(view, create) - self._names[call_sid]
        for name in new:
            insort(self._named.setdefault(name, []), (self._born[call_sid], call_sid))
        self._names[call_sid] |= new
        if len(self._views) > self._remember:
            others = (sid for sid in chain(self._over, self._views) if sid != call_sid)
            self._forget(next(others))
        return new

    def forget_late(self, now: float) -> None:
        """Forget the calls that have been over for long enough."""
        while self._over and next(iter(self._over.values())) <= now - self._keep:
            self._forget(next(iter(self._over)))

    def _forget(self, call_sid: str) -> None:
        del self._views[call_sid]
        self._over.pop(call_sid, None)
        entry = (self._born.pop(call_sid), call_sid)
        for name in self._names.pop(call_sid):
            named = self._named[name]
            del named[bisect(named, entry) - 1]
            if not named:
                del self._named[name]
