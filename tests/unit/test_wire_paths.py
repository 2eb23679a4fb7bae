"""Paths of the API."""

from urllib.parse import unquote

import pytest

from conference_async.errors import UnexpectedReply
from conference_async.wire import (
    conference_path,
    conferences_path,
    next_page_path,
    participant_path,
    participants_path,
)

ACCOUNT = "AC" + "a" * 32
CONFERENCE = "CF" + "b" * 32
ROOT = f"/2010-04-01/Accounts/{ACCOUNT}"


def test_every_path_asks_for_json() -> None:
    """Without ``.json`` the service answers in XML."""
    assert conferences_path(ACCOUNT) == f"{ROOT}/Conferences.json"
    assert conference_path(ACCOUNT, CONFERENCE) == f"{ROOT}/Conferences/{CONFERENCE}.json"
    assert participants_path(ACCOUNT, "a b") == f"{ROOT}/Conferences/a%20b/Participants.json"


@pytest.mark.parametrize(
    "label", ["a b", "50%", "é☎", "agent#2", "a?b", "a&b=c;d", "a+b", "~", "%20"]
)
def test_label_addresses_that_very_participant(label: str) -> None:
    """Nothing in a label can end its segment, and it reads back as it was."""
    path = participant_path(ACCOUNT, CONFERENCE, label)

    segment = path.removeprefix(f"{ROOT}/Conferences/{CONFERENCE}/Participants/")
    segment = segment.removesuffix(".json")
    assert unquote(segment) == label
    assert not set(segment) & set("/?#&=+; é☎")


def test_next_page_is_followed_as_it_came() -> None:
    """An opaque token is not touched."""
    uri = f"{ROOT}/Conferences.json?FriendlyName=a%20b&Page=1&PageToken=PACF%2f="

    assert next_page_path(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://evil.example/2010-04-01/Accounts/x",
        "//evil.example/2010-04-01/Accounts/x",
        "/2010-04-01/Accounts",
        "/2008-08-01/Accounts/x",
        "/2010-04-01/Accounts/../../secret",
        "/2010-04-01/Accounts/%2e%2E/x",
        "/2010-04-01/Accounts/x\\y",
        "/2010-04-01/Accounts/x y",
        "/2010-04-01/Accounts/x\r\nHost: evil",
        "@evil.example/2010-04-01/Accounts/x",
        "/2010-04-01/Accounts/é",
    ],
)
def test_credentials_never_leave_for_another_host(uri: str) -> None:
    """A link to anything but a page of our own API is not followed."""
    with pytest.raises(UnexpectedReply, match="next_page_uri"):
        next_page_path(uri)
