"""No phone number and no secret is readable; what is neither stays readable."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conference_async import privacy
from conference_async.errors import ConferenceError, InvalidParameter
from conference_async.models import NewParticipant
from conference_async.privacy import Words, mask, printable, printable_json, words_of

NUMBERS = st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True)
HEXADECIMAL = st.text("0123456789abcdef", min_size=32, max_size=32)
WORDS = st.text(st.characters(exclude_categories=["N", "L", "Cs"], exclude_characters="+%:"))
SEPARATORS = st.sampled_from(["", " ", "-", ".", " (", ") ", " - ", ".."])


@given(st.text(), NUMBERS, st.text())
@example("a", "15558675310", "x")
@example("https://host/a%2", "15558675310", "/b")
def test_no_e164_number_survives(before: str, digits: str, after: str) -> None:
    """A number with its plus keeps only its last four digits, whatever stands around it."""
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
        ("postgresql://bob:p@ss/w?rd#1@db/calls#all", "postgresql://***@db/calls#all"),
        ('URI: "postgresql://bob:p@ss/w@db/calls"', 'URI: "postgresql://***@db/calls"'),
        ("redis://:p@ss@db:6379/0, gone", "redis://***@db:6379/0, gone"),
        (
            "postgresql://db/calls?user=bob&password=s%40cret",
            "postgresql://db/calls?user=bob&password=***",
        ),
        ("host=db password='s cret' dbname=calls", "host=db password=*** dbname=calls"),
        ("https://example.com/a?mail=x@example.com", "https://example.com/a?mail=x@example.com"),
        (
            "Thu, 22 Nov 2026 10:00:00 +0000 2010-04-01",
            "Thu, 22 Nov 2026 10:00:00 +0000 2010-04-01",
        ),
    ],
)
def test_masked_text_still_tells_rows_apart(text: str, masked: str) -> None:
    """The last four digits, the host and the kind of address stay."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("José Müller, 東京", "José Müller, 東京"),
        ("a\x1b[2J\x9b2J\x7f", r"a\x1b[2J\x9b2J\x7f"),
        ("one\r\ntwo\t\u2028", r"one\r\ntwo\t\u2028"),
        ("\u202ealice\u2066\u200b\ufeff", "<U+202E>alice<U+2066><U+200B><U+FEFF>"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_printed_moves_no_cursor(text: str, shown: str) -> None:
    """Letters of every script stay; what hides, turns or breaks a line is spelled out."""
    assert printable(text) == shown


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@example("\x7f\x9b\u202e\ud800")
def test_json_is_printable_and_whole(value: object) -> None:
    """It is one line of printable ASCII that means the same."""
    text = printable_json(value)

    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == value


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://app:p@ss/w%40rd@db/calls",
        "postgres://app:a b@db".replace(" ", "/"),
        "redis://:s3/cr@et?x@cache:6379/0",
        "http://user:p/ss@word@proxy:3128",
        "host=db password=s3cret user=app",
        "host=db password='s3 cret' user=app",
        "postgresql://db/calls?user=app&password=s3%40cret",
    ],
)
def test_no_password_survives_whatever_it_is_made_of(dsn: str) -> None:
    """Passwords typed as they are hold ``@``, ``/``, ``%`` and blanks."""
    for shown in (mask(f"cannot reach {dsn}: refused"), str(ConferenceError(dsn))):
        assert not re.search(r"p@ss|w%40rd|rd@|a/b|s3|cr@et|p/ss|word@", shown)


def sentences(tree: ast.Module) -> Iterator[str]:
    """Yield the texts that functions make of words, but for those marked as our own."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        nodes = [*ast.walk(function)]
        ours = {
            id(part)
            for node in nodes
            if isinstance(node, ast.Expr)
            or (isinstance(node, ast.Call) and ast.unparse(node.func) == "Words")
            for part in ast.walk(node)
            if isinstance(node, ast.Call) or isinstance(node.value, ast.Constant)
        }
        for node in nodes:
            text = node.value if isinstance(node, ast.Constant) and id(node) not in ours else ""
            if isinstance(text, str) and re.search(r"[a-z]{2} [a-z]+ [a-z]", text):
                yield text


def test_no_sentence_of_ours_is_eaten() -> None:
    """Values are masked, not the examples in what an error says: those are marked as ours."""
    sources = sorted(Path(privacy.__file__).parent.rglob("*.py"))
    said = [each for source in sources for each in sentences(ast.parse(source.read_text()))]

    assert len(said) > 200
    assert [each for each in said if mask(each) != each] == []


def test_what_is_marked_stays_whole_and_what_is_given_does_not() -> None:
    """The mark does not spread to a text that is made with it."""
    ours = Words("must be like client:name or +1 555 867 5310")

    assert mask(ours) == ours
    assert str(InvalidParameter("to", ours)) == f"to: {ours}"
    assert mask(f"{ours}") == "must be like client:name or ***5310"
    assert str(InvalidParameter("to", "not +15558675310")) == "to: not ***5310"


def test_an_example_stays_whole_however_often_it_is_masked() -> None:
    """An error's words go through other masks on their way to a person; ``name`` is nobody."""
    with pytest.raises(InvalidParameter) as refused:
        NewParticipant(from_="+15017122661", to="nobody")

    assert "sip:name@company.com, client:name or app:AP…" in str(refused.value)
    assert mask(str(refused.value)) == str(refused.value)
    assert mask("client:names, sip:name-of-his@x, 'client:name'") == (
        "client:***, sip:***@x, 'client:name'"
    )


def test_what_others_word_is_one_line() -> None:
    """A failure's kind and words, or its kind alone; numbers are masked."""
    assert words_of(ValueError("+15558675310\nERROR")) == r"ValueError: ***5310\nERROR"
    assert words_of(ValueError()) == "ValueError"


@pytest.mark.parametrize("shown", [str, repr])
@pytest.mark.parametrize("gap", ["\u00a0", "\u2009", "\u2011", "\u2013", "\u00ad", "\u200b", "\t"])
def test_no_number_survives_for_being_written_by_a_word_processor(
    gap: str, shown: Callable[[str], str]
) -> None:
    """Blanks that do not break, long dashes, and what cannot be seen, also as `repr` shows it."""
    for number in ("+1", "555", "867", "5310"), ("555", "867", "5310"):
        assert mask(shown(gap.join(number))).strip("'") == "***5310"


def test_no_number_survives_in_other_digits() -> None:
    """They are read as digits, so they are masked as digits."""
    assert (
        mask("\uff0b\uff11\uff15\uff15\uff15\uff18\uff16\uff17\uff15\uff13\uff11\uff10")[:3]
        == "***"
    )
