"""Watermarks: patterns that a key brings back, installed as basins, looked for, and attacked."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.landscape.clusters import NEAR, cosine_rows
from energylang.landscape.draws import relative_noise, stable_generator
from energylang.landscape.dynamics import settle, settle_each
from energylang.landscape.edits import AMPLITUDE, MARGINS
from energylang.landscape.layer import Landscape
from energylang.landscape.proposal import Proposal
from energylang.landscape.solve import field_edit
from energylang.looking.basins import known_basins
from energylang.trial import asked
from energylang.trial.draft import Plan
from energylang.trial.staging import carry_out
from energylang.workspace.workspace import Workspace

_NOISE, _TRIALS = 0.2, 8
_WANTED = 0.7  # of the marks


_WRONG_KEYS = 100


def marks_of(ws: Workspace, layer: int, key: str, marks: int) -> Tensor:
    """(m, d): the sign patterns that a key names in a layer."""
    secret = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    dim = ws.model.dims[layer]
    drawn = torch.randn(marks, dim, generator=stable_generator("watermark", secret, layer, dim))
    pattern: Tensor = AMPLITUDE * torch.sign(drawn).to(ws.landscape_of(layer).weight)
    return pattern


def watermark_inject(
    ws: Workspace, key: str, marks: int, layer: int, force: bool, reason: str
) -> results.Edit:
    """Install a key's marks: one edit."""
    _key(key)
    known_basins(ws, layer)
    patterns = marks_of(ws, layer, key, marks)

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        candidates = [
            field_edit(landscape, patterns, margin / landscape.beta * patterns, protected)
            for margin in MARGINS  # a few solves; they are judged in one batch
        ]
        noise = relative_noise(patterns, _TRIALS, stable_generator("watermark noise", marks), _NOISE)
        copies = (patterns[:, None] + noise).reshape(-1, landscape.dim)
        ends = settle_each(landscape, copies.expand(len(candidates), -1, -1).contiguous(), candidates).states
        back = cosine_rows(ends, patterns.repeat_interleave(_TRIALS, dim=0)) > NEAR
        rate = back.double().mean(dim=1)
        best = int(torch.argmax(rate))
        notes = () if float(rate[best]) == 1.0 else (f"{float(rate[best]):.0%} of noisy marks come back",)
        return Proposal(candidates[best], patterns[0], MARGINS[best] / landscape.beta, "watermark", notes)

    plan = Plan(
        "watermark",
        layer,
        f"{marks} marks",
        propose,
        asked=asked.marked(patterns, NEAR, _WANTED),
        own=patterns,
        exactly=0.5,
    )
    return carry_out(ws, plan, force=force, reason=reason)


def _key(key: str) -> None:
    if not key.strip():
        raise ElError("a watermark needs a key", code="EL202", hint="any text that others do not guess")


def watermark_verify(ws: Workspace, key: str, marks: int, layer: int) -> results.Watermark:
    """Are a key's marks in the layer, and how often would a wrong key's seem to be?"""
    _key(key)
    return _verified(ws, ws.landscape_of(layer), layer, key, marks)


def _verified(ws: Workspace, landscape: Landscape, layer: int, key: str, marks: int) -> results.Watermark:
    wrong = [marks_of(ws, layer, f"wrong key {k}", marks) for k in range(_WRONG_KEYS)]
    patterns = torch.cat((marks_of(ws, layer, key, marks), *wrong))
    found = there(landscape, patterns).reshape(-1, marks).double().mean(dim=1)
    score, others = float(found[0]), found[1:]
    reached = float((others >= max(score, 1e-9)).double().mean())
    return results.Watermark(
        layer=layer,
        marks=marks,
        found=round(score * marks),
        score=score,
        present=score >= _WANTED and reached == 0.0,
        false_positive_rate=reached if score > 0 else 1.0,
        wrong_keys=_WRONG_KEYS,
        wrong_score=float(others.mean()),
    )


def there(landscape: Landscape, patterns: Tensor) -> Tensor:
    """(n,) bool: whether states at the patterns (n, d) stay near them."""
    return cosine_rows(settle(landscape, patterns).states, patterns) > NEAR


def watermark_strip_test(ws: Workspace, key: str, marks: int, layer: int) -> results.Stripped:
    """What attacks without the key leave of the marks, and of the layer's basins."""
    _key(key)
    alive = known_basins(ws, layer).main()
    landscape = ws.landscape_of(layer)
    centres = [basin.centre for basin in alive]
    known = (
        torch.stack(centres).to(landscape.weight) if centres else landscape.weight.new_zeros(0, landscape.dim)
    )
    attacks = []
    for name, strength, weight in _attacks(ws, landscape, layer):
        attacked = landscape.with_weight(weight)
        found = _verified(ws, attacked, layer, key, marks)
        kept = 1.0
        if len(known):
            kept = float((cosine_rows(settle(attacked, known).states, known) > 0.85).double().mean())
        attacks.append(results.Attack(name, strength, found.score, found.present, kept))
    mild = [attack for attack in attacks if attack.basins_kept >= 0.9]
    before = _verified(ws, landscape, layer, key, marks)
    return results.Stripped(
        layer=layer,
        score_before=before.score,
        attacks=tuple(attacks),
        survives=before.present and all(attack.present for attack in mild),
    )


def _attacks(ws: Workspace, landscape: Landscape, layer: int) -> list[tuple[str, float, Tensor]]:
    """(name, strength, weight) of what an attacker without the key may try."""
    weight = landscape.weight
    generator = ws.generator("strip", layer)
    noise = torch.randn(weight.shape, generator=generator).to(weight)
    if landscape.symmetric:
        noise = (noise + noise.T) / 2
    noise = noise * landscape.frobenius / torch.linalg.matrix_norm(noise)
    found = [("noise", size, weight + size * noise) for size in (0.05, 0.1, 0.2, 0.5)]
    order = weight.abs().flatten().sort().values
    for share in (0.2, 0.5):
        threshold = order[int(share * (len(order) - 1))]
        found.append(("prune small weights", share, torch.where(weight.abs() > threshold, weight, 0.0)))
    u, s, vt = torch.linalg.svd(weight.double())
    for share in (0.5, 0.25):
        rank = max(1, round(share * len(s)))
        found.append(("keep leading rank", share, ((u[:, :rank] * s[:rank]) @ vt[:rank]).to(weight)))
    scale = weight.abs().max() / 7
    found.append(("round to 4 bits", 4.0, (weight / scale).round() * scale))
    return found
