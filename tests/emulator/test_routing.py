"""Request lines."""

import pytest

from conference_async.emulator.routing import route

ROOT = "/2010-04-01/Accounts/AC1"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/Conferences.json", "conferences.list"),
        ("GET", "/Conferences/CF1.json", "conferences.fetch"),
        ("POST", "/Conferences/CF1.json", "conferences.update"),
        ("GET", "/Conferences/CF1/Participants.json", "list"),
        ("POST", "/Conferences/CF1/Participants.json", "create"),
        ("GET", "/Conferences/CF1/Participants/alice.json", "fetch"),
        ("POST", "/Conferences/CF1/Participants/alice.json", "update"),
        ("DELETE", "/Conferences/CF1/Participants/alice.json", "delete"),
        ("GET", "/Calls.json", "calls.list"),
        ("GET", "/Calls/CA1.json", "calls.fetch"),
        ("POST", "/Calls/CA1.json", "calls.update"),
        ("GET", ".json", "accounts.fetch"),
        ("PUT", "/Calls/CA1.json", "unknown"),
        ("GET", "/Conferences//Participants.json", "unknown"),
        ("GET", "/Conferences/CF1/Participants/.json", "unknown"),
        ("GET", "/Conferences/CF1/Recordings.json", "unknown"),
        ("GET", "/.json", "unknown"),
    ],
)
def test_each_operation_has_its_method_and_path(method: str, path: str, kind: str) -> None:
    """A method on a path is one operation, or unknown."""
    assert route(method, ROOT + path).kind == kind


@pytest.mark.parametrize("path", ["/", "", "/2010-04-01/Accounts", "/x" * 9, "/%ff", "*"])
def test_a_path_outside_the_api_is_unknown(path: str) -> None:
    """A path that is not below an account is no route, whatever its bytes."""
    assert route("GET", path).allowed == ()


@pytest.mark.parametrize(
    ("segment", "label"),
    [
        ("a%20b", "a b"),
        ("50%25", "50%"),
        ("%C3%A9%E2%98%8E", "é☎"),
        ("agent%232", "agent#2"),
        ("a%3Fb", "a?b"),
        (";,:@&=", ";,:@&="),
        ("%3B%2C%3A%40%26%3D", ";,:@&="),
        ("a%2Fb", "a/b"),
        ("a%2520b", "a%20b"),
        ("a%0Ab", "a\nb"),
        ("a.json", "a.json"),
        ("a+b", "a+b"),
    ],
)
def test_a_segment_is_decoded_once_after_the_path_was_split(segment: str, label: str) -> None:
    """Each spelling of a label means exactly that label."""
    found = route("GET", f"{ROOT}/Conferences/CF1/Participants/{segment}.json")

    assert (found.kind, found.participant, found.xml) == ("fetch", label, False)


def test_without_json_in_the_path_the_answer_is_xml() -> None:
    """The suffix decides on the format."""
    assert route("GET", f"{ROOT}/Conferences").xml
