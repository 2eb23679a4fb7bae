"""The pure verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.errors import ConfigurationError
from conference_async.retry import (
    Attempted,
    Outcome,
    RetryPolicy,
    Verdict,
    judge_create,
    judge_repeatable,
    outcome_of,
)

ATTEMPTED = st.builds(
    Attempted,
    outcome=st.sampled_from(Outcome),
    code=st.sampled_from([None, 16026, 20001]),
    retry_after=st.none(),
)
HISTORY = st.lists(ATTEMPTED, min_size=1, max_size=5)


@given(HISTORY, st.booleans(), st.booleans(), st.booleans())
def test_what_may_have_left_is_never_repeated_unless_the_caller_chose_it(
    history: list[Attempted], more: bool, own_label: bool, looked: bool
) -> None:
    """Without `repeat_unknown` an attempt in doubt is followed by a look-up or an error."""
    verdict = judge_create(
        history, more=more, own_label=own_label, looked=looked, repeat_unknown=False
    )

    if history[-1].outcome.in_doubt:
        assert verdict is (Verdict.RAISE if looked else Verdict.RECONCILE)


@given(HISTORY, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_nothing_is_repeated_when_no_more_attempts_are_allowed(
    history: list[Attempted], own_label: bool, looked: bool, repeat: bool, more: bool
) -> None:
    """Attempts, budget and deadline bound every retry."""
    verdict = judge_create(
        history, more=more, own_label=own_label, looked=looked, repeat_unknown=repeat
    )

    assert verdict is not Verdict.RETRY or more
    assert judge_repeatable(history, more=False) is not Verdict.RETRY


@given(HISTORY, st.booleans(), st.booleans(), st.booleans())
def test_what_is_in_doubt_is_never_raised_before_a_look_up(
    history: list[Attempted], more: bool, own_label: bool, repeat: bool
) -> None:
    """A refusal after an attempt in doubt says nothing about that attempt."""
    verdict = judge_create(
        history, more=more, own_label=own_label, looked=False, repeat_unknown=repeat
    )

    if any(each.outcome.in_doubt for each in history):
        assert verdict is not Verdict.RAISE


@given(HISTORY, st.booleans(), st.booleans())
def test_even_the_callers_choice_repeats_only_after_a_look_up(
    history: list[Attempted], more: bool, own_label: bool
) -> None:
    """With `repeat_unknown` an attempt in doubt is still looked up first."""
    before = judge_create(
        history, more=more, own_label=own_label, looked=False, repeat_unknown=True
    )
    after = judge_create(history, more=True, own_label=own_label, looked=True, repeat_unknown=True)

    if history[-1].outcome.in_doubt:
        assert (before, after) == (Verdict.RECONCILE, Verdict.RETRY)


@pytest.mark.parametrize(
    ("history", "own_label", "expected"),
    [
        ([Attempted(Outcome.DONE)], True, Verdict.RETURN),
        ([Attempted(Outcome.NOT_LEFT)], True, Verdict.RETRY),
        ([Attempted(Outcome.TOO_MANY)], False, Verdict.RETRY),
        ([Attempted(Outcome.REFUSED, 21211)], True, Verdict.RAISE),
        ([Attempted(Outcome.REFUSED, 16026)], False, Verdict.RAISE),
        ([Attempted(Outcome.REFUSED, 16026)], True, Verdict.RECONCILE),
        (
            [Attempted(Outcome.NO_ANSWER), Attempted(Outcome.REFUSED, 16026)],
            False,
            Verdict.RECONCILE,
        ),
    ],
)
def test_each_ending_has_its_verdict(
    history: list[Attempted], own_label: bool, expected: Verdict
) -> None:
    """A label clash is the caller's own, unless only an attempt of ours can hold the label."""
    assert (
        judge_create(history, more=True, own_label=own_label, looked=False, repeat_unknown=False)
        is expected
    )


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.DONE, Verdict.RETURN),
        (Outcome.NOT_LEFT, Verdict.RETRY),
        (Outcome.TOO_MANY, Verdict.RETRY),
        (Outcome.SERVER_ERROR, Verdict.RETRY),
        (Outcome.NO_ANSWER, Verdict.RETRY),
        (Outcome.REFUSED, Verdict.RAISE),
        (Outcome.UNREADABLE, Verdict.RAISE),
    ],
)
def test_other_requests_are_repeated_when_that_can_help(
    outcome: Outcome, expected: Verdict
) -> None:
    """Fetch, list, update and delete are safe to repeat; a refusal stays one."""
    assert judge_repeatable([Attempted(outcome)], more=True) is expected


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (201, None, Outcome.DONE),
        (302, None, Outcome.UNREADABLE),
        (400, 21211, Outcome.REFUSED),
        (400, 16030, Outcome.SERVER_ERROR),
        (408, None, Outcome.SERVER_ERROR),
        (429, 20429, Outcome.TOO_MANY),
        (503, 20503, Outcome.SERVER_ERROR),
    ],
)
def test_a_status_says_how_sure_we_are(status: int, code: int | None, outcome: Outcome) -> None:
    """An internal failure and a gateway's time-out leave open what happened."""
    assert outcome_of(status, code) is outcome


@given(st.integers(1, 200))
def test_delays_grow_to_a_bound_with_full_jitter(failures: int) -> None:
    """No delay is longer than the maximum, however long the outage."""
    policy = RetryPolicy(base=0.5, maximum=30)

    assert policy.bound(failures) == min(30, 0.5 * 2 ** (failures - 1))
    assert 0 <= policy.delay(failures) <= policy.bound(failures)


def test_the_service_says_how_long_to_wait() -> None:
    """Retry-After is obeyed exactly, up to the maximum."""
    policy = RetryPolicy(maximum=10)

    assert policy.delay(1, 7.0) == 7
    assert policy.delay(1, 3600.0) == 10


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"lookups": 0}, {"base": -1}, {"maximum": float("inf")}]
)
def test_a_policy_out_of_bounds_is_refused(wrong: dict[str, float]) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # wrong on purpose
