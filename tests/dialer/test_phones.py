"""Numbers as people and spreadsheets write them: dialled as written, or refused with the reason."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async import ConferenceError, normalise_number
from conference_async.dialer.plan import phones
from conference_async.errors import ConfigurationError, InvalidParameter


@pytest.fixture(params=[True, False], ids=["phonenumbers", "bare"])
def with_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the `phonenumbers` library is there; tests run with it and without."""
    if not request.param:
        monkeypatch.setitem(sys.modules, "phonenumbers", None)
    return bool(request.param)


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("+15558675310", "+15558675310"),
        ("  +1 (555) 867-5310 ", "+15558675310"),
        ("+1.555.867.5310", "+15558675310"),
        ("+1\u00a0555\u2013867\u20135310", "+15558675310"),
        ("'+15558675310", "+15558675310"),
        ("(+1) 555 867 5310", "+15558675310"),
        ("+1 555/8675310", "+15558675310"),
        ("client:alice", "client:alice"),
        ("sip:alice@example.com", "sip:alice@example.com"),
    ],
)
def test_a_number_is_dialled_as_written(written: str, dialled: str, *, with_library: bool) -> None:
    """Signs between the digits make no difference, with the library and without."""
    assert normalise_number(written) == dialled


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("1.55587E+10", "a spreadsheet turned this number into a decimal"),
        ("1,55587E+10", "a spreadsheet turned this number into a decimal"),
        ("15558675310.0", "a spreadsheet turned this number into a decimal"),
        ("+15558675310.0", "a spreadsheet turned this number into a decimal"),
        ("+15558675310,00", "a spreadsheet turned this number into a decimal"),
        ("+1 555 867 5310.5", "a spreadsheet turned this number into a decimal"),
        ("+1 800 FLOWERS", "holds letters"),
        ("+1 555 867 5310 or 311", "holds letters"),
        ("+1 555 867 5310 ext. 5", "has an extension"),
        ("+1 555 867 5310 x5", "has an extension"),
        ("+1 555 867 5310 #5", "has an extension"),
        ("+15558675310;ext=5", "has an extension"),
        ("+15558675310, +15558675311", "more than one number"),
        ("+15558675310 / +15558675311", "more than one number"),
        ("+1 555 867 5310/311", "more than one number"),
        ("+15558675310,,5", "more than one number"),
        ("++15558675310", "more than one number"),
        ("+1 (555 867-5310", "brackets that do not belong together"),
        ("+1 555) 867-5310", "brackets that do not belong together"),
        ("+1 ((555)) 867-5310", "brackets that do not belong together"),
        ("+1 [555] 867-5310", "holds '['"),
        ("-15558675310", "holds '-'"),
        ("\uff0b15558675310", "holds <U+FF0B>"),
        ("+\uff11555867531\uff10", "holds <U+FF11>"),
        ("\u202a+15558675310\u202c", "holds <U+202A>, <U+202C>"),
        ("+1\u200b5558675310", "holds <U+200B>"),
        ("+1 555\n867 5310", r"holds \n"),
        ("+1555\x00867 5310", r"holds \x00"),
        ("client:al\u202cice", "holds <U+202C>"),
        (" 15558675310", "begins with a blank where a + may have been lost"),
        ("0044 20 7946 0958", "begins with 00"),
        ("15558675310", "has no +"),
        ("911", "has no +"),
        ('="+15558675310"', "is a formula"),
        ("+123456", "digits"),
        ("+1" + "5" * 5000, "is no phone number"),
        ("+1234567890123456", "digits"),
        ("+0155586753", "write it as + and digits"),
        ("Alice", "is no phone number"),
        ("", "is no phone number"),
        ("tel:+15558675310", "begin with sip:"),
    ],
)
def test_what_cannot_be_dialled_as_written_is_refused(
    written: str, reason: str, *, with_library: bool
) -> None:
    """The reason says what is wrong, with the library and without, and shows no number."""
    with pytest.raises(InvalidParameter) as refused:
        normalise_number(written)

    assert reason in str(refused.value)
    assert "867" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+49 (0) 30 901820", "+4930901820"),
        ("+41 (0)44 668 18 00", "+41446681800"),
        ("+39 (0)6 1234 5678", "+390612345678"),
    ],
)
def test_a_zero_in_brackets(written: str, dialled: str, *, with_library: bool) -> None:
    """A bracketed 0 is dialled as its country does, or refused without the library."""
    if with_library:
        assert normalise_number(written) == dialled
    else:
        with pytest.raises(InvalidParameter, match="0 in brackets"):
            normalise_number(written)


