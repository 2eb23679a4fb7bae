"""Two people, muted, listed and hung up on: with the official library."""

import os

from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

client = Client()
client.api.base_url = os.environ.get("CONFERENCE_ASYNC_BASE_URL", client.api.base_url)

room = None
for label, number in (("alice", "+15558675310"), ("bob", "+15558675311")):
    try:
        participant = client.conferences("standup").participants.create(
            from_=os.environ["FROM_NUMBER"], to=number, label=label, early_media=True
        )
    except TwilioRestException as error:
        print(label, "was refused:", error.code)
    else:
        room = client.conferences(participant.conference_sid)

if room is not None:
    room.participants("alice").update(muted=True)
    for one in room.participants.list():
        print(one.label, "muted" if one.muted else "not muted")
    room.participants("bob").delete()
    room.update(status="completed")
