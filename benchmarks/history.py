"""What the figures were in each version: kept beside the last ones, and drawn."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from benchmarks.figures import Figure
from conference_async._version import __version__

KEPT = Path(__file__).with_name("history.json")
DRAWN = Path(__file__).parents[1] / "docs" / "history.svg"
SHOWN = (
    "create: instructions vs official",
    "create: instructions vs by hand",
    "fetch: instructions vs official",
    "fetch: instructions vs by hand",
    "create on asyncio: vs official, wall",
    "create on asyncio: vs by hand, wall",
    "fetch on asyncio: vs official, wall",
    "fetch on asyncio: vs by hand, wall",
    "stream of 20 pages of 1,000: vs official, wall",
    "stream of 20 pages of 1,000: vs by hand, wall",
    "participant from a dictionary: vs official",
    "import: share of its dependencies alone",
)
"""The figures that are kept; each has a goal."""

COLUMNS, WIDTH, HEIGHT, MARGIN = 2, 330, 130, 30

Version: TypeAlias = dict[str, dict[str, float]]
"""Of each figure, its `value` in a version and its `goal` then."""


def keep(figures: Sequence[Figure]) -> None:
    """Note the figures of this version, in place of those it had before, and draw all of them."""
    versions: dict[str, Version] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    known = versions.setdefault(__version__, {})
    for figure in figures:
        if figure.name in SHOWN and figure.goal is not None:
            known[figure.name] = {"value": round(figure.value, 3), "goal": figure.goal}
    KEPT.write_text(json.dumps(versions, indent=1) + "\n")
    DRAWN.write_text(drawn(versions))


def drawn(versions: Mapping[str, Version]) -> str:
    """Return a small plot for each figure, over the versions from left to right."""
    rows = -(-len(SHOWN) // COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * WIDTH} {rows * HEIGHT}"',
        'font-family="sans-serif" font-size="10" fill="#333">',
        f'<rect width="{COLUMNS * WIDTH}" height="{rows * HEIGHT}" fill="white"/>',
    ]
    for place, name in enumerate(SHOWN):
        row, column = divmod(place, COLUMNS)
        points = [(version, found[name]) for version, found in versions.items() if name in found]
        if points:
            parts += [
                f'<g transform="translate({column * WIDTH} {row * HEIGHT})">',
                *_panel(name, points),
                "</g>",
            ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(name: str, points: Sequence[tuple[str, dict[str, float]]]) -> list[str]:
    goal = points[-1][1]["goal"]
    top = max([goal, *(found["value"] for _, found in points)]) * 1.3
    left, right, bottom = MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN

    def height(value: float) -> float:
        return round(bottom - (bottom - MARGIN) * value / top, 1)

    step = (right - left) / (len(points) + 1)
    placed = [
        (round(left + step * (number + 1), 1), version, found["value"])
        for number, (version, found) in enumerate(points)
    ]
    line = " ".join(f"{x},{height(value)}" for x, _, value in placed)
    parts = [
        f'<text x="{left}" y="16" font-size="11">{name}</text>',
        f'<path d="M{left} {bottom}H{right}" stroke="#999"/>',
        f'<path d="M{left} {height(goal)}H{right}" stroke="#c33" stroke-dasharray="4 3"/>',
        f'<text x="{right + 2}" y="{height(goal) + 3}" fill="#c33">{goal:g}</text>',
        f'<polyline points="{line}" fill="none" stroke="#0b62a4"/>',
    ]
    for x, version, value in placed:
        parts += [
            f'<circle cx="{x}" cy="{height(value)}" r="3" fill="#0b62a4"/>',
            f'<text x="{x}" y="{height(value) - 6}" text-anchor="middle">{value:.3g}</text>',
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{version}</text>',
        ]
    return parts
