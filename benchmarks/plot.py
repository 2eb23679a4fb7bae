"""A plot with a logarithmic x axis, as an SVG file without any library."""

import math
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 560, 300, 60


def plot(
    path: Path, *, title: str, x_label: str, y_label: str, points: Sequence[tuple[float, float]]
) -> None:
    """Draw points and the line through them; the y axis begins at 0.

    Args:
        path: The file to write.
        title: What stands above it.
        x_label: What is counted along the x axis, in powers of ten.
        y_label: The unit of the y axis.
        points: From left to right; no x below 1.
    """
    decades = math.ceil(max(math.log10(x) for x, _ in points)) or 1
    top = max(y for _, y in points) * 1.2

    def place(x: float, y: float) -> tuple[float, float]:
        across = MARGIN + (WIDTH - 2 * MARGIN) * math.log10(x) / decades
        return round(across, 1), round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * y / top, 1)

    left, bottom = place(1, 0)
    right, _ = place(10**decades, 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{WIDTH / 2}" y="24" text-anchor="middle" font-size="14">{title}</text>',
        f'<path d="M{left} {MARGIN}V{bottom}H{right}" fill="none" stroke="#333"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">{x_label}</text>',
        f'<text x="14" y="{MARGIN - 10}">{y_label}</text>',
    ]
    for decade in range(decades + 1):
        x, y = place(10**decade, 0)
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{10**decade:,}</text>')
    line = " ".join(f"{x},{y}" for x, y in (place(*point) for point in points))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#0b62a4" stroke-width="2"/>')
    for point in points:
        x, y = place(*point)
        parts += [
            f'<circle cx="{x}" cy="{y}" r="4" fill="#0b62a4"/>',
            f'<text x="{x}" y="{y - 10}" text-anchor="middle">{point[1]:.3g}</text>',
        ]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")
