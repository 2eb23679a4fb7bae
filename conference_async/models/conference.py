"""A conference as the service describes it, and the changes it takes."""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import attrs

from conference_async.models.extras import Extras, copied, only_unknown
from conference_async.models.given import check_given, needing, needs_something
from conference_async.models.rules import url, word
from conference_async.models.vocabulary import UNKNOWN, ConferenceStatus, HttpMethod
from conference_async.privacy import described, names_only

if TYPE_CHECKING:
    from attrs import field as request_field
    from attrs import frozen as frozen_request
else:
    from conference_async.models.given import frozen_request, request_field


@attrs.frozen(kw_only=True, eq=False)
class Conference:
    """One conference at one moment (conference-resource#conference-properties).

    The service may leave out, or send as null, any of these.
    """

    sid: str | None = None
    """The conference's own SID (``CF…``)."""
    account_sid: str | None = None
    """The account (``AC…``) that the conference belongs to."""
    api_version: str | None = None
    """The version of the API that created the conference."""
    friendly_name: str | None = None
    """The name that participants were created with; not unique over time."""
    region: str | None = None
    """The region in which the audio is mixed, such as ``us1``; may be ``unknown``."""
    status: ConferenceStatus | str = UNKNOWN
    """The conference's state; one newer than this library stays a
    plain string, and is ``unknown`` where the service sent none."""
    date_created: datetime | None = None
    """When the conference was created, in UTC; None if the service sent no readable date."""
    date_updated: datetime | None = None
    """When the conference last changed, in UTC; None if the service sent no readable date."""
    uri: str | None = attrs.field(default=None, repr=repr)
    """The path of this resource on the service's host."""
    subresource_uris: Mapping[str, object] = attrs.field(factory=dict[str, object], repr=repr)
    """The paths of the participants, recordings and so on, by name."""
    reason_conference_ended: str | None = None
    """Why the conference ended, such as ``last-participant-left``."""
    call_sid_ending_conference: str | None = None
    """The call that ended the conference, if one did."""
    extra: Mapping[str, object] = attrs.field(factory=dict[str, object], repr=names_only)
    """Properties newer than this library, and values it could not read, as they came."""

    def __repr__(self) -> str:
        return described(self)

    def __eq__(self, other: object) -> bool:
        return _held(self) == _held(other) if isinstance(other, Conference) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.sid, self.status, self.date_updated))


_fields: tuple["attrs.Attribute[Any]", ...] = attrs.fields(Conference)
_held = attrgetter(*(field.name for field in _fields))


@frozen_request(kw_only=True, field_transformer=needing({"announce_method": "announce_url"}))
class ConferenceChange:
    """A change to a whole conference (conference-resource#update-a-conference-resource).

    Raises:
        InvalidParameter: A value is out of its bounds, or nothing at all would change.
    """

    status: Literal["completed"] | None = request_field(
        default=None, validator=word(Literal["completed"])
    )
    """``completed`` ends the conference for everyone."""
    announce_url: str | None = request_field(default=None, validator=url())
    """The URL to play to everyone: audio, or TwiML of Play, Say, Pause and Redirect. Long audio
    starts late (25 minutes after about 15 seconds), and from 30 minutes on it may fail."""
    announce_method: HttpMethod | None = request_field(default=None, validator=word(HttpMethod))
    """How to call `announce_url`; POST if not given."""
    extra: Extras = request_field(
        factory=dict, converter=copied, validator=only_unknown, hash=False, repr=names_only
    )
    """Parameters newer than this library, by the service's names."""

    def __attrs_post_init__(self) -> None:
        check_given(self)
        needs_something(self)

    def __repr__(self) -> str:
        return described(self)
