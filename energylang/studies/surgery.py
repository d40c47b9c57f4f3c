"""Does surgery work on this model?  The whole table, from one call.

For every concept of a ``Study``, on each model, through the same functions that the operations use:

1. **baseline**: which label do replies to neutral prompts have?
2. **install**: capture the concept's texts at a layer, write it in within the damage budget, ask again. Against
   random values, other concepts' values and shuffled labels, all of the edit's norm.
3. **dose-response**: the same edit at growing doses, beside random values of the same norm.
4. **remove**: take the concept out of what is said; the other labels should keep their proportions.
5. **locality**: replies in conversations that already speak another way, before and after installing.
6. **undo**: every installation is made live and undone; the logits afterwards, bit for bit.
7. **transfer**: the concept's state carried into another model and redirected to there (``transfer``).

Labels come from the study, not from the model: the judge of an effect must not be the thing that was edited. Prompts
and held-out windows are those by which nothing was chosen. Sampling is seeded and the same before and after, so
equal logits give equal replies.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energylang.concepts.controls import controls, random_values
from energylang.concepts.effects import against
from energylang.concepts.methods import Candidate, aimed, redirected, removal
from energylang.errors import ElError
from energylang.landscape.lowrank import LowRank
from energylang.models.protocol import Change
from energylang.session import Session
from energylang.studies.bench import Bench, Study, Thoroughness
from energylang.trial.staging import commit
from energylang.work import model
from energylang.workspace.execution import with_threads
from energylang.workspace.history import Concept
from energylang.workspace.named import concept_named

from .transfer import Carried, carry, transfer

if TYPE_CHECKING:
    pass

DOSE_PLACEBOS = 4


def examine(
    model: str,
    study: Study,
    options: Thoroughness,
    *,
    donor: Carried | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The study of one model, as a JSON value plus, under ``carry``, what a next model needs for the transfer."""
    with with_threads(options.threads):
        return _examine(Session(model, threads=options.threads), study, options, donor, progress)


