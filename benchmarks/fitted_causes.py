"""Do the causes that are found on fitted layers of a real model rank basins as ablation of their tokens does?

    python benchmarks/fitted_causes.py [--layers 14 20] [--basins 20] [--placebos 3]

Needs smollm2 (``el get smollm2``) and the extras ``hf`` and ``plot``; takes some ten minutes of processor time. Two
layers are fitted. For the basins of the first that hold most tokens:

* **scan**: how far its knock-out moves the other basins of the landscape on average (``causal scan``);
* **across**: the share of tokens whose basin at the later layer changes when it is held at zero (``causal across``),
  on the choosing half of the held-out text, and the same above its placebos' mean.

The **ablation** is real and knows nothing of the landscape: at the basin's tokens of the *other* half of the text the
answer of the MLP is replaced by its mean. Measured are the total KL of the next token's distributions at all places
(in nats per thousand tokens) and the share of tokens whose basin at the later layer changes. Its control replaces the
answers at as many tokens drawn at random from those outside of the basin. A basin with more tokens does more, so
everything is compared per token of the basin, too. Ranks are compared by Spearman's correlation, with a permutation
p-value; by the AUC of the third that is ranked highest against the rest.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy.stats import permutation_test, rankdata, spearmanr
from torch import Tensor
from torch.nn import functional

from energylang.looking.tokens import placed
from energylang.models.protocol import NOTHING, Change, Settled, Start
from energylang.session import Session
from energylang.work.causal import known_centres, scanned

WINDOWS, LEAST = 12, 8  # windows of the ablation; tokens of a basin in them


class Ablation:
    """The answers of a layer's MLP replaced by their mean at some tokens of fixed windows, and what comes of it."""

    @torch.no_grad()
    def __init__(self, session: Session, layer: int, to: int) -> None:
        self.session, self.layer, self.to, text = session, layer, to, session.text
        windows = text.measuring_windows(WINDOWS)[:, :-1]
        self.parts = [(part, Start(layer, text.entering(part, layer))) for part in text.chunks(windows)]
        fitted = session.fitted(layer)
        assert fitted is not None
        assert fitted.usual is not None
        self.mean = fitted.usual
        self.logs, here, self.there = self._pass(None)
        self.here = self._basins(layer, here)

    @torch.no_grad()
    def _pass(self, replaced: Tensor | None) -> tuple[list[Tensor], Tensor, list[int]]:
        text, at, to = self.session.text, Settled(self.layer), Settled(self.to)
        logs, here, there, done = [], [], [], 0
        for part, start in self.parts:
            rows = None if replaced is None else replaced[done : done + part.numel()].reshape(*part.shape, 1)
            change = NOTHING if rows is None else Change(mlp={self.layer: self._silent(rows)})
            found = text.run(part, change, start=start, read=(at, to))
            logs.append(found.logits.float().log_softmax(dim=-1))
            here.append(found.states[at].flatten(0, 1))
            there.append(found.states[to].flatten(0, 1))
            done += part.numel()
        return logs, torch.cat(here), self._basins(self.to, torch.cat(there)).tolist()

    def _silent(self, rows: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda _given, said: torch.where(rows, self.mean.to(said), said)

    def _basins(self, layer: int, states: Tensor) -> Tensor:
        version = self.session.staged(layer)
        return torch.tensor(placed(self.session, layer, version, states, register=False).basins)

    def effect(self, replaced: Tensor) -> tuple[float, float]:
        """KL in nats per thousand tokens, and the share of tokens that change their later basin, where the answers at
        the ``replaced`` tokens (n,) bool are the mean."""
        logs, _, there = self._pass(replaced)
        moved = sum(
            float(functional.kl_div(now, was, log_target=True, reduction="sum"))
            for was, now in zip(self.logs, logs, strict=True)
        )
        changed = sum(a != b for a, b in zip(self.there, there, strict=True))
        return 1e3 * moved / len(there), changed / len(there)

    def of_basin(self, basin: int, draws: int) -> dict[str, float]:
        inside = self.here == basin
        kl, changed = self.effect(inside)
        count = int(inside.sum())
        generator = torch.Generator().manual_seed(basin)
        outside = (~inside).nonzero().squeeze(1)
        fakes = []
        for _ in range(draws):
            mask = torch.zeros_like(inside)
            mask[outside[torch.randperm(len(outside), generator=generator)[:count]]] = True
            fakes.append(self.effect(mask)[0])
        return {"tokens": count, "KL": kl, "changed": changed, "KL random": statistics.fmean(fakes)}


def rank(name: str, found: Sequence[float], real: Sequence[float]) -> str:
    """One line: how alike two rankings of the same basins are."""
    rho = float(spearmanr(found, real).statistic)
    test = permutation_test(
        (found,), lambda x: spearmanr(x, real).statistic, permutation_type="pairings", n_resamples=1999, rng=0
    )
    order = sorted(range(len(found)), key=lambda k: -found[k])
    first = max(1, len(found) // 3)
    ranks = rankdata(real)
    top = sum(ranks[k] for k in order[:first]) - first * (first + 1) / 2
    auc = top / (first * (len(found) - first))
    return f"{name:<58} Spearman {rho:+.2f}  p {float(test.pvalue):.3f}  AUC {auc:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, nargs=2, default=[14, 20])
    parser.add_argument("--basins", type=int, default=20)
    parser.add_argument("--placebos", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    layer, to = given.layers
    session = Session()
    session.load("smollm2")

    def timed(line: str) -> Any:
        began = time.process_time()
        found = session.run(line)
        print(f"{line}: {time.process_time() - began:.0f} s", flush=True)
        return found

    for each in (layer, to):
        timed(f"fit L{each} basins=64")
        timed(f"survey L{each}")
    graph = timed(f"causal scan L{layer}")
    print(f"  {len(graph.basins)} basins  {graph.num_edges} edges  tested {graph.tested}", flush=True)
    loose = session.run(f"causal scan L{layer} threshold=0")
    largest = max((edge.drift for edge in loose.edges), default=0.0)
    print(f"  {loose.num_edges} edges above 0, the largest drift {largest:.4f}")
    scan = scanned(session, layer, session.landscape_of(layer), known_centres(session, layer), 20)
    drift = torch.where(scan.apart, scan.drift, 0.0).sum(1) / scan.apart.sum(1).clamp_min(1)
    strength = dict(zip(graph.basins, drift.tolist(), strict=True))
    ablation = Ablation(session, layer, to)
    rows = []
    for basin in session.run(f"survey L{layer}").basins:
        if len(rows) == given.basins:
            break
        if basin.id not in strength or int((ablation.here == basin.id).sum()) < LEAST:
            continue
        began = time.process_time()
        across = session.run(f"causal across L{layer}.B{basin.id} to=L{to} placebos={given.placebos}")
        seconds = time.process_time() - began
        row = {
            "basin": basin.id,
            "scan": strength[basin.id],
            "held": across.held,
            "across": across.moved,
            "above": across.moved - across.moved_placebo,
            **ablation.of_basin(basin.id, 2),
        }
        rows.append(row)
        print(
            f"L{layer}.B{basin.id:<3} {basin.tokens:4} tokens  scan {row['scan']:.4f}  across {row['across']:.2%} "
            f"(random {across.moved_placebo:.2%}, held {across.held}, {seconds:.0f} s)  ablated {row['tokens']:.0f}: "
            f"KL {row['KL']:.2f} (as many random tokens {row['KL random']:.2f})  later basin {row['changed']:.2%}",
            flush=True,
        )

    def column(name: str, over: str = "") -> list[float]:
        return [row[name] / (row[over] if over else 1.0) for row in rows]

    above = [row["KL"] - row["KL random"] for row in rows]
    for name, found, real in (
        ("scan, against the ablation's KL", column("scan"), column("KL")),
        ("scan, against KL per token", column("scan"), column("KL", "tokens")),
        ("across, against KL", column("across"), column("KL")),
        ("across, against the later basins that change", column("across"), column("changed")),
        ("across per token, against KL per token", column("across", "held"), column("KL", "tokens")),
        (
            "across per token, against later basins per token",
            column("across", "held"),
            column("changed", "tokens"),
        ),
        ("across above placebos, against KL above random tokens", column("above"), above),
        ("the number of tokens alone, against KL", column("held"), column("KL")),
    ):
        print(rank(name, found, real))
    more = sum(row["KL"] > row["KL random"] for row in rows)
    print(f"{more} of {len(rows)} basins do more than as many random tokens")


if __name__ == "__main__":
    main()
