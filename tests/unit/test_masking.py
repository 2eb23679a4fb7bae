"""No phone number and no secret is readable; what is neither stays readable."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conference_async.masking import mask

NUMBERS = st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True)
HEXADECIMAL = st.text("0123456789abcdef", min_size=32, max_size=32)
WORDS = st.text(st.characters(exclude_categories=["N", "L", "Cs"], exclude_characters="+%:"))
SEPARATORS = st.sampled_from(["", " ", "-", ".", " (", ") ", " - ", ".."])


@given(st.text(), NUMBERS, st.text())
@example("a", "15558675310", "x")
@example("https://host/a%2", "15558675310", "/b")
def test_no_e164_number_survives(before: str, digits: str, after: str) -> None:
    """Whatever stands around it, of a number with its plus only the last four digits are left."""
    after = after if after[:1] not in tuple("0123456789") else f" {after}"

    for plus in ("+", "%2B", "%2b", "%252B"):
        assert digits not in mask(f"{before}{plus}{digits}{after}")


@given(WORDS, NUMBERS, WORDS)
@example("sent to ", "15558675310", ".")
@example("the end.", "15558675310", ".5 s")
def test_no_bare_number_survives(before: str, digits: str, after: str) -> None:
    """Without its plus it is known by its length, unless letters or digits touch it."""
    assert digits not in mask(f"{before}{digits}{after}")


@given(NUMBERS, st.lists(SEPARATORS, min_size=15, max_size=15))
def test_no_number_survives_for_being_written_in_groups(digits: str, separators: list[str]) -> None:
    """People write numbers with blanks, dots, hyphens and parentheses."""
    grouped = "".join(
        digit + separator for digit, separator in zip(digits, separators, strict=False)
    ).rstrip(" -.()")

    masked = mask(f"call +{grouped} now")

    assert len(re.sub(r"\D", "", masked)) <= 4


@given(st.text("0123456789 -.()+abc%:/@?=", max_size=60))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    """Texts pass through several layers, each of which may mask."""
    assert mask(mask(text)) == mask(text)


@given(
    st.one_of(
        st.builds("{}{}".format, st.sampled_from(["AC", "CA", "CF", "SK", "RQ"]), HEXADECIMAL),
        st.dates().map(str),
        st.datetimes(timezones=st.just(None)).map(str),
        st.sampled_from(["2010-04-01", "2026-11-22", "3.14.5", "1.26.0", "Thu, 22 Nov 2026"]),
        st.ip_addresses(v=4).map(str),
        st.builds("{}:{}".format, st.ip_addresses(v=4), st.integers(1, 65535)),
        st.integers(0, 9_999_999).map(str),
        st.floats(0, 1000).map(str),
    ),
    st.sampled_from(["{}", "https://127.0.0.1:8000/{}/Accounts", "at {}, then", "'{}'", "(={})"]),
)
@example("AC15558675310155586753101555867531", "{}")
@example("223.255.254.253:65535", "{}")
def test_what_is_no_number_stays_readable(fact: str, sentence: str) -> None:
    """SIDs, request ids, dates, versions, addresses and measures are what logs are for."""
    text = sentence.format(fact)

    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+15558675310", "***5310"),
        ("To=%2B15558675310&From=15017122661", "To=***5310&From=***2661"),
        ("(555) 867-5310", "***5310"),
        ("sip:alice@example.com", "sip:***@example.com"),
        ("SIPS:alice;transport=tls@example.com", "SIPS:***;transport=tls@example.com"),
        ("client:alice?room=1", "client:***?room=1"),
        ("http://user:secret@proxy:3128", "http://***@proxy:3128"),
        (
            "Thu, 22 Nov 2026 10:00:00 +0000 2010-04-01",
            "Thu, 22 Nov 2026 10:00:00 +0000 2010-04-01",
        ),
    ],
)
def test_masked_text_still_tells_rows_apart(text: str, masked: str) -> None:
    """The last four digits, the host and the kind of address stay."""
    assert mask(text) == masked
