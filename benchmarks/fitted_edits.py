"""Redirects of basins on a fitted layer of a real model: do they act inside the basin and nowhere else?

    python benchmarks/fitted_edits.py [--layers 14 20] [--redirects 5] [--text FILE …]

Needs smollm2 (``el get smollm2``) and the extra ``hf``; takes minutes of processor time. Basins are taken in turn from
the ten that hold most tokens, each redirected to the one five places further. Everything is read of the half of the
held-out text that was not fitted, and of each ``--text``:

* **arrive**: of the basin's tokens those that settle at the target; **stay**: of all other tokens that settle in a
  known basin those that keep it.
* **KL**: of the next token's distribution, edited from unedited, at the basin's tokens (inside) and all others.
* **loss**: its rise on each text and on the model's own replies, relatively.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from texts import windows_of
from torch import Tensor
from torch.nn import functional

from energylang.concepts.replies import as_pairs, own_replies
from energylang.looking.gauge import Gauge
from energylang.looking.tokens import placed
from energylang.models.behind import Behind
from energylang.models.protocol import NOTHING, Change, Settled, Start
from energylang.session import Session

WINDOWS, AMONG, FURTHER = 12, 10, 5


class Layer:
    """What is read of a fitted layer, before and after each edit."""

    def __init__(self, session: Session, layer: int, texts: dict[str, Tensor]) -> None:
        self.session, self.layer, text = session, layer, session.text
        self.windows = text.measuring_windows(WINDOWS)
        self.gauges = {name: Gauge(session, layer, each) for name, each in texts.items()}
        own = own_replies(session, 24, text.sizes.reply, "measuring")
        self.own = Behind(text, layer, as_pairs(text, own))
        self.usual = {name: gauge.losses(NOTHING) for name, gauge in self.gauges.items()}
        self.said = self.own.loss()
        self.logs, states = self._pass(NOTHING)
        version = session.staged(layer)
        self.before = torch.tensor(placed(session, layer, version, states).basins)

    @torch.no_grad()
    def _pass(self, change: Change) -> tuple[list[Tensor], Tensor]:
        """Per part of the windows the log-probabilities of what comes next, and all settled states (n, d)."""
        text, at = self.session.text, Settled(self.layer)
        logs, states = [], []
        for part in text.chunks(self.windows):
            stream = text.entering(part[:, :-1], self.layer)
            found = text.run(part[:, :-1], change, start=Start(self.layer, stream), read=(at,))
            logs.append(found.logits.float().log_softmax(dim=-1))
            states.append(found.states[at].flatten(0, 1))
        return logs, torch.cat(states)

    def row(self, source: int, target: int) -> dict[str, float] | None:
        session, layer = self.session, self.layer
        began = time.process_time()
        edit = session.run(f"redirect L{layer}.B{source} to=L{layer}.B{target}")
        if not edit.applied:
            print(f"L{layer}.B{source} to B{target}: refused, {edit.reason}")
            return None
        change = Change(landscapes={layer: session.weight(session.staged(layer))})
        logs, states = self._pass(change)
        after = torch.tensor(placed(session, layer, session.staged(layer), states, register=False).basins)
        session.undo()
        inside = self.before == source
        others = ~inside & (self.before >= 0)
        moved = torch.cat(
            [
                functional.kl_div(now, was, log_target=True, reduction="none").sum(dim=-1).flatten()
                for was, now in zip(self.logs, logs, strict=True)
            ]
        )
        found = {
            "tokens": float(inside.sum()),
            "arrive": float((after[inside] == target).double().mean()),
            "stay": float((after[others] == self.before[others]).double().mean()),
            "KL inside": float(moved[inside].mean()),
            "KL outside": float(moved[~inside].mean()),
            "own": (self.own.loss(change) - self.said) / self.said,
        }
        for name, gauge in self.gauges.items():
            found[name] = float((gauge.losses(change) - self.usual[name]).mean() / self.usual[name].mean())
        return found | {"seconds": time.process_time() - began}


def line(name: str, found: dict[str, float]) -> str:
    ratio = found["KL inside"] / found["KL outside"] if found["KL outside"] else float("inf")
    losses = "  ".join(
        f"{key} {value:+.2%}"
        for key, value in found.items()
        if key not in ("tokens", "arrive", "stay", "KL inside", "KL outside", "seconds")
    )
    return (
        f"{name:<16} {found['tokens']:4.0f} tokens  arrive {found['arrive']:.1%}  stay {found['stay']:.1%}  KL "
        f"{found['KL inside']:.4f} / {found['KL outside']:.5f} = {ratio:.1f}  {losses}  {found['seconds']:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[14, 20])
    parser.add_argument("--redirects", type=int, default=5)
    parser.add_argument("--text", type=Path, action="append", default=[])
    given = parser.parse_args()
    torch.set_num_threads(1)
    session = Session()
    session.load("smollm2")
    text = session.text
    texts = {"held-out": text.measuring_windows(8), **windows_of(text, given.text, 8)}
    for layer in given.layers:
        fitted = session.run(f"fit L{layer}")
        print(f"L{layer}: coverage {fitted.coverage.value:.1%}, own {fitted.own.value:.1%}", flush=True)
        survey = session.run(f"survey L{layer}")
        most = [basin.id for basin in sorted(survey.basins, key=lambda b: -(b.tokens or 0))[:AMONG]]
        at = Layer(session, layer, texts)
        rows = []
        for k in range(given.redirects):
            source, target = most[k], most[(k + FURTHER) % AMONG]
            found = at.row(source, target)
            if found is not None:
                rows.append(found)
                print(line(f"L{layer}.B{source} → B{target}", found), flush=True)
        if rows:
            print(line(f"L{layer} mean", {key: statistics.fmean(r[key] for r in rows) for key in rows[0]}))


if __name__ == "__main__":
    main()
