"""The only place that knows the API's names, paths, dates and encodings."""

from conference_async.wire.decode import (
    PageReply,
    decode_call,
    decode_call_page,
    decode_conference,
    decode_conference_page,
    decode_participant,
    decode_participant_page,
    load_converter,
)
from conference_async.wire.forms import (
    LARGEST_PAGE,
    calls_query,
    conferences_query,
    encode_form,
    participants_query,
    wire_name,
)
from conference_async.wire.paths import (
    call_path,
    calls_path,
    conference_path,
    conferences_path,
    next_page_path,
    participant_path,
    participants_path,
    start_path,
)
from conference_async.wire.refusals import GONE, error_code, refusal

__all__ = [
    "GONE",
    "LARGEST_PAGE",
    "PageReply",
    "call_path",
    "calls_path",
    "calls_query",
    "conference_path",
    "conferences_path",
    "conferences_query",
    "decode_call",
    "decode_call_page",
    "decode_conference",
    "decode_conference_page",
    "decode_participant",
    "decode_participant_page",
    "encode_form",
    "error_code",
    "load_converter",
    "next_page_path",
    "participant_path",
    "participants_path",
    "participants_query",
    "refusal",
    "start_path",
    "wire_name",
]
