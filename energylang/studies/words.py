"""Can a kind of word be made more, or less, likely in plain text, by one edit of a landscape?

For every concept of a ``WordStudy`` (a pattern that tells which tokens of a text are meant), through the functions
that ``inject-concept`` and ``remove-concept`` use on plain text (``aim_target``):

1. the tokens that match are looked up in held-out text: the half that chooses, and the half that measures;
2. at every layer a target is optimised on windows of the choosing half, and the largest dose within the damage budget
   is found there; the layer that gains most **on the choosing half** is taken;
3. on the measuring half, which chose nothing: the log-probability of the concept's tokens and the loss of all tokens,
   before and after;
4. the controls, each of the edit's norm: ``random`` directions, edits that store a ``token`` state met in text,
   the same method aimed at ``other`` concepts, and at ``shuffled`` labels (as many tokens, drawn by lot);
5. is the target a basin: how many of its noisy copies return to it, before and after;
6. 2 to 4 once more, away from the concept.

"A basin was made" and "something else is said" are two findings, and are reported apart. Source: MODEL §3.4 and §3.5,
with the split and the optimised controls that the figures there lacked.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from energylang.concepts.aim_examples import Examples
from energylang.concepts.aim_target import ROWS, aim_at_tokens, inverse_moment
from energylang.concepts.effects import against
from energylang.errors import ElError
from energylang.landscape.clusters import SAME, cosine_rows
from energylang.landscape.draws import perturbed, stable_generator
from energylang.landscape.dynamics import settle
from energylang.landscape.layer import interaction
from energylang.landscape.lowrank import LowRank
from energylang.looking.gauge import Gauge, standard_error
from energylang.models.protocol import Change, Start
from energylang.models.states import token_states
from energylang.session import Session
from energylang.workspace.execution import with_threads

RANDOM, TOKEN_STATES, SHUFFLED = 10, 6, 6
DOSES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
WINDOWS = 160  # of either half
LEAST = 8  # tokens of a concept in either half
_COPIES, _NOISE = 64, 0.1


@dataclass(frozen=True)
class WordStudy:
    """``patterns``: concept → regular expression; a token is the concept's when it overlaps a match."""

    patterns: Mapping[str, re.Pattern[str]]
    damage: float = 0.01
    layers: tuple[int, ...] | None = None
    seed: int = 0


@dataclass(frozen=True)
class Half:
    """Windows (n, t), a gauge of them, and per concept which predictions count (n, t − 1)."""

    windows: Tensor
    counts: Mapping[str, Tensor]


