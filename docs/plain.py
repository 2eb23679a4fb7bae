"""The documentation as plain text, for programs that read: each page, an index, and all in one.

https://llmstxt.org
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

_SENTENCE = re.compile(r"[A-Z\"][^=*]{10,300}?[.?](?= |$)")


@attrs.frozen
class Page:
    """A page as plain text."""

    name: str
    """Where it is, without a suffix: ``howto/bot``."""

    title: str
    text: str

    @property
    def question(self) -> str:
        """What it answers: the first sentence below the title, if one is there."""
        paragraphs = [" ".join(part.split()) for part in self.text.split("\n\n")]
        found = _SENTENCE.match(paragraphs[1]) if len(paragraphs) > 1 else None
        return "" if found is None else found[0]


def index_of(pages: Iterable[Page], *, title: str, summary: str) -> str:
    """Return the index: what this is, and a link to each page with what it answers.

    Pages stand in the order that they are given in, those of a folder under its name.
    """
    sections: dict[str, list[str]] = {}
    for page in pages:
        folder, _, _ = page.name.rpartition("/")
        line = f"- [{page.title}]({page.name}.txt)"
        sections.setdefault(folder or "docs", []).append(
            f"{line}: {page.question}" if page.question else line
        )
    lines = [f"# {title}", "", f"> {summary}"]
    for folder, links in sections.items():
        lines += ["", f"## {folder.capitalize()}", "", *links]
    return "\n".join(lines) + "\n"


def write(pages: list[Page], folder: Path, index: Callable[[list[Page]], str]) -> None:
    """Write every page, ``llms.txt`` and ``llms-full.txt`` into a folder."""
    for page in pages:
        file = folder / f"{page.name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page.text, encoding="utf-8")
    (folder / "llms.txt").write_text(index(pages), encoding="utf-8")
    (folder / "llms-full.txt").write_text(
        "\n\n".join(page.text for page in pages), encoding="utf-8"
    )
