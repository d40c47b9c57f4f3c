"""A bar chart of ratios as SVG, written by hand: no library is needed to look at it."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

WIDTH, ROW, LEFT = 720, 24, 230


def bars(ratios: dict[str, float]) -> str:
    """How many times faster than the published package, on a logarithmic scale."""
    height = 60 + ROW * len(ratios)
    top = max([10.0, *ratios.values()])
    scale = (WIDTH - LEFT - 70) / math.log10(top)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="12" y="22" font-size="14">times faster than qriton-hlm (logarithmic)</text>',
    ]
    for row, (name, ratio) in enumerate(ratios.items()):
        y = 40 + ROW * row
        length = max(1.0, scale * math.log10(max(ratio, 1.0)))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="16" fill="#3b6fb6"/>')
        parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{ratio:.1f}×</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
