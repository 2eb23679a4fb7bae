"""Changes to a participant who is in a conference."""

from typing import TYPE_CHECKING

from conference_async.cautions import IgnoredParameter, notify
from conference_async.models import rules
from conference_async.models.extras import Extras, copied, only_unknown
from conference_async.models.given import check_given, needing, needs_something
from conference_async.models.rules import check_coaching
from conference_async.models.vocabulary import HttpMethod
from conference_async.privacy import described, names_only

if TYPE_CHECKING:
    from attrs import field as request_field
    from attrs import frozen as frozen_request
else:
    from conference_async.models.given import frozen_request, request_field

_METHOD = rules.word(HttpMethod)
_NEEDS = {
    "hold_method": "hold_url",
    "announce_method": "announce_url",
    "wait_method": "wait_url",
}


@frozen_request(kw_only=True, field_transformer=needing(_NEEDS))
class ParticipantChange:
    """A change to a participant (conference-participant-resource#update-a-participant).

    None leaves a field as it is.

    What the service would ignore is an `IgnoredParameter` warning.

    Raises:
        InvalidParameter: A value is out of its bounds, or nothing at all would change.
    """

    muted: bool | None = request_field(default=None, validator=rules.flag)
    """Whether the others cannot hear the participant."""
    hold: bool | None = request_field(default=None, validator=rules.flag)
    """Whether the participant is on hold."""
    hold_url: str | None = request_field(default=None, validator=rules.url())
    """The URL that plays on hold: audio, or TwiML of Play, Say, Pause and Redirect."""
    hold_method: HttpMethod | None = request_field(default=None, validator=_METHOD)
    """How to call `hold_url`; GET if not given."""
    announce_url: str | None = request_field(default=None, validator=rules.url())
    """The URL to play to this participant: audio, or TwiML of Play, Say, Pause and Redirect. Long
    audio starts late (25 minutes after about 15 seconds), and from 30 minutes on it may fail."""
    announce_method: HttpMethod | None = request_field(default=None, validator=_METHOD)
    """How to call `announce_url`; POST if not given."""
    wait_url: str | None = request_field(default=None, validator=rules.url(empty=True))
    """The URL that plays until the conference starts: audio or TwiML; an empty string is silence.
    The page's default is the standard hold music."""
    wait_method: HttpMethod | None = request_field(default=None, validator=_METHOD)
    """How to call `wait_url`: GET lets the service cache audio; POST if not given."""
    beep_on_exit: bool | None = request_field(default=None, validator=rules.flag)
    """Whether a beep announces it to the others when the participant leaves."""
    end_conference_on_exit: bool | None = request_field(default=None, validator=rules.flag)
    """Whether the conference ends for everyone when the participant leaves, or is removed; the
    page's default is False."""
    coaching: bool | None = request_field(default=None, validator=rules.flag)
    """Whether the participant coaches another one; True needs `call_sid_to_coach`. If not given,
    a call to coach implies it."""
    call_sid_to_coach: str | None = request_field(
        default=None, validator=rules.sid("CA", code=13240)
    )
    """The call (``CA…``) of the participant to coach, who alone hears the coach."""
    extra: Extras = request_field(
        factory=dict, converter=copied, validator=only_unknown, hash=False, repr=names_only
    )
    """Parameters newer than this library, by the service's names."""

    def __attrs_post_init__(self) -> None:
        check_given(self)
        needs_something(self)
        check_coaching(coaching=self.coaching, coached=self.call_sid_to_coach)
        # Without `hold` it may change what somebody hears who is on hold already.
        if self.hold is False and self.hold_url is not None:
            notify(IgnoredParameter, "hold_url is ignored with hold=False")

    def __repr__(self) -> str:
        return described(self)
