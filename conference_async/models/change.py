"""What may change about a participant who is in a conference."""

import attrs

from conference_async.disclosure import described, names_only
from conference_async.models import rules
from conference_async.models.agreement import needs_coached_call, needs_something, warn_of_ignored
from conference_async.models.extras import Extras, copied, only_unknown
from conference_async.models.vocabulary import HttpMethod

_METHOD = rules.word(HttpMethod)
_NEEDS = (
    ("hold_url", "hold"),
    ("hold_method", "hold_url"),
    ("announce_method", "announce_url"),
    ("wait_method", "wait_url"),
)


@attrs.frozen(kw_only=True)
class ParticipantChange:
    """What to change (conference-participant-resource#update-a-participant); None leaves it as is.

    What the service would ignore is an `IgnoredParameter` warning.

    Raises:
        InvalidParameter: A value is out of its bounds, or nothing at all would change.
    """

    muted: bool | None = attrs.field(default=None, validator=rules.flag)
    """Whether the others cannot hear the participant."""
    hold: bool | None = attrs.field(default=None, validator=rules.flag)
    """Whether the participant is on hold."""
    hold_url: str | None = attrs.field(default=None, validator=rules.url())
    """What plays on hold: audio, or TwiML of Play, Say, Pause and Redirect."""
    hold_method: HttpMethod | None = attrs.field(default=None, validator=_METHOD)
    """How to call `hold_url`; GET if not given."""
    announce_url: str | None = attrs.field(default=None, validator=rules.url())
    """What to play to this participant: audio, or TwiML of Play, Say, Pause and Redirect."""
    announce_method: HttpMethod | None = attrs.field(default=None, validator=_METHOD)
    """How to call `announce_url`; POST if not given."""
    wait_url: str | None = attrs.field(default=None, validator=rules.url(empty=True))
    """What plays until the conference starts; an empty string is silence."""
    wait_method: HttpMethod | None = attrs.field(default=None, validator=_METHOD)
    """How to call `wait_url`: GET lets the service cache audio; POST if not given."""
    beep_on_exit: bool | None = attrs.field(default=None, validator=rules.flag)
    """Whether a beep tells the others when the participant leaves."""
    end_conference_on_exit: bool | None = attrs.field(default=None, validator=rules.flag)
    """Whether the conference ends for everyone when the participant leaves."""
    coaching: bool | None = attrs.field(default=None, validator=rules.flag)
    """Whether the participant coaches another one; True needs `call_sid_to_coach`."""
    call_sid_to_coach: str | None = attrs.field(default=None, validator=rules.sid("CA", code=13240))
    """The call (``CA…``) of the participant to coach, who alone hears the coach."""
    extra: Extras = attrs.field(
        factory=dict, converter=copied, validator=only_unknown, hash=False, repr=names_only
    )
    """Parameters newer than this library, by the service's names."""

    def __attrs_post_init__(self) -> None:
        needs_something(self)
        needs_coached_call(coaching=self.coaching, coached=self.call_sid_to_coach)
        warn_of_ignored(self, _NEEDS)

    def __repr__(self) -> str:
        return described(self)
