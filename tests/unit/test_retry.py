"""The pure verdicts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.errors import ConfigurationError
from conference_async.sending.attempts import AttemptOutcome, Ending, Verdict, outcome_of
from conference_async.sending.options import Options
from conference_async.sending.retry import RetryPolicy, RetryUnknown, judge_create, judge_repeatable

ENDING = st.builds(
    Ending,
    outcome=st.sampled_from(AttemptOutcome),
    code=st.sampled_from([None, 16026, 20001]),
    retry_after=st.none(),
)
HISTORY = st.lists(ENDING, min_size=1, max_size=5)


@given(HISTORY, st.booleans(), st.booleans(), st.booleans())
def test_what_may_have_left_is_never_repeated_unless_the_caller_chose_it(
    history: list[Ending], more: bool, own_label: bool, looked: bool
) -> None:
    """Without `repeat_unknown` an attempt in doubt is followed by a look-up or an error."""
    verdict = judge_create(
        history, more=more, own_label=own_label, looked=looked, repeat_unknown=False
    )

    if history[-1].outcome.in_doubt:
        assert verdict is (Verdict.RAISE if looked else Verdict.RECONCILE)


@given(HISTORY, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_nothing_is_repeated_when_no_more_attempts_are_allowed(
    history: list[Ending], own_label: bool, looked: bool, repeat: bool, more: bool
) -> None:
    """Attempts, budget and deadline bound every retry."""
    verdict = judge_create(
        history, more=more, own_label=own_label, looked=looked, repeat_unknown=repeat
    )

    assert verdict is not Verdict.RETRY or more
    assert judge_repeatable(history[-1], more=False) is not Verdict.RETRY


@given(HISTORY, st.booleans(), st.booleans(), st.booleans())
def test_what_is_in_doubt_is_never_raised_before_a_look_up(
    history: list[Ending], more: bool, own_label: bool, repeat: bool
) -> None:
    """A refusal after an attempt in doubt says nothing about that attempt."""
    verdict = judge_create(
        history, more=more, own_label=own_label, looked=False, repeat_unknown=repeat
    )

    if any(each.outcome.in_doubt for each in history):
        assert verdict is not Verdict.RAISE


@given(HISTORY, st.booleans(), st.booleans())
def test_even_the_callers_choice_repeats_only_after_a_look_up(
    history: list[Ending], more: bool, own_label: bool
) -> None:
    """With `repeat_unknown` an attempt in doubt is still looked up first."""
    before = judge_create(
        history, more=more, own_label=own_label, looked=False, repeat_unknown=True
    )
    after = judge_create(history, more=True, own_label=own_label, looked=True, repeat_unknown=True)

    if history[-1].outcome.in_doubt:
        assert (before, after) == (Verdict.RECONCILE, Verdict.RETRY)


DOUBTFUL, CLASH = Ending(AttemptOutcome.NO_ANSWER), Ending(AttemptOutcome.REFUSED, 16026)


@pytest.mark.parametrize(
    ("last", "own_label", "absent", "expected"),
    [
        (DOUBTFUL, False, True, Verdict.RETRY),
        (DOUBTFUL, False, False, Verdict.RAISE),
        (DOUBTFUL, False, None, Verdict.RAISE),
        (CLASH, True, True, Verdict.RETRY),
        (CLASH, True, False, Verdict.RAISE),
        (CLASH, False, True, Verdict.RAISE),
        (Ending(AttemptOutcome.REFUSED, 21211), True, True, Verdict.RAISE),
    ],
)
def test_when_absent_repeats_only_what_was_shown_not_to_be_there(
    last: Ending, own_label: bool, absent: bool | None, expected: Verdict
) -> None:
    """A look that found nothing but proves nothing repeats nothing; nor does a refusal."""
    found = {} if absent is None else {"absent": absent}

    verdict = judge_create(
        [DOUBTFUL, last],
        more=True,
        own_label=own_label,
        looked=True,
        repeat_unknown="when-absent",
        **found,
    )

    assert verdict is expected


@pytest.mark.parametrize("choice", [False, True, "when-absent"])
def test_a_choice_about_what_is_unknown_is_one_of_three(choice: RetryUnknown) -> None:
    """Never, always, or where nothing was placed."""
    assert Options(retry_unknown=choice).retry_unknown == choice


@pytest.mark.parametrize("wrong", ["absent", "WHEN-ABSENT", None, 1, 0, "True"])
def test_any_other_choice_about_what_is_unknown_is_refused(wrong: Any) -> None:
    """The error names the setting, and what it may be."""
    told = r"^retry_unknown must be False, True or 'when-absent', not "
    with pytest.raises(ConfigurationError, match=told):
        Options(retry_unknown=wrong)


@pytest.mark.parametrize(
    ("history", "own_label", "expected"),
    [
        ([Ending(AttemptOutcome.DONE)], True, Verdict.RETURN),
        ([Ending(AttemptOutcome.NOT_LEFT)], True, Verdict.RETRY),
        ([Ending(AttemptOutcome.TOO_MANY)], False, Verdict.RETRY),
        ([Ending(AttemptOutcome.REFUSED, 21211)], True, Verdict.RAISE),
        ([Ending(AttemptOutcome.REFUSED, 16026)], False, Verdict.RAISE),
        ([Ending(AttemptOutcome.REFUSED, 16026)], True, Verdict.RECONCILE),
        (
            [Ending(AttemptOutcome.NO_ANSWER), Ending(AttemptOutcome.REFUSED, 16026)],
            False,
            Verdict.RECONCILE,
        ),
    ],
)
def test_each_ending_has_its_verdict(
    history: list[Ending], own_label: bool, expected: Verdict
) -> None:
    """A label clash is the caller's own, unless only an attempt of ours can hold the label."""
    assert (
        judge_create(history, more=True, own_label=own_label, looked=False, repeat_unknown=False)
        is expected
    )


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (AttemptOutcome.DONE, Verdict.RETURN),
        (AttemptOutcome.NOT_LEFT, Verdict.RETRY),
        (AttemptOutcome.TOO_MANY, Verdict.RETRY),
        (AttemptOutcome.SERVER_ERROR, Verdict.RETRY),
        (AttemptOutcome.NO_ANSWER, Verdict.RETRY),
        (AttemptOutcome.REFUSED, Verdict.RAISE),
        (AttemptOutcome.UNREADABLE, Verdict.RAISE),
    ],
)
def test_other_requests_are_repeated_when_that_can_help(
    outcome: AttemptOutcome, expected: Verdict
) -> None:
    """Fetch, list, update and delete are safe to repeat; a refusal stays one."""
    assert judge_repeatable(Ending(outcome), more=True) is expected


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (200, None, AttemptOutcome.DONE),
        (201, None, AttemptOutcome.DONE),
        (300, None, AttemptOutcome.UNREADABLE),
        (302, None, AttemptOutcome.UNREADABLE),
        (400, 21211, AttemptOutcome.REFUSED),
        (400, 16030, AttemptOutcome.SERVER_ERROR),
        (408, None, AttemptOutcome.SERVER_ERROR),
        (429, 20429, AttemptOutcome.TOO_MANY),
        (500, None, AttemptOutcome.SERVER_ERROR),
        (503, 20503, AttemptOutcome.SERVER_ERROR),
    ],
)
def test_a_status_says_how_sure_we_are(
    status: int, code: int | None, outcome: AttemptOutcome
) -> None:
    """An internal failure and a gateway's time-out leave open what happened."""
    assert outcome_of(status, code) is outcome


