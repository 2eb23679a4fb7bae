"""Decide which participant's word counts where several set something of their conference.

Every setting is taken on its own: setting one takes no other away. `Room.settings` holds, by the
parameter's name, the create that decides.
"""

from conference_async.emulator.state import Call

_FIRST_CALLED = ("MaxParticipants", "Region")
_FIRST_TO_JOIN_WITH_IT = ("ConferenceRecord", "ConferenceRecordingStatusCallback")


def called(call: Call) -> None:
    """Take what the first create that sets it decides, answered or not.

    Until somebody joins, events go to the first callback that was set, since those called in vain
    are reported, too.
    """
    for name in (*_FIRST_CALLED, "ConferenceStatusCallback"):
        if name in call.options and (name in _FIRST_CALLED or not call.room.joined):
            call.room.settings.setdefault(name, call.options)


def joined(call: Call) -> None:
    """Take what the first participant to join decides.

    Of the status callback the service's page says so: of later ones none is used, even if the
    first sets none.
    """
    room = call.room
    if not room.joined:
        room.joined = True
        room.settings["ConferenceStatusCallback"] = call.options
    for name in _FIRST_TO_JOIN_WITH_IT:
        if name in call.options:
            room.settings.setdefault(name, call.options)
