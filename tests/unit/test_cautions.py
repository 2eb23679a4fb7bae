"""Warnings point at the caller."""

import warnings
from functools import partial

import pytest

from conference_async.cautions import ConferenceWarning, IgnoredParameter, PersonalData, notify


def test_warning_points_outside_the_package_and_is_masked() -> None:
    """The line is the caller's, and no number can be read."""
    with pytest.warns(IgnoredParameter) as warned:
        notify(IgnoredParameter, "calling +15558675310")

    assert warned[0].filename == __file__
    assert str(warned[0].message) == "calling ***5310"


def test_one_filter_silences_all() -> None:
    """Every kind is a `ConferenceWarning`."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("ignore", ConferenceWarning)
        for kind in (IgnoredParameter, PersonalData):
            partial(notify, kind)("x")

    assert seen == []
