"""Do the causes that are found on fitted layers of a real model rank basins as ablation of their tokens does?

    python benchmarks/fitted_causes.py [--layers 14 20] [--basins 16] [--placebos 2]

Needs smollm2 (``el get smollm2``) and the extras ``hf`` and ``plot``; takes some ten minutes of processor time. Two
layers are fitted. For basins of the first, evenly from the one with most tokens to that with fewest:

* **scan**: how far its knock-out moves the other basins of the landscape on average (``causal scan``);
* **across**: the share of tokens whose basin at the later layer changes when it is held at zero (``causal across``),
  beside its placebos.

What the model itself makes of it is the KL of the next token's distribution, in nats per thousand tokens, and the share
of tokens whose basin at the later layer changes, where at the basin's tokens

* the basin's content is taken off the MLP's answer, which is what ``causal across`` does (*held*);
* the MLP's answer is **ablated**: its mean stands instead, whatever the landscape says. Once at the very tokens that
  ``causal across`` has read, and once in the other half of the held-out text; how well these two agree is the most
  that can be expected. The control ablates as many tokens drawn at random from those outside of the basin.

A basin with more tokens does more, so all is compared per token of the basin, too. Ranks are compared by Spearman's
correlation, with a permutation p-value, and by the AUC of the third that is ranked highest against the rest.
"""

from __future__ import annotations

import argparse
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

Instead = Callable[[Tensor], Tensor]
"""New answers of an MLP from the ones it gave."""
WINDOWS, LEAST = 12, 4  # windows of an ablation; tokens of a basin in them


class Ablation:
    """A layer's answers changed at some tokens of windows (w, t), and what comes of it later and at the end."""

    @torch.no_grad()
    def __init__(self, session: Session, layer: int, to: int, windows: Tensor) -> None:
        self.session, self.layer, self.to, text = session, layer, to, session.text
        self.parts = [(part, Start(layer, text.entering(part, layer))) for part in text.chunks(windows)]
        self.logs, here, self.there = self._pass(None, None)
        self.here = self._basins(layer, here)

    @torch.no_grad()
    def _pass(self, at: Tensor | None, new: Instead | None) -> tuple[list[Tensor], Tensor, list[int]]:
        text, near, far = self.session.text, Settled(self.layer), Settled(self.to)
        logs, here, there, done = [], [], [], 0
        for part, start in self.parts:
            change = NOTHING
            if at is not None and new is not None:
                rows = at[done : done + part.numel()].reshape(*part.shape, 1)
                change = Change(mlp={self.layer: _where(rows, new)})
            found = text.run(part, change, start=start, read=(near, far))
            logs.append(found.logits.float().log_softmax(dim=-1))
            here.append(found.states[near].flatten(0, 1))
            there.append(found.states[far].flatten(0, 1))
            done += part.numel()
        return logs, torch.cat(here), self._basins(self.to, torch.cat(there)).tolist()

    def _basins(self, layer: int, states: Tensor) -> Tensor:
        version = self.session.staged(layer)
        return torch.tensor(placed(self.session, layer, version, states, register=False).basins)

    def inside(self, basin: int) -> Tensor:
        return self.here == basin

    def outside(self, basin: int) -> Tensor:
        """As many tokens as a basin has, drawn from the others."""
        inside = self.inside(basin)
        others = (~inside).nonzero().squeeze(1)
        draw = torch.randperm(len(others), generator=torch.Generator().manual_seed(basin))
        found = torch.zeros_like(inside)
        found[others[draw[: int(inside.sum())]]] = True
        return found

    def effect(self, at: Tensor, new: Instead) -> tuple[float, float]:
        """KL in nats per thousand tokens, and the share of tokens that change their later basin, where ``new`` answers
        stand at some tokens (n,) bool."""
        logs, _, there = self._pass(at, new)
        moved = sum(
            float(functional.kl_div(now, was, log_target=True, reduction="sum"))
            for was, now in zip(self.logs, logs, strict=True)
        )
        changed = sum(a != b for a, b in zip(self.there, there, strict=True))
        return 1e3 * moved / len(there), changed / len(there)