def _examine(
    session: Session,
    study: Study,
    options: Thoroughness,
    donor: Carried | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    text, model = session.text, session.model.spec
    if text.dialogue is None:
        raise ElError(
            f"{model} holds no conversations: there are no replies whose concept could be counted",
            code="EL250",
            hint='train one with --turns "user:" "bot:", or use `effect` on a plain-text model',
        )
    session.set("seed", options.seed)
    bench = Bench(session, study, options)
    asked = text.measuring_prompts
    bench.prompts = [asked[k % len(asked)] for k in range(options.replies)]
    progress(f"{model}: baseline")
    fits = _capture(bench)
    before, loss = bench.shares(bench.changed()), bench.loss(bench.changed())
    often = bench.shares(bench.changed(), options.proportions)
    found: dict[str, Any] = {
        "model": model,
        "hash": session.live_hash(),
        "layer": bench.layer,
        "fits": fits,
        "loss": float(loss.mean()),
        "baseline": before,
        "labelled": sum(before.values()),
        "report": session.model.metadata.get("report"),
        "undo_bit_identical": True,
        "concepts": {},
    }
    if study.fluent is not None:
        said = bench.replies([(prompt,) for prompt in bench.prompts], Change(), "neutral")
        found["fluent"] = sum(map(study.fluent, said)) / len(said)
    logits = _logits(bench)
    contexts = {other: bench.shares_after(other, bench.changed()) for other in study.texts}
    for done, name in enumerate(study.texts):
        progress(f"{model}: {name}, {done + 1} of {len(study.texts)}")
        concept = concept_named(session, name)
        candidate = _candidate(bench, concept)
        installed = _installation(bench, concept, candidate, before, loss)
        installed["locality"] = _locality(bench, name, contexts, candidate)
        removed = _removal(bench, concept, often, loss)
        found["concepts"][name] = {"install": installed, "remove": removed}
        found["undo_bit_identical"] &= _undone(bench, candidate, logits)
    if donor is not None:
        progress(f"{model}: transfer")
        try:
            found["transfer"] = transfer(bench, donor, before, loss)
        except ElError as error:  # what was found so far stands
            found["transfer"] = {"from": donor.model, "refused": error.message}
    found["carry"] = carry(bench)
    return found


def _capture(bench: Bench) -> list[dict[str, Any]]:
    """Capture every concept; the layer is the one that carries most of them unless it is given."""
    session, options = bench.session, bench.options
    where: Any = "auto" if options.layer is None else options.layer
    fits: list[dict[str, Any]] = []
    if options.layer is None:
        votes: dict[int, float] = {}
        for name, texts in bench.study.texts.items():
            info = session.capture("auto", name, texts[0])
            for said in texts[1:]:
                info = session.capture("auto", name, said)
            for fit in info.fits:
                votes[fit.layer] = votes.get(fit.layer, 0.0) + fit.carried
                fits.append({"concept": name, **fit.to_dict()})
        where = max(votes, key=lambda layer: votes[layer])
        session.load(session.model.spec)
        session.set("seed", options.seed)
    bench.layer = int(where)
    for name, texts in bench.study.texts.items():
        for said in texts:
            session.capture(bench.layer, name, said)
    return fits


def _logits(bench: Bench) -> Tensor:
    with torch.no_grad():
        return bench.text.forward(bench.text.measuring_windows(8)[:, :-1]).logits


def _undone(bench: Bench, candidate: Candidate, logits: Tensor) -> bool:
    """Make an installation live, undo it; whether the logits changed and came back bit for bit."""
    session, before = bench.session, bench.session.state
    commit(session, candidate.draft, force=True, reason="it is undone at once")
    model.make_live(session, bench.layer)
    session.timeline.record("install", before, session.state, "OK", "", bench.layer)
    changed = not torch.equal(logits, _logits(bench))
    session.undo()
    return changed and torch.equal(logits, _logits(bench))


def _candidate(bench: Bench, concept: Concept) -> Candidate:
    make = redirected if bench.options.method == "redirect" else aimed
    return make(bench.session, concept, None, bench.options.damage)


def _factors(candidate: Candidate) -> LowRank:
    assert candidate.draft.proposal is not None  # neither method lacks room
    return candidate.draft.proposal.factors


def _installation(
    bench: Bench, concept: Concept, candidate: Candidate, before: Mapping[str, float], loss: Tensor
) -> dict[str, Any]:
    """Effect, placebos and dose-response of writing a concept in."""
    name, factors = concept.name, _factors(candidate)
    after = bench.shares(bench.changed(factors))
    placebos: dict[str, list[float]] = {}
    for control in controls(bench.session, concept, factors, candidate.imitate):
        placebos.setdefault(control.kind, []).append(bench.shares(bench.changed(control.factors))[name])
    edit = candidate.draft.edit
    dose = edit.dose or 1.0
    return {
        "method": edit.method,
        "dose": edit.dose,
        "within_budget": edit.applied,
        "relative_norm": edit.relative_norm,
        "share_before": before[name],
        "share_after": after[name],
        "factor": after[name] / before[name] if before[name] else None,
        "shares_after": after,
        "placebos": {kind: _summary(values, after[name]) for kind, values in placebos.items()},
        **bench.damage(factors, loss),
        "doses": [_dose(bench, concept, factors.scaled(d / dose), d, loss) for d in bench.options.doses],
    }


def _summary(values: list[float], after: float) -> dict[str, float | int | None]:
    mean, std, z = against(values, after)
    return {"count": len(values), "mean": mean, "std": std, "max": max(values), "z": z}


def _dose(bench: Bench, concept: Concept, factors: LowRank, dose: float, loss: Tensor) -> dict[str, Any]:
    random = [
        edit.scaled(factors.norm / edit.norm) for edit in random_values(bench.session, concept, factors)
    ]
    shares = [bench.shares(bench.changed(edit))[concept.name] for edit in random[:DOSE_PLACEBOS]]
    return {
        "dose": dose,
        "share": bench.shares(bench.changed(factors))[concept.name],
        "placebo_mean": statistics.fmean(shares),
        "placebo_std": statistics.stdev(shares),
        **bench.damage(factors, loss),
    }


def _locality(
    bench: Bench, name: str, contexts: Mapping[str, Mapping[str, float]], candidate: Candidate
) -> dict[str, Any]:
    """How much replies change where the conversation already speaks another way: per context the largest
    change of any label's share, and the mean over labels."""
    changed = bench.changed(_factors(candidate))
    found = {}
    for other, before in contexts.items():
        if other == name:
            continue
        after = bench.shares_after(other, changed)
        moves = [abs(after[label] - before[label]) for label in before]
        found[other] = {"largest": max(moves), "mean": statistics.fmean(moves)}
    return found


def _removal(bench: Bench, concept: Concept, before: Mapping[str, float], loss: Tensor) -> dict[str, Any]:
    """Effect of taking a concept out; the others' shares among themselves, before and after, and the standard error
    of their relative change if the draws before and after are independent (they are more alike than that)."""
    options = bench.options
    candidate = removal(bench.session, concept, None, options.removal_damage)
    factors = _factors(candidate)
    after = bench.shares(bench.changed(factors), options.proportions)
    others = [label for label in before if label != concept.name]
    rest_before, rest_after = (sum(shares[label] for label in others) for shares in (before, after))
    relative = {
        label: (after[label] / rest_after) / (before[label] / rest_before) - 1
        if before[label] and rest_after
        else None
        for label in others
    }

    def chance(share: float, rest: float) -> float:
        """The relative variance of share/rest."""
        return (1 / share - 1 / rest) / (len(bench.prompts) * options.proportions)

    random = [
        edit.scaled(factors.norm / edit.norm) for edit in random_values(bench.session, concept, factors)
    ]
    shares = [bench.shares(bench.changed(edit))[concept.name] for edit in random]
    return {
        "dose": candidate.draft.edit.dose,
        "within_budget": candidate.draft.edit.applied,
        "share_before": before[concept.name],
        "share_after": after[concept.name],
        "others_relative": relative,
        "others_error": {
            label: max(0.0, chance(before[label], rest_before) + chance(after[label], rest_after)) ** 0.5
            if before[label] and after[label]
            else None
            for label in others
        },
        "placebo": _summary(shares, after[concept.name]),
        **bench.damage(factors, loss),
    }
