"""The only place that knows the API's names, paths, dates and encodings."""

from conference_async.wire.converter import make_converter
from conference_async.wire.decode import (
    Page,
    decode_conference,
    decode_conference_page,
    decode_participant,
    decode_participant_page,
)
from conference_async.wire.forms import (
    conferences_query,
    encode_form,
    form_pairs,
    participants_query,
    wire_name,
)
from conference_async.wire.paths import (
    conference_path,
    conferences_path,
    next_page_path,
    participant_path,
    participants_path,
)
from conference_async.wire.refusals import error_code, refusal

__all__ = [
    "Page",
    "conference_path",
    "conferences_path",
    "conferences_query",
    "decode_conference",
    "decode_conference_page",
    "decode_participant",
    "decode_participant_page",
    "encode_form",
    "error_code",
    "form_pairs",
    "make_converter",
    "next_page_path",
    "participant_path",
    "participants_path",
    "participants_query",
    "refusal",
    "wire_name",
]