def _where(rows: Tensor, new: Instead) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda _given, said: torch.where(rows, new(said), said)


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
    return f"{name:<36} Spearman {rho:+.2f}  p {float(test.pvalue):.3f}  AUC {auc:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, nargs=2, default=[14, 20])
    parser.add_argument("--basins", type=int, default=16)
    parser.add_argument("--placebos", type=int, default=2)
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
    fit = session.fitted(layer)
    assert fit is not None
    assert fit.contents is not None
    assert fit.usual is not None
    contents, usual, text = fit.contents, fit.usual, session.text
    same = Ablation(session, layer, to, text.choosing_windows(WINDOWS)[:, :-1])
    other = Ablation(session, layer, to, text.measuring_windows(WINDOWS)[:, :-1])
    few = [b.id for b in session.run(f"survey L{layer}").basins if b.id in strength and b.id < len(fit)]
    few = [b for b in few if min(int(half.inside(b).sum()) for half in (same, other)) >= LEAST]
    step = max(1.0, len(few) / given.basins)
    rows = []
    for basin in [few[int(k * step)] for k in range(min(given.basins, len(few)))]:
        began = time.process_time()
        across = session.run(f"causal across L{layer}.B{basin} to=L{to} placebos={given.placebos}")
        seconds = time.process_time() - began

        def ablated(said: Tensor) -> Tensor:
            return usual.to(said).expand_as(said)

        def held(said: Tensor, basin: int = basin) -> Tensor:
            return said - (contents[basin] - usual).to(said)

        row: dict[str, float] = {
            "scan": strength[basin],
            "across": across.moved,
            "tokens": across.held,
            "tokens elsewhere": int(other.inside(basin).sum()),
            "says": float(torch.linalg.vector_norm(contents[basin] - usual)),
        }
        row["held KL"], row["held later"] = same.effect(same.inside(basin), held)
        row["KL"], row["later"] = same.effect(same.inside(basin), ablated)
        row["KL elsewhere"], row["later elsewhere"] = other.effect(other.inside(basin), ablated)
        row["KL random"], row["later random"] = same.effect(same.outside(basin), ablated)
        rows.append(row)
        print(
            f"L{layer}.B{basin:<3} {across.held:3} tokens  says {row['says']:.2f}  scan {row['scan']:.1e}  across "
            f"{across.moved:.2%} (random {across.moved_placebo:.2%})  held KL {row['held KL']:.3f}  ablated KL "
            f"{row['KL']:.2f}, later basin {row['later']:.2%} (random tokens {row['KL random']:.2f}, "
            f"{row['later random']:.2%})  elsewhere {row['tokens elsewhere']:.0f} tokens KL "
            f"{row['KL elsewhere']:.2f}, {row['later elsewhere']:.2%}  {seconds:.0f} s",
            flush=True,
        )

    def column(name: str, over: str = "") -> list[float]:
        return [row[name] / (row[over] if over else 1.0) for row in rows]

    def per_token(name: str) -> list[float]:
        return column(name, "tokens elsewhere" if name.endswith("elsewhere") else "tokens")

    for name, real in (
        ("scan", "KL"),
        ("tokens", "KL"),
        ("across", "held KL"),
        ("across", "KL"),
        ("across", "later"),
        ("across", "KL elsewhere"),
        ("across", "later elsewhere"),
        ("held KL", "KL"),
        ("KL", "KL elsewhere"),
        ("later", "later elsewhere"),
    ):
        print(rank(f"{name} against {real}", column(name), column(real)))
        if name not in ("tokens", "scan"):
            print(rank("    per token of the basin", per_token(name), per_token(real)))
    print(rank("what the basin says against KL per token", column("says"), per_token("KL")))
    more = sum(row["KL"] > row["KL random"] for row in rows)
    print(f"{more} of {len(rows)} basins do more than as many random tokens")


if __name__ == "__main__":
    main()
