"""The request that every operation on a resource works on."""

import attrs

from conference_async.emulator.api.parameters import CONFERENCE_SID
from conference_async.emulator.forms import Form
from conference_async.emulator.replies import API_VERSION, ApiError, not_found
from conference_async.emulator.routing import Route
from conference_async.emulator.state import Account, Room


@attrs.frozen(kw_only=True)
class Asked:
    """One admitted request."""

    route: Route
    """The operation and what its path names."""
    path: str
    """The raw path, for links and error texts."""
    account: Account
    """The account that it addresses."""
    query: Form
    """The query parameters."""
    form: Form
    """The form parameters."""
    problem: ApiError | None = None
    """Why the parameters could not be decoded, if so."""
    at: float
    """Loop time of its arrival."""
    idempotency_key: str | None = None
    """The header of that name."""
    hidden: float = 0.0
    """Seconds for which what it creates is not found or listed."""

    def missing(self) -> ApiError:
        """Return the 404 for what the path names."""
        return not_found(self.path.removeprefix(f"/{API_VERSION}"))

    def room(self) -> Room:
        """Return the conference whose SID the path names.

        Raises:
            ApiError: 405/20004 for a friendly name, 404/20404 for a conference that is not there.
        """
        if not CONFERENCE_SID.fullmatch(self.route.parent):
            raise ApiError(20004, "Method not allowed", status=405)
        room = self.account.rooms.get(self.route.parent)
        if room is None or room.visible_from > self.at:
            raise self.missing()
        return room
