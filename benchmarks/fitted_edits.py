"""Redirects of basins on a fitted layer of a real model: do they act inside the basin and nowhere else?

    python benchmarks/fitted_edits.py [--layers 14 20] [--redirects 5] [--text FILE …]

Needs smollm2 (``el get smollm2``) and the extra ``hf``; takes a minute of processor time per redirect and two more per
layer. Basins are taken in turn from the ten that hold most tokens, each redirected to the one five places further.
Each redirect is made twice: through the **splice** of the landscape, as ``redirect`` does it, and through the layer's
**memory** (ΔW = v qᵀ of its down-projection: the key is the mean activation of the basin's tokens, v what the target
says more than the source). Everything is read of the half of the held-out text that was not fitted, and of each
``--text``:

* **arrive**: of the basin's tokens those that settle at the target; **stay**: of all other tokens that settle in a
  known basin those that keep it. (Both of the splice alone: a memory edit leaves the landscape as it is.)
* **KL**: of the next token's distribution, edited from unedited, in millinats, at the basin's tokens (inside) and all
  others; the ratio of the two.
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

from energylang.concepts.memory import moment_of
from energylang.concepts.replies import as_pairs, own_replies
from energylang.landscape.memory import answer, query_of
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
        windows = text.measuring_windows(WINDOWS)
        self.parts = [(part[:, :-1], text.entering(part[:, :-1], layer)) for part in text.chunks(windows)]
        self.gauges = {name: Gauge(session, layer, each) for name, each in texts.items()}
        self.own = Behind(
            text, layer, as_pairs(text, own_replies(session, 24, text.sizes.reply, "measuring"))
        )
        self.usual = {name: gauge.losses(NOTHING) for name, gauge in self.gauges.items()}
        self.said = self.own.loss()
        self.logs, states = self._pass(NOTHING)
        self.before = self._basins(states)
        self.key_basins, self.activations = self._activations()

    @torch.no_grad()
    def _pass(self, change: Change) -> tuple[list[Tensor], Tensor]:
        """Per part of the windows the log-probabilities of what comes next, and all settled states (n, d)."""
        text, at = self.session.text, Settled(self.layer)
        logs, states = [], []
        for part, stream in self.parts:
            found = text.run(part, change, start=Start(self.layer, stream), read=(at,))
            logs.append(found.logits.float().log_softmax(dim=-1))
            states.append(found.states[at].flatten(0, 1))
        return logs, torch.cat(states)

    @torch.no_grad()
    def _activations(self) -> tuple[Tensor, Tensor]:
        """Of the tokens by which basins are read: the basin (n,), and what the neurons answer (n, m)."""
        text, at, kept, states = self.session.text, Settled(self.layer), list[Tensor](), []

        def keep(values: Tensor) -> Tensor:
            kept.append(values.flatten(0, 1))
            return values

        for part in text.chunks(text.reading_windows()):
            nowhere = torch.zeros_like(part, dtype=torch.bool)
            found = text.run(part, Change(neurons={self.layer: keep}), wanted=nowhere, read=(at,))
            states.append(found.states[at].flatten(0, 1))
        return self._basins(torch.cat(states)), torch.cat(kept)

    def _basins(self, states: Tensor) -> Tensor:
        version = self.session.staged(self.layer)
        return torch.tensor(placed(self.session, self.layer, version, states, register=False).basins)

    def spliced(self, source: int, target: int) -> dict[str, float] | None:
        """The redirect as the language makes it."""
        session, layer = self.session, self.layer
        began = time.process_time()
        edit = session.run(f"redirect L{layer}.B{source} to=L{layer}.B{target}")
        seconds = time.process_time() - began
        if not edit.applied:
            print(f"L{layer}.B{source} to B{target}: refused, {edit.reason}", flush=True)
            return None
        change = Change(landscapes={layer: session.weight(session.staged(layer))})
        logs, states = self._pass(change)
        after = self._basins(states)
        session.undo()
        inside = self.before == source
        others = ~inside & (self.before >= 0)
        found = {
            "tokens": float(inside.sum()),
            "arrive": float((after[inside] == target).double().mean()),
            "stay": float((after[others] == self.before[others]).double().mean()),
        }
        return found | self._reach(logs, inside) | self._losses(change) | {"seconds": seconds}

    def remembered(self, source: int, target: int) -> dict[str, float]:
        """The same through the layer's memory."""
        session, layer, fitted = self.session, self.layer, self.session.fitted(self.layer)
        assert fitted is not None
        assert fitted.contents is not None
        began = time.process_time()
        weight = session.weight(session.memory(layer))
        key = self.activations[self.key_basins == source].mean(dim=0)
        query = query_of(key, moment_of(session, layer)).to(weight)
        value = (fitted.contents[target] - fitted.contents[source]).to(weight)
        factors = answer(value, query, transposed=session.model.header.transposed)
        seconds = time.process_time() - began
        change = Change(weights={layer: factors.added_to(weight)})
        logs, _ = self._pass(change)
        inside = self.before == source
        return self._reach(logs, inside) | self._losses(change) | {"seconds": seconds}

    def _reach(self, logs: list[Tensor], inside: Tensor) -> dict[str, float]:
        moved = torch.cat(
            [
                functional.kl_div(now, was, log_target=True, reduction="none").sum(dim=-1).flatten()
                for was, now in zip(self.logs, logs, strict=True)
            ]
        )
        return {"KL inside": float(moved[inside].mean()), "KL outside": float(moved[~inside].mean())}

    def _losses(self, change: Change) -> dict[str, float]:
        found = {"own": (self.own.loss(change) - self.said) / self.said}
        for name, gauge in self.gauges.items():
            found[name] = float((gauge.losses(change) - self.usual[name]).mean() / self.usual[name].mean())
        return found


def line(name: str, found: dict[str, float]) -> str:
    ratio = found["KL inside"] / found["KL outside"] if found["KL outside"] else float("inf")
    told = [f"{name:<24}"]
    if "arrive" in found:
        told.append(f"{found['tokens']:4.0f} tokens  arrive {found['arrive']:.1%}  stay {found['stay']:.1%}")
    told.append(f"KL {1e3 * found['KL inside']:.2f} / {1e3 * found['KL outside']:.3f} = {ratio:.1f}")
    shown = ("tokens", "arrive", "stay", "KL inside", "KL outside", "seconds")
    told += [f"{key} {value:+.3%}" for key, value in found.items() if key not in shown]
    return "  ".join([*told, f"{found['seconds']:.0f} s"])


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
        made = [basin for basin in survey.basins if basin.id < fitted.basins]
        most = [basin.id for basin in sorted(made, key=lambda b: -(b.tokens or 0))[:AMONG]]
        at = Layer(session, layer, texts)
        rows: dict[str, list[dict[str, float]]] = {"splice": [], "memory": []}
        for k in range(given.redirects):
            source, target = most[k], most[(k + FURTHER) % AMONG]
            for name, make in (("splice", at.spliced), ("memory", at.remembered)):
                found = make(source, target)
                if found is not None:
                    rows[name].append(found)
                    print(line(f"L{layer}.B{source} → B{target} {name}", found), flush=True)
        for name, each in rows.items():
            if each:
                mean = {key: statistics.fmean(row[key] for row in each) for key in each[0]}
                print(line(f"L{layer} mean {name}", mean), flush=True)


if __name__ == "__main__":
    main()
