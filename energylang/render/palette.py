"""The colours of every picture, in one place: terminal, notebook, page, still.

Okabe and Ito's colours for kinds, which every kind of colour vision tells apart; what a colour says, a shape or a
label says too. Quantities go from blue (low, deep) over grey to orange (high, shallow): a scale that grows lighter all
the way and is seen on dark and on light ground alike, so that a terminal and a page can share it.
"""

from __future__ import annotations

BLUE, ORANGE, GREEN, SKY = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
PINK, AMBER, GREY, BLACK = "#CC79A7", "#E69F00", "#8A8A8A", "#000000"
KINDS = (BLUE, ORANGE, GREEN, SKY, PINK, AMBER, GREY, BLACK)
"""The colours of lines and groups, in the order in which they are given out."""

INK, FAINT, GRID, PAPER = "#222222", "#666666", "#ECECEC", "#FFFFFF"
PALE_BLUE, PALE_GREY = "#8DB4DC", "#D6D6D6"
"""Single runs beside their mean: of what was done, and of random controls."""
OLD = "#C4C4C4"
"""What the last survey of the present weight did not meet."""
SHADOW = "rgba(138,138,138,0.25)"
"""The spread of random controls."""

DEPTHS = ("#3D8FD1", "#769EBB", "#9E9E9E", "#C9A063", AMBER)
"""A quantity in five steps, from low to high."""

SPOKEN = {
    "green": GREEN,
    "cyan": "#2A8CC4",
    "blue": "#2A8CC4",
    "red": ORANGE,
    "yellow": "#B8860B",
    "magenta": "#B0609A",
}
"""What a terminal's colours are on a page: two of them darker, so that they can be read on white."""

BAR, BAR_TEXT, BAR_NAME = "#22272E", "#9AA4B0", "#E6EDF3"
"""The line under the prompt."""


def scale() -> list[list[float | str]]:
    """The quantities' colours as plotly wants them."""
    return [[step / (len(DEPTHS) - 1), colour] for step, colour in enumerate(DEPTHS)]
