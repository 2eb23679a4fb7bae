"""Which call of the log is ours: generated logs, in which the truth is known."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.models import LoggedCall
from conference_async.sending.lookup import Window, ours_in_log, possible_calls
from conference_async.sending.register import LATEST, Others, Register, Remembered, others_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
OURS, THEIRS = "+15558675310", "+15558675311"
CALLER, OTHER = "+15017122661", "+15017122662"
WINDOW = Window(
    opens=NOW - timedelta(seconds=60),
    since=NOW,
    due=NOW + timedelta(seconds=10),
    closes=NOW + timedelta(seconds=300),
)

Logs: TypeAlias = list[LoggedCall]

calls = st.builds(
    LoggedCall,
    sid=st.uuids().map(lambda each: f"CA{each.hex}"),
    to=st.sampled_from([OURS, OURS, THEIRS]),
    from_=st.sampled_from([CALLER, CALLER, OTHER]),
    status=st.sampled_from(["queued", "ringing", "in-progress", "busy", "completed", "novel"]),
    direction=st.sampled_from(["outbound-api", "outbound-api", "outbound-dial", "inbound"]),
    date_created=st.integers(-400, 400).map(lambda each: NOW + timedelta(seconds=each)),
)


def candidates(log: Logs, claimed: frozenset[str]) -> Logs:
    """Return the calls that could be ours, by what the rule says in words."""
    return [
        call
        for call in log
        if (call.to, call.from_, call.direction) == (OURS, CALLER, "outbound-api")
        and call.date_created is not None
        and WINDOW.opens <= call.date_created <= WINDOW.closes
        and call.sid not in claimed
    ]


def verdict(log: Logs, claimed: frozenset[str] = frozenset(), *, shared: bool = False) -> object:
    """Return what is decided about a log."""
    possible = possible_calls(log, to=OURS, callers={CALLER}, window=WINDOW, claimed=claimed)
    return ours_in_log(possible, WINDOW, shared=shared)


@given(log=st.lists(calls, max_size=6), taken=st.sets(st.integers(0, 5)), shared=st.booleans())
def test_only_a_call_that_nothing_else_explains_is_ours(
    log: Logs, taken: set[int], shared: bool
) -> None:
    """One candidate, in time, that nothing claims; whatever leaves a doubt names no call."""
    claimed = frozenset(call.sid for place, call in enumerate(log) if place in taken)
    left = candidates(log, claimed)
    decided = verdict(log, claimed, shared=shared)

    if not left:
        assert decided == "absent"
    elif len(left) > 1:
        assert decided == "several"
    elif shared:
        assert decided == "shared"
    else:
        created = left[0].date_created
        assert created is not None
        in_time = WINDOW.since <= created <= WINDOW.due
        assert decided == (left[0] if in_time else "untimely")


@given(log=st.lists(calls, max_size=6), more=calls)
def test_one_more_call_never_makes_another_one_ours(log: Logs, more: LoggedCall) -> None:
    """A log that lags can only be wrong about what it does not show yet."""
    before, after = verdict(log), verdict([*log, more])

    if isinstance(after, LoggedCall) and after != more:
        assert before == after
    if after == "absent":
        assert before == "absent"


@given(log=st.lists(calls, min_size=1, max_size=6), data=st.data())
def test_what_cannot_be_read_of_a_call_leaves_it_unknown(log: Logs, data: st.DataObject) -> None:
    """A candidate without a number or a date is one all the same, and cannot be told."""
    place = data.draw(st.integers(0, len(log) - 1))
    unreadable = data.draw(st.sampled_from(["to", "from_", "date_created"]))
    usual: dict[str, Any] = {
        "to": OURS,
        "from_": CALLER,
        "direction": "outbound-api",
        "date_created": NOW,
    }
    log[place] = attrs.evolve(log[place], **{**usual, unreadable: None})

    assert verdict(log) == "unreadable"


@pytest.mark.parametrize(
    ("seconds", "decided"),
    [
        (-61, "absent"),
        (-60, "untimely"),
        (-1, "untimely"),
        (0, None),
        (10, None),
        (11, "untimely"),
        (300, "untimely"),
        (301, "absent"),
    ],
)
def test_the_window_has_both_its_ends(seconds: int, decided: str | None) -> None:
    """To the second: ours, too early or too late to tell, or out of the question."""
    call = LoggedCall(
        sid="CA1",
        to=OURS,
        from_=CALLER,
        direction="outbound-api",
        date_created=NOW + timedelta(seconds=seconds),
    )

    assert verdict([call]) == (decided or call)


@pytest.mark.looptime
async def test_a_register_forgets_in_time_and_keeps_apart() -> None:
    """Another account's creates, another number's, and the one that asks do not matter."""
    register = Register.of("AC1", "http://a")
    assert Register.of("AC1", "http://a") is register
    assert Register.of("AC2", "http://a") is not register
    asks = register.sending(OURS, ("a", "room"))
    twin = register.sending(OURS, ("a", "other room"))
    register.sending(THEIRS, ("b", "room"))

    def others() -> Others:
        return register.here(OURS, asks.key, 0, 10, besides=asks)

    assert others() == Others(in_doubt=True)
    twin.call_sid = "CA1"
    assert others() == Others(frozenset({"CA1"}))
    twin.call_sid = ""
    assert others() == Others()
    await asyncio.sleep(1)
    for _ in range(20_000):
        register.sending(THEIRS, ("b", "room")).call_sid = "CA2"
    assert others().in_doubt  # what was sent at the time is not remembered any more


@pytest.mark.looptime
async def test_a_register_forgets_the_oldest_in_doubt_and_says_so() -> None:
    """As many as are remembered may be in doubt; what one of those forgotten did may come late."""
    register = Register.of("AC1", "http://a")
    oldest = register.sending(OURS, ("a", "room"))
    await asyncio.sleep(1)
    for _ in range(20_000):
        register.sending(THEIRS, ("b", "room"))

    def others() -> Others:
        return register.here(OURS, ("c", "room"), 0, 10, besides=None)

    assert others() == Others()  # it left when nobody asks about, and was the only one to go
    register.sending(THEIRS, ("b", "room"))
    assert others() == Others(in_doubt=True)
    oldest.call_sid = "CA1"
    assert others().call_sids == {"CA1"}
    await asyncio.sleep(901)
    register.sending(OURS, ("a", "room"))
    oldest.call_sid = "CA2"
    assert register.here(OURS, ("c", "room"), 900, 902, besides=None) == Others(
        frozenset({"CA2"}), in_doubt=True
    )
    of_nobody = Register.of("AC2", "http://a").sending(OURS, ("a", "room"))
    of_nobody.call_sid = "CA3"  # the last client of its account is gone
    assert of_nobody.call_sid == "CA3"


class Interrupted(str):
    """A number during whose comparison another thread has its turn, and sends."""

    __hash__ = str.__hash__
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        Register.of("AC1", "http://a").sending(THEIRS, ("b", "room")).call_sid = "CA9"
        Register.of("AC1", "http://a").sending(THEIRS, ("b", "room"))
        return super().__eq__(other)


@pytest.mark.looptime
async def test_a_loop_of_another_thread_may_send_while_creates_are_looked_through() -> None:
    """Clients of one account know of each other's creates, whichever loop they are on."""
    register = Register.of("AC1", "http://a")
    for number in range(3):
        register.sending(OURS, ("a", "room")).call_sid = f"CA{number}"
        register.sending(OURS, ("a", "room"))

    assert register.here(Interrupted(OURS), ("c", "room"), 0, 10, besides=None) == Others(
        frozenset({"CA0", "CA1", "CA2"}), in_doubt=True
    )