@given(st.integers(1, 200))
def test_delays_grow_to_a_bound_with_full_jitter(failures: int) -> None:
    """No delay is longer than the maximum, however long the outage."""
    policy = RetryPolicy(base=0.5, maximum=30)

    assert policy.bound(failures) == min(30, 0.5 * 2 ** (failures - 1))
    assert 0 <= policy.delay(failures) <= policy.bound(failures)


def test_callers_that_failed_together_come_back_apart() -> None:
    """Every delay is drawn by itself, from nothing to its bound."""
    delays = [RetryPolicy(base=8).delay(1) for _ in range(200)]

    assert len(set(delays)) == 200
    assert min(delays) < 2
    assert 6 < max(delays) <= 8


def test_the_service_says_how_long_to_wait() -> None:
    """Retry-After is obeyed exactly, up to the maximum, and not below zero."""
    policy = RetryPolicy(maximum=10)

    assert policy.delay(1, 7.0) == 7
    assert policy.delay(1, 0.25) == 0.25
    assert policy.delay(1, 3600.0) == 10
    assert policy.delay(1, -3.0) == 0


def test_one_attempt_is_a_policy() -> None:
    """An attempt that is never repeated, and one look-up, are the least that can be asked for."""
    policy = RetryPolicy(attempts=1, lookups=1)

    assert (policy.attempts, policy.lookups) == (1, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"attempts": wrong} for wrong in (0, -1, 2.5, "4", None, True)),
        *({"lookups": wrong} for wrong in (0, 1.0, "x")),
        *({"base": wrong} for wrong in (-1, "0.5")),
        *({"maximum": wrong} for wrong in (float("inf"), float("nan"), None)),
    ],
)
def test_a_policy_out_of_bounds_is_refused(wrong: dict[str, object]) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # wrong on purpose