@pytest.mark.parametrize("written", ["+44 020 7946 0958", "+44 (020) 7946 0958"])
def test_digits_that_a_country_would_drop_are_refused(written: str) -> None:
    """The library would leave them out in silence."""
    with pytest.raises(InvalidParameter, match="not dialled from abroad"):
        normalise_number(written)


@pytest.mark.parametrize(
    ("written", "region", "dialled"),
    [
        ("(555) 867-5310", "US", "+15558675310"),
        ("(555) 867-5310", "us", "+15558675310"),
        ("15558675310", "US", "+15558675310"),
        (" 5558675310", "US", "+15558675310"),
        (" 05558675310", "DE", "+495558675310"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("0044 20 7946 0958", "GB", "+442079460958"),
        ("+1 555 867 5310", "GB", "+15558675310"),
        ("client:alice", "GB", "client:alice"),
    ],
)
def test_national_numbers_belong_to_the_region(written: str, region: str, dialled: str) -> None:
    """Numbers without their plus are completed where a country is named, others left alone."""
    assert normalise_number(written, region) == dialled


@pytest.mark.parametrize(
    ("written", "region", "reason"),
    [
        ("8675310", "US", "too few or too many digits"),
        ("0343 15 555 1212", "AR", "is dialled with other digits"),
        (" 4930901820", "US", "begins with a blank"),
        ("+999155586753", None, "no phone number of any country"),
        ("+1555867", None, "too few or too many digits"),
    ],
)
def test_what_a_country_does_not_dial_is_refused(
    written: str, region: str | None, reason: str
) -> None:
    """No area code, digits that the library would exchange, a plus that may have been lost."""
    with pytest.raises(InvalidParameter, match=reason):
        normalise_number(written, region)


def test_a_region_is_a_country() -> None:
    """A misspelt one is the caller's mistake, not that of every row."""
    with pytest.raises(ConfigurationError, match="two letters, such as US, not 'England'"):
        normalise_number("020 7946 0958", "England")


def test_national_numbers_need_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names the extra to install."""
    monkeypatch.setitem(sys.modules, "phonenumbers", None)

    with pytest.raises(InvalidParameter, match=r"conference-async\[phonenumbers\]"):
        normalise_number("020 7946 0958", "GB")
    with pytest.raises(ConfigurationError, match=r"conference-async\[phonenumbers\]"):
        phones.check_region("GB")
    assert phones.time_zones("+442079460958") == ()


def test_a_number_without_a_known_country_has_no_time_zone() -> None:
    """A number that the library cannot read has an unknown zone, and is no error."""
    assert phones.time_zones("+999155586753") == ()
    assert phones.time_zones("+442079460958") == ("Europe/London",)


_WRITTEN = st.one_of(
    st.text(alphabet="+0123456789 ()-./xEe,\u202c\u00a0", max_size=24),
    st.from_regex(r"\+[1-9][0-9]{0,3}[ (.-]{0,2}0?[)]?( ?[0-9]{2,4}){2,4}", fullmatch=True),
    st.text(max_size=12),
)


@given(_WRITTEN, st.sampled_from([None, "US", "GB", "IT", "AR", "MX"]))
def test_the_digits_dialled_are_those_written(written: str, region: str | None) -> None:
    """A number keeps its digits in their order, at most a bracketed 0 or a prefix less."""
    try:
        dialled = normalise_number(written, region)
    except ConferenceError:
        return
    if ":" in dialled:
        return
    digits = "".join(re.findall("[0-9]", written))
    if "+" in written:
        without = "".join(re.findall("[0-9]", re.sub(r"\( *0 *\)", "", written, count=1)))
        assert dialled.removeprefix("+") in {digits, without}
    else:
        assert region
        assert digits[-6:] == dialled[-6:]
