"""Contact rules against an oracle that asks every minute: calendars, zones, clocks, windows."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conference_async import CallingHours, ContactLimit, ContactRules, Outcome
from conference_async.dialer.calling.decide import Call, Skip, Wait, decide
from conference_async.dialer.rules.hours import DAYS
from conference_async.dialer.rules.wishes import Wishes
from conference_async.journal.contacts import Contact

ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"),
    *("America/St_Johns", "Pacific/Apia", "Africa/Casablanca", "UTC"),
)
# Around the nights in which clocks are changed, and others.
DAYS_OF_INTEREST = (
    *(date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25)),
    *(date(2026, 3, 7), date(2026, 3, 8), date(2026, 10, 31), date(2026, 11, 1)),
    *(date(2026, 4, 4), date(2026, 10, 3), date(2026, 7, 15), date(2026, 12, 31)),
)
PURPOSES = (None, "sales", "alarm")
STEP = timedelta(minutes=15)


@st.composite
def hours(draw: st.DrawFn) -> CallingHours:
    """Return hours of some days, on the quarter of an hour."""
    start = draw(st.integers(0, 94))
    end = draw(st.integers(start + 1, 95))
    return CallingHours(
        time(start // 4, start % 4 * 15),
        time(end // 4, end % 4 * 15),
        draw(st.sets(st.sampled_from(DAYS), min_size=1)),
    )


@st.composite
def limits(draw: st.DrawFn) -> ContactLimit:
    """Return a limit in quarters of an hour."""
    within = STEP * draw(st.integers(1, 200))
    return ContactLimit(draw(st.integers(1, 3)), within, draw(st.sampled_from(PURPOSES)))


@st.composite
def instants(draw: st.DrawFn) -> datetime:
    """Return an instant of one of the days of interest."""
    day = draw(st.sampled_from(DAYS_OF_INTEREST))
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    return midnight + STEP * draw(st.integers(0, 95))


RULES = st.builds(
    ContactRules,
    hours=st.lists(hours(), max_size=2),
    holidays=st.sets(st.sampled_from(DAYS_OF_INTEREST), max_size=3),
    limits=st.lists(limits(), max_size=2),
    gap=st.none() | st.integers(1, 30).map(lambda quarters: STEP * quarters),
)


def allowed(
    rules: ContactRules,
    at: datetime,
    zones: list[ZoneInfo],
    calls: list[tuple[datetime, str | None]],
    purpose: str | None,
) -> bool:
    """Return whether rules allow a call at an instant, by nothing but their definition."""
    for zone in zones:
        local = at.astimezone(zone)
        if local.date() in rules.holidays:
            return False
        day, clock = DAYS[local.weekday()], local.time()
        if rules.hours and not any(
            each.start <= clock < each.end and day in each.days for each in rules.hours
        ):
            return False
    bounds = [(limit.calls, limit.within, limit.purpose) for limit in rules.limits]
    if rules.gap is not None:
        bounds.append((1, rules.gap, None))
    for most, within, of in bounds:
        if of in (None, purpose):
            made = [when for when, what in calls if of in (None, what) and when > at - within]
            if len(made) >= most:
                return False
    return True


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rules=RULES,
    now=instants(),
    names=st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True),
    ago=st.lists(st.tuples(st.integers(0, 250), st.sampled_from(PURPOSES)), max_size=4),
    purpose=st.sampled_from(PURPOSES),
    lasts=st.none() | st.integers(0, 400),
)
def test_no_call_outside_the_rules_and_none_withheld_without_a_reason(
    rules: ContactRules,
    now: datetime,
    names: list[str],
    ago: list[tuple[int, str | None]],
    purpose: str | None,
    lasts: int | None,
) -> None:
    """What is decided is what the definition allows, at the first instant that it does."""
    zones = [ZoneInfo(name) for name in names]
    calls = [(now - STEP * quarters, what) for quarters, what in ago]
    contacts = [
        Contact(account_sid="AC", number_hash="n", campaign="c", purpose=what, at=when)
        for when, what in calls
    ]
    outcome = Outcome(target="t", to="+15558675310", conference="c", purpose=purpose)
    ends_at = None if lasts is None else now + STEP * lasts

    decision = decide(outcome, Wishes(rules=rules), now, zones, ends_at, contacts)

    if allowed(rules, now, zones, calls, purpose):
        assert decision == Call(outcome)
        return
    opening: datetime | None = None
    if isinstance(decision, Wait):
        assert decision.reason
        opening = now + timedelta(seconds=decision.seconds)
        assert allowed(rules, opening, zones, calls, purpose)
        assert ends_at is None or opening < ends_at
    else:
        assert isinstance(decision, Skip)
        assert decision.outcome.reason
    closed_until = min(
        each for each in (opening, ends_at, now + timedelta(days=1)) if each is not None
    )
    at = now
    while at < closed_until:
        assert not allowed(rules, at, zones, calls, purpose)
        at += STEP
