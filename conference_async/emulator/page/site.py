"""The page's files; what it shows and what its buttons do is the control API's."""

from importlib.resources import files

from conference_async.emulator.api.dispatch import Incoming
from conference_async.emulator.control import Guard, Refusal
from conference_async.emulator.control.answers import HEADERS
from conference_async.emulator.replies import Reply

ROOT = "/_emulator/"
"""The beginning of all paths of the page but ``/``."""

_FILES = {
    path: Reply(
        body=files("conference_async.emulator.page").joinpath(name).read_bytes(),
        content_type=content_type,
        headers=HEADERS,
    )
    for path, name, content_type in (
        ("/", "index.html", "text/html"),
        (f"{ROOT}page.css", "page.css", "text/css"),
        (f"{ROOT}page.js", "page.js", "text/javascript"),
        (f"{ROOT}icon.svg", "icon.svg", "image/svg+xml"),
    )
}


class Site:
    """Answers requests for the page's files; they are not recorded, delayed or spoiled."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def serves(self, incoming: Incoming) -> bool:
        """Return whether this is a request of the page, and none of the API's."""
        path = incoming.target.partition("?")[0]
        return path.startswith(ROOT) or (path == "/" and incoming.method in ("GET", "HEAD"))

    def answer(self, incoming: Incoming) -> Reply:
        """Answer one request of the page."""
        try:
            self._guard.admit(incoming)
        except Refusal as refusal:
            return refusal.reply()
        if incoming.method not in ("GET", "HEAD"):
            return Refusal(405, "Method not allowed", {"Allow": "GET"}).reply()
        path = incoming.target.partition("?")[0]
        return _FILES.get(path) or Refusal(404, "There is no such page").reply()
