"""One page of a list, and where it stands among the others."""

from collections.abc import Iterable
from typing import TypeVar

ItemT = TypeVar("ItemT")


class Page(list[ItemT]):
    """The items of one page of a list, with the paging fields that the service sent beside them.

    A field is None where the service sent none. A list goes on from a link that was kept, with
    ``stream(start=page.next_page_uri)``.
    """

    def __init__(  # noqa: PLR0913 -- one for each of the service's paging fields
        self,
        items: Iterable[ItemT] = (),
        *,
        page: int | None = None,
        page_size: int | None = None,
        start: int | None = None,
        end: int | None = None,
        uri: str | None = None,
        first_page_uri: str | None = None,
        previous_page_uri: str | None = None,
        next_page_uri: str | None = None,
    ) -> None:
        super().__init__(items)
        self.page: int | None = page
        """The number of the page, from 0."""
        self.page_size: int | None = page_size
        """How many items a page of this list has at most."""
        self.start: int | None = start
        """The place of the first item in the list, from 0."""
        self.end: int | None = end
        """The place of the last item in the list; 0 on an empty page."""
        self.uri: str | None = uri
        """The path and query of this page, relative to the service's host."""
        self.first_page_uri: str | None = first_page_uri
        """Those of the first page."""
        self.previous_page_uri: str | None = previous_page_uri
        """Those of the page before; None on the first."""
        self.next_page_uri: str | None = next_page_uri
        """Those of the page after; None on the last."""
