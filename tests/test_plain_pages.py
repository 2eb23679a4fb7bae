"""The pages for programs that read, the gallery, and the recipes that stand side by side."""

import re
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS.parent / "examples"
PLAIN: dict[str, Any] = runpy.run_path(str(DOCS / "plain.py"))


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page in one language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_index_says_what_each_page_answers(tmp_path: Path) -> None:
    """A title, a summary, and links below the folder's name; each leads to a file."""
    pages = [
        PLAIN["Page"](
            "index", "conference_async", "conference_async\n****\n\nBrings\nphones in.\n"
        ),
        PLAIN["Page"]("howto/bot", "Wait", "Wait\n****\n\nHow does a bot\nwait? More.\n\nSo.\n"),
        PLAIN["Page"]("howto/parts", "Parts", "Parts\n****\n\nSet up\n======\n\nThus.\n"),
        PLAIN["Page"]("howto/empty", "Empty", "Empty\n"),
    ]

    def index(given: Any) -> str:
        written: str = PLAIN["index_of"](given, title="conference_async", summary="Phones.")
        return written

    PLAIN["write"](pages, tmp_path, index)

    assert (tmp_path / "llms.txt").read_text().splitlines() == [
        "# conference_async",
        "",
        "> Phones.",
        "",
        "## Docs",
        "",
        "- [conference_async](index.txt): Brings phones in.",
        "",
        "## Howto",
        "",
        "- [Wait](howto/bot.txt): How does a bot wait?",
        "- [Parts](howto/parts.txt)",
        "- [Empty](howto/empty.txt)",
    ]
    links = re.findall(r"\]\((.*?)\)", (tmp_path / "llms.txt").read_text())
    assert [(tmp_path / link).read_text() for link in links] == [page.text for page in pages]
    assert "How does a bot\nwait?" in (tmp_path / "llms-full.txt").read_text()


def test_the_gallery_shows_every_example() -> None:
    """And a test starts each of them."""
    gallery = (DOCS / "examples.md").read_text(encoding="utf-8")
    tests = (Path(__file__).parent / "examples").glob("test_*.py")
    driven = "".join(test.read_text(encoding="utf-8") for test in tests)
    shown = {*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.csv")}

    assert len(shown) > 4
    assert [each.name for each in shown if f"`{each.name}`" not in gallery] == []
    assert [each.name for each in EXAMPLES.glob("*.py") if each.name not in driven] == []
    for half in (EXAMPLES / "migration").glob("*_*er.py"):
        assert f"/{half.name}\n" in (DOCS / "migration.md").read_text(encoding="utf-8"), half


def test_the_official_helper_writes_the_same_twiml() -> None:
    """What the recipe builds by hand is what the official library builds."""
    pytest.importorskip("twilio.twiml", reason="the official library is not installed")
    ours, theirs = dict[str, Any](), dict[str, Any]()
    (by_hand,) = (block for block in blocks("howto/recipes.md", "python") if "Element(" in block)
    (official,) = blocks("howto/recipes.md", "py")
    exec(by_hand, ours)
    exec(official, theirs)

    for name, arguments in (
        ("invitation", ()),
        ("joining", ("1", "alice")),
        ("joining", ("2", "alice")),
    ):
        first, second = (
            ET.canonicalize(each[name](*arguments), rewrite_prefixes=True)
            for each in (ours, theirs)
        )
        assert first == second
