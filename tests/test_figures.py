"""The README and the pages tell what the benchmarks measured, and no more."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIGURES = {
    figure["name"]: figure["value"]
    for found in json.loads((ROOT / "benchmarks" / "figures.json").read_text())["figures"].values()
    for figure in found
}
RATIOS = {
    "create, 50 in flight": (
        FIGURES["create on asyncio: vs official, wall"],
        FIGURES["create on asyncio: vs by hand, wall"],
    ),
    "fetch, 50 in flight": (
        FIGURES["fetch on asyncio: vs official, wall"],
        FIGURES["fetch on asyncio: vs by hand, wall"],
    ),
    "stream 20 pages of 1,000": (
        FIGURES["stream of 20 pages of 1,000: vs official, wall"],
        FIGURES["stream of 20 pages of 1,000: vs by hand, wall"],
    ),
    "one participant from a dictionary": (FIGURES["participant from a dictionary: vs official"],),
    "longest hold-up of the event loop while streaming pages of 1,000 and dialling": (
        FIGURES["longest callback, pages of 1000, official"]
        / FIGURES["longest callback, pages of 1000, conference_async"],
    ),
    "memory of a create in flight": (
        FIGURES["create in flight: memory vs official"],
        FIGURES["create in flight: memory vs by hand"],
    ),
    "memory of a process that is ready to create": (
        1 / FIGURES["resident when ready: share of official"],
    ),
    "import": (1 / FIGURES["import: share of official"],),
    "a webhook verified, parsed and in the roster, against the official validator alone": (
        FIGURES["webhook verified, parsed, in the roster: vs official validator alone"],
    ),
}

STORES = ("SQLiteEvents", "RedisEvents", "PostgresEvents")
EVENTS = {
    "while nothing happens: processor time of a second": [
        FIGURES[f"a worker that waits, with {store}: CPU of a second"] for store in STORES
    ],
    "callbacks per second that one core takes, of 12,500 without a log": [
        FIGURES[f"webhooks through ASGI, with {store}: one core"] for store in ("no log", *STORES)
    ],
    "events of the past per second that a core reads when a worker starts": [
        FIGURES[f"events of the past, with {store}: one core"] for store in STORES
    ],
}


def told() -> dict[str, list[float]]:
    """Return the rows of the README's table."""
    section = (ROOT / "README.md").read_text().partition("## Performance")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("| ")]
    numbers = {work.strip(): re.findall(r"[0-9.]+", "|".join(cells)) for work, *cells in rows}
    return {work: [float(number) for number in found] for work, found in numbers.items() if found}


@pytest.mark.parametrize("work", RATIOS)
def test_the_readme_tells_what_was_measured(work: str) -> None:
    """To two digits."""
    assert told()[work] == pytest.approx(RATIOS[work], rel=0.06)


def test_the_readme_tells_nothing_else() -> None:
    """Each row of its table is a figure of the last run."""
    assert told().keys() == RATIOS.keys()


@pytest.mark.parametrize("work", EVENTS)
def test_the_page_on_deployment_tells_what_was_measured(work: str) -> None:
    """Of each log of events, in the order of its table."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith(f"| {work} |")]
    numbers = [float(each.replace(",", "")) for each in re.findall(r"[0-9][0-9.,]*", row)]

    assert numbers == pytest.approx(EVENTS[work], rel=0.06)
