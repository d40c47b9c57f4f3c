"""The report of a study of memory edits as a Markdown page, and the picture in it.

A study is ``{"version", "options", "cells", "summary"}``: what ``energylang.studies.memories`` found in every cell, and
what ``energylang.studies.memory_summary`` makes of it. Nothing here depends on time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from energylang import results
from energylang.studies.memory_summary import figures

from .surgery_tables import NONE, percent, table, text

Spread = Sequence[float | None] | None

SHARES = ("share", "words", "distinct")
HEADS = {
    "share": "replies",
    "words": "by words",
    "texts": "texts",
    "contrast": "less contrasts",
    "kept": "replies to stay",
    "held-out": "held-out text",
    "own": "where it speaks",
    "unlikely": "unlikely",
    "distinct": "distinct",
}


def markdown(study: Mapping[str, Any], *, picture: bool) -> str:
    """The whole report; with a ``picture`` where one was drawn."""
    options, cells, summary = study["options"], study["cells"], study["summary"]
    parts = ["# Memory surgery report", _done(options, cells)]
    if cells:
        parts += _verdict(summary)
        if picture:
            parts.append("![Share of replies, before and after, by concept](surgery.svg)")
        parts += [
            "## By concept",
            *_how_to_read(options),
            _means(summary["concepts"], "concept", figures(cells)),
        ]
        if len(summary["layers"]) > 1:
            parts += ["## By layer", _means(summary["layers"], "layer", figures(cells))]
        parts += ["## Every cell", _cells(cells)]
    if options["waiting"]:
        parts.append(f"**Not finished.** {len(options['waiting'])} cells are still to be examined: "
                     + ", ".join(map(text, options["waiting"])) + ". The same command goes on with them.")  # fmt: skip
    again = "<!-- not run: it takes hours -->"
    parts += ["## Reproduce", f"{again}\n```sh\n{options['command']}\n```"]
    return "\n\n".join(parts) + "\n"


def shares(study: Mapping[str, Any]) -> results.Plot | None:
    """The share of replies by concept: before, after the edit, and beside its controls."""
    found = study["summary"]["concepts"]
    rows: list[tuple[Any, ...]] = []
    for name, each in found.items():
        before = each["before"][0]
        rows.append((name, "no change", before))
        for kind, label in (
            ("edit", "the edit"),
            ("random", "random values"),
            ("steering", "steering of equal cost"),
        ):
            if each[kind]["share"] is not None:
                rows.append((name, label, before + each[kind]["share"][0]))
    if not rows:
        return None
    lines, left_out = results.lines_of(
        results.Table(("concept", "under", "share of replies"), tuple(rows)),
        "concept", "share of replies", "under",
    )  # fmt: skip
    return results.Plot("concept", "share of replies", "under", lines, left_out, None)


def _done(options: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> str:
    several = len(options["layers"]) > 1
    where = ", ".join(options["layers"])
    together = "; layers with a + in one solve" if any("+" in each for each in options["layers"]) else ""
    return (
        f"{len(options['names'])} concepts ({', '.join(map(text, options['names']))}) were captured at "
        f"{'each of ' if several else ''}{where} of `{options['model']}` and written into the layer's memory (a "
        f"rank-one edit of its down-projection{together}), at the largest dose that costs at most "
        f"{percent(options['damage'])} on the replies that are to stay and on held-out text. {options['replies']} "
        "replies were judged in every cell "
        f"({len(cells)} cells of a concept, a layer and a seed), by prompts and texts by which nothing was chosen. "
        f"Beside every edit stand {options['placebos']} with random values at the same key and of the same norm, and "
        "steering towards the concept at the strength that costs as much on the replies that are to stay."
    )


def _verdict(summary: Mapping[str, Any]) -> Iterable[str]:
    yield "## Verdict"
    rows = []
    for bar in summary["bars"]:
        rows.append([
            bar["name"],
            f"at {'most' if bar['most'] else 'least'} {bar['limit']:g}",
            NONE if bar["value"] is None else f"{bar['value']:+.3f}",
            "met" if bar["met"] else "**missed**",
            ", ".join(map(text, bar["missed"])) or "none",
        ])  # fmt: skip
    yield table(["mean over all cells", "asked", "found", "", "concepts that miss it"], rows)
    undone, cells = summary["undone"], summary["cells"]
    yield f"Undone bit for bit (logits of held-out text, compared): {undone} of {cells}."


def _how_to_read(options: Mapping[str, Any]) -> Iterable[str]:
    yield (
        "Rises against the unedited model: shares of replies (judged by the unedited model, and by a list of words) "
        "in points, everything else in nats per token; mean ± standard deviation over the cells. *Texts* are the "
        "concept's own, unseen ones as replies; *unlikely* is what the unedited model makes of the replies; "
        "*distinct* the share of different pairs of tokens in them."
    )


def _means(groups: Mapping[str, Mapping[str, Any]], head: str, shown: Sequence[str]) -> str:
    rows = []
    for name, each in groups.items():
        for kind, label in (("edit", "edit"), ("random", "random values"), ("steering", "steering")):
            found = each[kind]
            rows.append([
                text(name) if kind == "edit" else "",
                f"{label}, n = {each['n']}" if kind == "edit" else label,
                *(_spread(found.get(figure), figure) for figure in shown),
            ])  # fmt: skip
    return table([head, "", *(HEADS.get(figure, text(figure)) for figure in shown)], rows)


def _cells(cells: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for row in cells:
        edit, steering = row["edit"], row["steering"]
        rows.append([
            text(row["concept"]), row["layers"], str(row["seed"]), f"{row['dose']:g}",
            f"{percent(row['before']['share'])} → {percent(row['before']['share'] + edit['share'])}",
            *(_signed(edit.get(figure)) for figure in ("texts", "contrast", "kept", "held-out")),
            f"×{steering['strength']:.3f}: {_signed(steering['share'], 'share')}",
            "yes" if row["undone"] else "**no**",
            "yes" if row["within"] else text(row["reason"]),
        ])  # fmt: skip
    return table(
        ["concept", "layer", "seed", "dose", "replies", "texts", "less contrasts", "replies to stay", "held-out text",
         "steering", "undone", "in budget"], rows,
    )  # fmt: skip


def _spread(found: Spread, figure: str) -> str:
    if found is None or found[0] is None:
        return NONE
    mean, std = found
    if figure in SHARES:
        return f"{100 * found[0]:+.0f}" + (f" ± {100 * std:.0f}" if std is not None else "")
    return f"{mean:+.3f}" + (f" ± {std:.3f}" if std is not None else "")


def _signed(value: float | None, figure: str = "") -> str:
    if value is None:
        return NONE
    return f"{100 * value:+.0f}" if figure in SHARES else f"{value:+.3f}"
