"""The samples of the service's page, word for word: what it answers, and what it is asked."""

import json
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from conference_async.cautions import IgnoredParameter
from conference_async.models import NewParticipant, Participant, ParticipantChange
from conference_async.wire import (
    decode_participant,
    decode_participant_page,
    encode_form,
    next_page_path,
    participant_path,
    participants_path,
    participants_query,
)
from conference_async.wire.converter import make_converter

SAMPLES = Path(__file__).parents[1] / "samples"
REPLIES = sorted((SAMPLES / "replies").glob("*.json"))
REQUESTS = sorted((SAMPLES / "requests").glob("*.json"))
CURL_LINES = [path for path in REQUESTS if not path.stem.startswith("example_")]
FORMS = [path for path in REQUESTS if "pairs" in path.read_text()]
ENVELOPE = {
    "participants",
    "first_page_uri",
    "next_page_uri",
    "previous_page_uri",
    "uri",
    "page",
    "page_size",
    "start",
    "end",
}


def named(path: Path) -> str:
    """Return a sample's name, for the test's own name."""
    return path.stem


def test_every_sample_is_there() -> None:
    """The page shows eight replies, ten curl lines and eighteen example bodies."""
    assert len(REPLIES) == 8
    assert len(CURL_LINES) == 10
    assert len(REQUESTS) == 28


@pytest.mark.parametrize("path", REPLIES, ids=named)
def test_sample_reply_holds_nothing_unknown(path: Path) -> None:
    """Every property of a sample reply is one that we know, and reads as its documented type."""
    reply = json.loads(path.read_bytes())
    payloads: list[dict[str, Any]] = reply.get("participants", [reply])
    strict = make_converter(forbid_unknown=True)

    for payload in payloads:
        participant = strict.structure(payload, Participant)
        assert participant.extra == {}
        assert participant.call_sid == payload["call_sid"]
        assert participant.date_created is not None
        assert participant.date_created.year == 2011
    assert "participants" not in reply or set(reply) == ENVELOPE


@pytest.mark.parametrize("path", [path for path in REPLIES if path.stem != "list"], ids=named)
def test_sample_reply_is_read_property_by_property(path: Path) -> None:
    """Each property but the dates and the queue time is read as it stands."""
    reply = json.loads(path.read_bytes())

    participant = decode_participant(path.read_bytes())

    for name in set(reply) - {"date_created", "date_updated", "queue_time"}:
        assert getattr(participant, name) == reply[name]
    assert participant.queue_time == (1000 if path.stem == "create" else None)


def test_sample_page_is_read() -> None:
    """The sample page holds its two participants and leads to the next page."""
    page = decode_participant_page((SAMPLES / "replies" / "list.json").read_bytes())

    assert [item.coaching for item in page.items] == [True, False]
    assert next_page_path(page.fields["next_page_uri"]) == page.fields["next_page_uri"]


@pytest.mark.parametrize("path", FORMS, ids=named)
def test_sample_request_sends_exactly_its_pairs(path: Path) -> None:
    """Keywords become the pairs of the curl line or example body, no more and no fewer."""
    sample = json.loads(path.read_text())
    keywords: dict[str, Any] = sample["keywords"]
    pairs = [tuple(pair) for pair in sample["pairs"]]
    with warnings.catch_warnings():
        # Two example bodies give a phone a display name, which the page says is for SIP only.
        warnings.simplefilter("ignore", IgnoredParameter)
        request = NewParticipant(**keywords) if "to" in keywords else ParticipantChange(**keywords)

    sent = parse_qsl(encode_form(request).decode())

    # The example bodies write "enable", where the page's text says "Enable".
    assert sorted(sent) == sorted(
        (name, "Enable" if name == "MachineDetection" else value) for name, value in pairs
    )


@pytest.mark.parametrize("path", CURL_LINES, ids=named)
def test_sample_request_goes_to_its_address(path: Path) -> None:
    """The paths and the query of the curl lines come out of the path functions."""
    address = urlsplit(json.loads(path.read_text())["path"])
    _, _, _, account, _, conference, *rest = address.path.removesuffix(".json").split("/")

    if rest == ["Participants"]:
        ours = participants_path(account, conference)
    else:
        ours = participant_path(account, conference, rest[-1])

    assert ours == address.path
    assert not address.query or participants_query(muted=True, page_size=20) == address.query
