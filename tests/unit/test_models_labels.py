"""Labels, friendly names, and the SIDs they must not be mistaken for."""

from typing import Any

import pytest

from conference_async.cautions import ConferenceWarning, PersonalData
from conference_async.errors import InvalidParameter
from conference_async.models import (
    check_conference,
    check_label,
    check_participant,
    is_call_sid,
    is_conference_sid,
    mint_label,
)

CALL_SID = "CA" + "0123456789abcdef" * 2
CONFERENCE_SID = "CF" + "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "label",
    ["a b", "50%", "é☎", "agent#2", "a?b", "x" * 128, "...", "CA123", CALL_SID[:-1],
     "550e8400-e29b-41d4-a716-446655440000", "standup-2026-11-22", "👩‍💻", "+1", "order 1234567"],
)  # fmt: skip
def test_label_of_any_script_is_welcome(label: str) -> None:
    """A label may hold whatever can be percent-encoded, and passes without a warning."""
    assert check_label(label) == label
    assert check_participant(label) == label


@pytest.mark.parametrize(
    "label",
    ["", " ", "a/b", "a%2Fb", "a%2fb", "x" * 129, CALL_SID, CALL_SID.upper(), CALL_SID.lower(),
     "CA" + "a" * 32,
     ".", "..", "a\nb", "a\x00", "a\x85", "\ud800", None, 7],
)  # fmt: skip
def test_forbidden_label_is_refused_with_the_services_code(label: Any) -> None:
    """A label that the service forbids, or that would address somebody else, is never sent."""
    with pytest.raises(InvalidParameter) as refused:
        check_label(label)

    assert refused.value.parameter == "label"
    assert refused.value.code == 16024


def test_participant_is_addressed_by_sid_or_label_only() -> None:
    """A Call SID passes where a participant is addressed; what is no label does not."""
    assert check_participant(CALL_SID) == CALL_SID
    with pytest.raises(InvalidParameter):
        check_participant("a/b")


@pytest.mark.parametrize(
    "label",
    ["+15558675310", "15558675310", "(555) 867-5310", "agent 555-867-5310", "5558675310 (home)",
     "call +1 555 867 5310 now", "alice@example.com"],
)  # fmt: skip
def test_personal_data_is_warned_of_without_repeating_it(label: str) -> None:
    """A label or name that looks like a number or an address is a warning that hides it."""
    with pytest.warns(PersonalData) as warned:
        assert check_label(label) == label
    with pytest.warns(PersonalData):
        assert check_conference(label) == label

    assert "5310" not in str(warned[0].message)
    assert "alice" not in str(warned[0].message)
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    "name", ["standup", "a b", "é☎", "50%", CONFERENCE_SID, "CF123", "x" * 128]
)
def test_conference_is_addressed_by_sid_or_name(name: str) -> None:
    """A Conference SID and a friendly name pass as they are."""
    assert check_conference(name) == name


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "x" * 128 + " "])
def test_a_name_has_a_length(name: str) -> None:
    """The service's own code is about the length, and about nothing else."""
    with pytest.raises(InvalidParameter, match="conference: ") as refused:
        check_conference(name)
    assert refused.value.code == 13237


@pytest.mark.parametrize("name", ["a/b", "a?b", "%2f", "..", "a\tb", "\udfff", None])
def test_forbidden_name_is_refused(name: Any) -> None:
    """A string that cannot be a friendly name is never sent; the service has no code for it."""
    with pytest.raises(InvalidParameter, match="conference: ") as refused:
        check_conference(name)
    assert refused.value.code is None


@pytest.mark.parametrize("digits", ["o123456789abcdef" * 2, "a" * 31, "a" * 33])
def test_mistyped_conference_sid_is_warned_of(digits: str) -> None:
    """A name that is almost a SID is used as a name, but not in silence."""
    with pytest.warns(ConferenceWarning, match="mistyped"):
        check_conference(f"CF{digits}")


@pytest.mark.parametrize("digits", ["0123456789abcdef" * 2, "0123456789ABCDEF" * 2])
@pytest.mark.parametrize("kind", ["CA", "ca", "Ca", "AC", "SK", "AP", "PN", "RE", "cf", "cF"])
@pytest.mark.parametrize("around", ["{}", " {}", "{} ", "\u00a0{}"])
def test_another_identifier_is_no_name_of_a_conference(kind: str, digits: str, around: str) -> None:
    """It would open a room of that name in silence; the error says what it is instead."""
    with pytest.raises(InvalidParameter, match=r"^conference: is (a|an|the) .*SID"):
        check_conference(around.format(kind + digits))


def test_a_conference_sid_with_blanks_is_refused() -> None:
    """It was copied with more than itself; a task's SID is a name like any other."""
    with pytest.raises(InvalidParameter, match="another spelling: write CF"):
        check_conference(f"{CONFERENCE_SID} ")
    assert check_conference("WT" + "0" * 32) == "WT" + "0" * 32


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (CONFERENCE_SID, "participant: is a Conference SID, which means something else"),
        ("AC" + "0" * 32, "participant: is an Account SID"),
        (CALL_SID.lower(), "participant: is a Call SID in another spelling: write CA"),
        (f" {CALL_SID}", "participant: is a Call SID in another spelling"),
    ],
)
def test_another_identifier_is_no_participant(given: str, says: str) -> None:
    """It would be looked for as a label, and nobody be found."""
    with pytest.raises(InvalidParameter, match=says):
        check_participant(given)
    with pytest.raises(InvalidParameter, match="label: ") as refused:
        check_label(given)
    assert refused.value.code == 16024


def test_sids_are_told_apart() -> None:
    """A SID has its two letters and 32 hexadecimal digits, and nothing around them."""
    assert is_call_sid(CALL_SID)
    assert is_conference_sid(CONFERENCE_SID)
    assert not is_call_sid(CONFERENCE_SID)
    assert not is_conference_sid(CALL_SID)
    assert not is_conference_sid(CONFERENCE_SID + "\n")


def test_minted_labels_are_unique_and_need_no_escaping() -> None:
    """A minted label is legal, at most 32 characters, and never comes twice."""
    labels = {mint_label() for _ in range(1000)}

    assert len(labels) == 1000
    assert all(check_label(label).isalnum() and len(label) <= 32 for label in labels)


@pytest.mark.parametrize("check", [check_label, check_conference])
@pytest.mark.parametrize(
    "text",
    ["standup\u200b", "\ufeffstandup", "\u202estandup", "\u200b", "\u3164", " stand", "a "],
)
def test_what_cannot_be_seen_is_a_warning(check: Any, text: str) -> None:
    """It comes with what is copied from a page, and names another room than it seems to."""
    with pytest.warns(ConferenceWarning, match="show as nothing") as warned:
        assert check(text) == text

    assert str(warned[0].message).isprintable()


@pytest.mark.parametrize("check", [check_label, check_conference])
@pytest.mark.parametrize(
    "text", ["👩\u200d💻", "\u0645\u06cc\u200c\u062e", "a\u00a0b", "e\u0301", "♥\ufe0f"]
)
def test_what_joins_letters_is_no_mistake(check: Any, text: str) -> None:
    """Scripts and emoji need it."""
    assert check(text) == text
