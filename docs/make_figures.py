"""Draw the figures of the documentation: ``python3 dev.py figures``, or parts of it: ``… terminal``, ``… plots``.

``terminal``: a prompt in tmux, driven by keys; the screen as SVG (rich). ``plots``: the six figures for notebooks, as
PNG (matplotlib). Everything is seeded: the figures change with the bundled model alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURES = Path(__file__).resolve().parent / "figures"
sys.path.insert(0, str(ROOT))


# -------------------------------------------------------------------------------------------- terminal


def svg(raw: str, path: Path, width: int, title: str) -> None:
    """What a terminal shows (with its escape sequences) as a picture."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=io.StringIO(), record=True, width=width, force_terminal=True, color_system="truecolor"
    )
    lines = raw.rstrip("\n").split("\n")
    plain = [Text.from_ansi(line).plain.strip() for line in lines]
    begins = next((k for k, line in enumerate(plain) if "Energy Language" in line), -1)
    lines, plain = (
        lines[begins + 1 :],
        plain[begins + 1 :],
    )  # what started the prompt is not part of the picture
    if plain[-2:-1] == [""]:  # nor is the room between the last line and the toolbar
        lines = lines[: max(k for k, line in enumerate(plain[:-1]) if line) + 1]
    for line in lines:
        text = Text.from_ansi(line)
        text.truncate(width)
        console.print(text, no_wrap=True, overflow="ignore", crop=False)
    drawn = console.export_svg(title=title)
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # no network: the reader's own fonts
    drawn = drawn.replace(
        "Fira Code, monospace", "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
    )
    path.write_text(re.sub(r"[ \t]+\n", "\n", drawn), encoding="utf-8")


def terminal() -> None:
    os.environ |= {"COLORTERM": "truecolor", "PROMPT_TOOLKIT_COLOR_DEPTH": "DEPTH_24_BIT"}
    from tests.repl.terminal import Terminal

    def shot(prompt: Terminal, name: str, width: int, title: str) -> None:
        time.sleep(1.5)
        raw = subprocess.run(
            ["tmux", "-L", prompt.name, "capture-pane", "-e", "-p", "-t", prompt.name],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        svg(raw, FIGURES / f"{name}.svg", width, title)

    @contextlib.contextmanager
    def at_the_prompt(width: int, height: int) -> Iterator[Terminal]:
        with tempfile.TemporaryDirectory() as folder:
            prompt = Terminal(Path(folder), "tiny", width=width, height=height)
            try:
                prompt.wait("Hopfield", seconds=120)
                yield prompt
            finally:
                prompt.close()

    with at_the_prompt(112, 56) as prompt:
        prompt.keys("C-l")
        prompt.type("landscape L3")
        prompt.wait("more", seconds=120)
        shot(prompt, "landscape", 112, "landscape L3")
    with at_the_prompt(100, 33) as prompt:
        for line, seen in (
            (
                'capture L3 polite "Thank you so much for asking, it is a real pleasure to help you."',
                "agreement",
            ),
            ("inject L3 polite strength=0.02", "protected"),
            ("verify L3 polite", "return"),
            ("remove L3.B9999", "EL5"),
        ):
            prompt.type(line)
            prompt.wait(seen, seconds=120)
        prompt.type("strengthen L3.B", enter=False)
        prompt.wait("starts", count=3)
        shot(prompt, "prompt", 100, "el repl tiny")
    with at_the_prompt(120, 40) as prompt:
        prompt.type("explore L3")
        prompt.wait("holds", seconds=120)
        prompt.keys("Down", "Down", "s")
        prompt.wait("Esc leaves it")
        prompt.keys("Enter")
        prompt.wait("refused", seconds=120)
        prompt.wait("holds", seconds=120)
        shot(prompt, "explore", 120, "explore L3")


# ----------------------------------------------------------------------------------------------- plots


def plots() -> None:
    from energylang import BasinSurgeon, Session
    from energylang import jupyter as pictures

    def keep(picture: pictures.Picture, name: str) -> None:
        picture.save(FIGURES / f"{name}.png")

    surgeon = BasinSurgeon.from_checkpoint("tiny")
    before = surgeon.survey(layer=2)
    for text in (
        "Thank you for reaching out",
        "I appreciate your question",
        "It would be my pleasure to help",
    ):
        surgeon.capture(layer=2, concept="polite", text=text)
    keep(pictures.plot_survey(before), "plot_survey")
    first = surgeon.find_basin_neighbours(layer=2, concept="polite", top_k=1)[0]["id"]
    untouched = surgeon.trace_generation("Hi, can you help me?", layer=2)
    surgeon.intervene(layer=2, basin_id=first, intervention="zero")
    changed = surgeon.trace_generation("Hi, can you help me?", layer=2)
    keep(pictures.visualise_trajectory([untouched, changed], 2), "visualise_trajectory")
    surgeon.revert()
    sandbox = Session("planted:64x4")
    start = sandbox.survey(0)
    keep(pictures.visualise_landscape(sandbox, 0, n_probes=300), "visualise_landscape")
    keep(pictures.plot_causal_graph(sandbox.causal_scan(0)), "plot_causal_graph")
    sandbox.set("max_changed", 0.2)
    sandbox.remove("L0.B0")
    sandbox.inject(0, 42)
    keep(pictures.plot_diff(start, sandbox.survey(0)), "plot_diff")
    session = Session("tiny")
    for text in (
        "Thank you so much for asking, it is a real pleasure to help you.",
        "I really appreciate your question.",
    ):
        session.capture(3, "polite", text)
    keep(pictures.plot_dose_response(session.steer(3, "polite")), "plot_dose_response")


if __name__ == "__main__":
    FIGURES.mkdir(exist_ok=True)
    asked = sys.argv[1:] or ["terminal", "plots"]
    if "terminal" in asked:
        terminal()
    if "plots" in asked:
        plots()