@pytest.mark.looptime
async def test_creates_without_a_label_are_told_apart() -> None:
    """Their keys are equal; the one that asks is none of the others."""
    register = Register.of("AC1", "http://a")
    asks, other = (register.sending(OURS, (None, "room")) for _ in range(2))

    def others() -> Others:
        return register.here(OURS, asks.key, 0, 10, besides=asks)

    assert others() == Others(in_doubt=True)
    asks.call_sid = "CA1"
    other.call_sid = "CA2"
    assert others() == Others(frozenset({"CA2"}))


def test_what_a_ledger_remembers_matters_if_it_was_at_the_time() -> None:
    """Clocks of machines may differ by minutes; what is known to be a call is one at any time."""
    far = timedelta(minutes=16)
    rows = [
        Remembered(to=OURS, key=("a", "room"), sent_at=NOW, call_sid="CA0"),
        Remembered(to=THEIRS, key=("b", "room"), sent_at=NOW, call_sid="CA1"),
        Remembered(to=OURS, key=("c", "room"), sent_at=NOW - far, call_sid="CA2"),
        Remembered(to=OURS, key=("d", "room"), sent_at=NOW - far, call_sid=None),
    ]

    def others(*more: Remembered) -> Others:
        return others_of([*rows, *more], to=OURS, key=("a", "room"), since=NOW, until=NOW + LATEST)

    near = attrs.evolve(rows[3], sent_at=NOW - timedelta(minutes=14))
    assert others() == Others(frozenset({"CA2"}))
    assert others(near).in_doubt
    assert others(attrs.evolve(rows[3], sent_at=None)).in_doubt