def examine_words(
    model: str,
    study: WordStudy,
    *,
    text: str | None = None,
    threads: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The study of one plain-text model, as a JSON value. With ``text`` the effects are measured on it instead of
    on the second half of the model's own held-out text. Raises ``ElError`` for a model without words."""
    with with_threads(threads):
        session = Session(model, threads=threads)
        session.set("seed", study.seed)
        return _Study(session, study, text, progress).run()


class _Study:
    def __init__(
        self, session: Session, study: WordStudy, text: str | None, progress: Callable[[str], None]
    ) -> None:
        self.session, self.study, self.progress = session, study, progress
        words = session.text
        self.choosing = self._half(words.choosing_windows(WINDOWS))
        foreign = None if text is None else torch.tensor(words.encode(text), dtype=torch.int64)
        self.measuring = self._half(
            words.measuring_windows(WINDOWS) if foreign is None else words.windows(WINDOWS, foreign)
        )
        self.made: dict[tuple[str, int, bool], LowRank] = {}

    def run(self) -> dict[str, Any]:
        session = self.session
        found: dict[str, Any] = {
            "model": session.model.spec,
            "hash": session.live_hash(),
            "seed": self.study.seed,
            "damage": self.study.damage,
            "windows": {"choosing": len(self.choosing.windows), "measuring": len(self.measuring.windows)},
            "report": session.model.metadata.get("report"),
            "concepts": {},
        }
        for name in self.study.patterns:
            seen = {
                half: int(at.counts[name].sum())
                for half, at in (("choosing", self.choosing), ("measuring", self.measuring))
            }
            if min(seen.values()) < LEAST:
                found["concepts"][name] = {"tokens": seen, "refused": f"fewer than {LEAST} tokens in a half"}
                continue
            found["concepts"][name] = {
                "tokens": seen,
                "install": self._best(name, away=False),
                "remove": self._best(name, away=True),
            }
        return found

    # ------------------------------------------------------------------------------------ choosing

    def _best(self, name: str, *, away: bool) -> dict[str, Any]:
        """Choose layer and dose on the choosing half, then measure on the other one."""
        layers = self.study.layers or tuple(range(self.session.model.num_layers))
        sign = -1.0 if away else 1.0
        tried = []
        for layer in layers:
            self.progress(f"{name}: {'removing' if away else 'installing'} at L{layer}")
            full = self._aimed(name, layer, away)
            gauge = self._gauge(layer, self.choosing)
            base = gauge.losses(Change())
            dose = self._dose(layer, full, gauge, base)
            gain = self._gain(layer, name, self.choosing, full.scaled(dose)) if dose else 0.0
            tried.append((sign * gain, layer, dose, full))
        value, layer, dose, full = max(tried, key=lambda t: t[0])
        chosen = {"layer": layer, "dose": dose, "choosing": {f"L{t[1]}": sign * t[0] for t in tried}}
        if not dose or value <= 0:
            return {
                **chosen,
                "refused": "no dose within the damage budget has an effect on the choosing half",
            }
        return {**chosen, **self._figures(name, layer, full.scaled(dose), away)}

    def _dose(self, layer: int, full: LowRank, gauge: Gauge, base: Tensor) -> float:
        """The largest dose whose rise of the loss keeps within the budget; 0 when none does."""
        weight = self._weight(layer)
        low, high = -1, len(DOSES)
        while high - low > 1:
            middle = (low + high) // 2
            change = Change(weights={layer: full.scaled(DOSES[middle]).added_to(weight)})
            kept = gauge.rise_at_most(change, base) <= self.study.damage
            low, high = (middle, high) if kept else (low, middle)
        return DOSES[low] if low >= 0 else 0.0

    def _aimed(self, name: str, layer: int, away: bool) -> LowRank:
        key = (name, layer, away)
        if key not in self.made:
            counts = self.choosing.counts[name]
            self.made[key] = self._aim(f"{name}", layer, counts, away)
        return self.made[key]

    def _aim(self, key: str, layer: int, counts: Tensor, away: bool) -> LowRank:
        draw = stable_generator("words", self.study.seed, key, layer, away)
        rows = counts.sum(dim=1).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=draw).to(rows.device)[:ROWS]]
        on = Examples(self.choosing.windows[rows], counts[rows])
        return aim_at_tokens(self.session, layer, on, self._weight(layer), draw, away=away)

    # ----------------------------------------------------------------------------------- measuring

    def _figures(self, name: str, layer: int, edit: LowRank, away: bool) -> dict[str, Any]:
        gauge, weight = self._gauge(layer, self.measuring), self._weight(layer)
        base = gauge.losses(Change())
        after = gauge.losses(Change(weights={layer: edit.added_to(weight)}))
        change = (after - base) / base.mean()
        gain = self._gain(layer, name, self.measuring, edit)
        controls = {}
        for kind, edits in self._controls(name, layer, edit, away).items():
            gains = [self._gain(layer, name, self.measuring, e.scaled(edit.norm / e.norm)) for e in edits]
            if gains:
                mean, std, z = against(gains, gain)
                controls[kind] = {"count": len(gains), "mean": mean, "std": std, "z": z, "values": gains}
        losses = [
            gauge.rise(Change(weights={layer: e.scaled(edit.norm / e.norm).added_to(weight)}), base)
            for e in self._random(name, layer)
        ]
        return {
            "relative_norm": edit.norm / float(torch.linalg.matrix_norm(weight)),
            "gain": gain,
            "loss_change": float(change.mean()),
            "loss_change_error": standard_error(change),
            "controls": controls,
            "random_loss_change": statistics.fmean(losses),
            "returns": None if away else self._returns(layer, edit),
        }

    @torch.no_grad()
    def _gain(self, layer: int, name: str, half: Half, edit: LowRank) -> float:
        """By how much the mean log-probability (nats) of the concept's tokens rises."""
        changed = Change(weights={layer: edit.added_to(self._weight(layer))})
        counts, total = half.counts[name], 0.0
        rows = counts.sum(dim=1).nonzero()[:, 0]
        for part in self.session.text.chunks(rows):
            windows, marks = half.windows[part], counts[part]
            stream = self.session.text.entering(windows[:, :-1], layer)
            for sign, change in ((1.0, changed), (-1.0, Change())):
                logs = (
                    self.session.text.run(None, change, start=Start(layer, stream))
                    .logits.float()
                    .log_softmax(dim=2)
                )
                said = logs.gather(2, windows[:, 1:, None])[..., 0]
                total += sign * float((said * marks).sum())
        return total / float(counts.sum())

    def _controls(self, name: str, layer: int, edit: LowRank, away: bool) -> dict[str, list[LowRank]]:
        sign = float((edit.left * edit.right).sum().sign())
        draw = stable_generator("shuffled words", self.study.seed, name, layer)
        counts = self.choosing.counts[name]
        shuffled = []
        for k in range(SHUFFLED):
            order = torch.randperm(counts.numel(), generator=draw).to(counts.device)
            lot = counts.flatten()[order].reshape(counts.shape)
            shuffled.append(self._aim(f"{name} shuffled {k}", layer, lot, away))
        others = [
            self._aimed(other, layer, away)
            for other in self.study.patterns
            if other != name
            and min(float(h.counts[other].sum()) for h in (self.choosing, self.measuring)) >= LEAST
        ]
        return {
            "random": self._random(name, layer, sign),
            "token": self._stored(name, layer, sign),
            "other": others,
            "shuffled": shuffled,
        }

    def _random(self, name: str, layer: int, sign: float = 1.0) -> list[LowRank]:
        draw = stable_generator("random words", self.study.seed, name, layer)
        weight = self._weight(layer)
        columns = torch.randn(RANDOM, len(weight), generator=draw).to(weight)
        return [LowRank(sign * column[:, None], column[:, None]) for column in columns]

    def _stored(self, name: str, layer: int, sign: float) -> list[LowRank]:
        """The edit's form with states of real tokens as its targets."""
        draw = stable_generator("token words", self.study.seed, name, layer)
        weight = self._weight(layer)
        states = token_states(self.session.text, layer, TOKEN_STATES, draw).to(weight)
        columns = interaction(states, self.session.model.degree) @ inverse_moment(self.session, layer, weight)
        return [LowRank(sign * column[:, None], column[:, None]) for column in columns]

    def _returns(self, layer: int, edit: LowRank) -> dict[str, float]:
        """Share of copies with 10 % noise that settle on the state the edit stores, before and after."""
        landscape = self.session.landscape_of(layer)
        column = edit.right[:, 0]
        state = settle(landscape.edited(edit), column.sign()[None] * 0.9).states
        draw = stable_generator("returns", self.study.seed, layer)
        copies = perturbed(state, _NOISE, _COPIES, draw)[0]
        return {
            when: float((cosine_rows(settle(at, copies).states, state[0]) > SAME).float().mean())
            for when, at in (("before", landscape), ("after", landscape.edited(edit)))
        }

    # ------------------------------------------------------------------------------------- helpers

    def _weight(self, layer: int) -> Tensor:
        return self.session.weight(self.session.staged(layer))

    def _gauge(self, layer: int, half: Half) -> Gauge:
        return Gauge(self.session, layer, half.windows)

    def _half(self, windows: Tensor) -> Half:
        if not len(windows):
            raise ElError("there is too little text to measure on", code="EL511", hint="give a longer --text")
        return Half(windows, {n: self._marks(windows, p) for n, p in self.study.patterns.items()})

    def _marks(self, windows: Tensor, pattern: re.Pattern[str]) -> Tensor:
        """(n, t − 1): which next tokens overlap a match in the text of their window."""
        decode = self.session.text.decode
        marks = torch.zeros(len(windows), windows.shape[1] - 1)
        for k, row in enumerate(windows.tolist()):
            ends = [len(decode(row[: j + 1])) for j in range(len(row))]
            spans = [m.span() for m in pattern.finditer(decode(row)) if m.end() > m.start()]
            for j in range(1, len(row)):
                start, end = ends[j - 1], ends[j]
                if any(low < end and start < high for low, high in spans):
                    marks[k, j - 1] = 1
        return marks.to(windows.device)
