"""What a change of a layer costs, seen from several sides.

A change may look free on one kind of text and be ruinous on another: a key that is whitened by encyclopaedia text alone
leaves that text as it is and spoils the model's own replies. So the damage has several faces, each the relative rise
of a loss with a standard error on top: on the model's **own replies** to neutral prompts, on the **held-out text** it
came with, and on **another one** where the user gave it (``heldout``). The worst of them counts.

Of kinds of prompts the same is true: a key that spares the replies to questions spoils those to remarks. Where nothing
is to be heard of an edit (``rewrite``), the own replies answer prompts of several kinds. Where a concept is to be said,
some replies must become other ones: those that are to stay answer questions of fact and instructions (``kept``), and
the concept is said in answer to remarks and requests to talk. None of them are replies by which anything is measured.

All is read of the choosing halves, of parts by which the second moment of the key was not made (``parts_of``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from energylang.looking.gauge import Gauge, standard_error
from energylang.models.behind import Behind
from energylang.models.protocol import Change, Sample
from energylang.models.text import TextModel
from energylang.workspace.workspace import Workspace

from .replies import as_pairs, own_replies

Kept = Literal["kept", "several kinds"]
SAID = 20  # tokens of an own reply
MEASURED = 16  # replies that are to stay, by which it is measured whether they do
_JUDGED, _WINDOWS = 16, 8  # replies, and windows of each text, by which a dose is judged
_KEPT = 24  # windows of each text that the second moment is made of


def own_halves(
    ws: Workspace, kept: Kept = "several kinds"
) -> tuple[list[tuple[str, Sample]], list[tuple[str, Sample]]]:
    """The model's own replies to prompts of these kinds: those that the second moment is made of, and those by which a
    dose is judged. They answer different prompts, where there are enough."""
    count = ws.text.sizes.kept
    if kept == "kept":
        count = max(min(count, len(ws.text.kept_prompts) - MEASURED), _JUDGED)
    said = [pair for pair in own_replies(ws, count, SAID, kept) if pair[1].token_ids]
    return said[_JUDGED:] or said, said[:_JUDGED]


def window_halves(text: TextModel) -> dict[str, tuple[Tensor, Tensor]]:
    """By name of each held-out text, windows (n, t) of its first half: those that the second moment is made of, and
    those by which a dose is judged (the same where there is but one)."""
    found = {}
    for name, tokens in text.corpora.items():
        windows = text.windows(tokens=tokens)
        first = windows[: max(1, len(windows) // 2)]
        found[name] = first[::2][:_KEPT], (first[1::2] if len(first) > 1 else first)[:_WINDOWS]
    return found


class Faces:
    """How much worse a change makes a model, from each side, against the staged ``weights`` of its layers."""

    def __init__(self, ws: Workspace, weights: Mapping[int, Tensor], kept: Kept = "several kinds") -> None:
        text, layer = ws.text, min(weights)
        base = Change(weights=weights)
        _, judged = own_halves(ws, kept)
        pairs = as_pairs(text, judged)
        self.own = Behind(text, layer, pairs) if pairs else None
        self.own_before = None if self.own is None else -self.own.means(base)
        self.gauges = {name: Gauge(ws, layer, part) for name, (_, part) in window_halves(text).items()}
        self.before = {name: gauge.losses(base) for name, gauge in self.gauges.items()}

    def rises(self, change: Change) -> Iterator[tuple[str, float]]:
        """By name of each face the relative rise of its loss and one standard error of it; the dearest face first."""
        if self.own is not None and self.own_before is not None:
            each = (-self.own.means(change) - self.own_before) / self.own_before.mean()
            yield "own replies", float(each.mean()) + (standard_error(each) or 0.0)
        for name, gauge in self.gauges.items():
            yield name, gauge.rise_at_most(change, self.before[name])

    def worst(self, change: Change, damage: float = float("inf")) -> tuple[str, float]:
        """The face that suffers most, or the first found to suffer more than ``damage``."""
        worst = ("text", -float("inf"))
        for name, rise in self.rises(change):
            worst = max(worst, (name, rise), key=lambda face: face[1])
            if rise > damage:
                break
        return worst


def rows_of(text: TextModel, said: Sequence[tuple[str, Sample]]) -> list[list[int]]:
    """The token ids of each question with its reply, the last of those that the model reads at once."""
    return [[*opening, *reply][-text.max_length :] for opening, reply in as_pairs(text, said)]


def finite(values: Tensor) -> bool:
    """Whether all of it are numbers."""
    return bool(torch.isfinite(values).all())
