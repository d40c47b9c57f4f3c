"""What a surgery study amounts to: figures per concept, their mean and spread over models, and which criteria are
met.  (PURE: no torch.)

A *case* is one concept of one model. Every criterion is judged on every case, and once more on the mean of each
concept over the models. A figure that cannot be computed (a factor of a share of zero, a z-score against placebos
without spread) counts as missed, and is said to be not measurable.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, float | None]

#: Names of the figures of a case, in the order of the tables.
FIGURES = (
    "share_before",
    "share_after",
    "factor",
    "placebo",
    "placebo_std",
    "z",
    "loss_change",
    "removal_ratio",
    "removal_others",
    "removal_loss_change",
    "locality",
    "locality_mean",
    "locality_largest",
    "transfer_factor",
)


@dataclass(frozen=True)
class Criterion:
    """``met`` judges the figures of a case; ``figure`` is the one to show."""

    name: str
    limit: str
    figure: str
    met: Callable[[Figures], bool]


def _within(figure: str, low: float | None = None, high: float | None = None) -> Callable[[Figures], bool]:
    def met(figures: Figures) -> bool:
        value = figures[figure]
        return value is not None and (low is None or value >= low) and (high is None or value <= high)

    return met


def _installed(figures: Figures) -> bool:
    before, after = figures["share_before"], figures["share_after"]
    often = before is not None and after is not None and before > 0.26 and after >= 0.65
    return often or _within("factor", low=2.5)(figures)


def _local(figures: Figures) -> bool:
    value = figures["locality"]
    return value is not None and value < 0.03


CRITERIA = (
    Criterion("install: share", "at least × 2.5, or from over 26 % to at least 65 %", "factor", _installed),
    Criterion("install: against random edits", "z at least 5", "z", _within("z", low=5)),
    Criterion("install: loss", "rises by at most 2 %", "loss_change", _within("loss_change", high=0.02)),
    Criterion("locality", "below 3 points in every context", "locality", _local),
    Criterion("remove: share", "at most half of before", "removal_ratio", _within("removal_ratio", high=0.5)),
    Criterion(
        "remove: other concepts",
        "proportions within 15 %",
        "removal_others",
        _within("removal_others", high=0.15),
    ),
    Criterion(
        "remove: loss",
        "rises by at most 1 %",
        "removal_loss_change",
        _within("removal_loss_change", high=0.01),
    ),
    Criterion("transfer: share", "at least × 1.5", "transfer_factor", _within("transfer_factor", low=1.5)),
)
UNDO = "undo"


def figures_of(model: Mapping[str, Any], concept: str) -> dict[str, float | None]:
    """The figures of one concept of one model; ``transfer_factor`` only where something was transferred,
    ``removal_others`` only where there are two others at least."""
    found = model["concepts"][concept]
    install, remove = found["install"], found["remove"]
    random = install["placebos"].get("random", {"mean": None, "std": None, "z": None})
    others = list(remove["others_relative"].values())
    places = list(install["locality"].values())
    before = remove["share_before"]
    figures = {
        "share_before": install["share_before"],
        "share_after": install["share_after"],
        "factor": install["factor"],
        "placebo": random["mean"],
        "placebo_std": random["std"],
        "z": random["z"] if random["std"] else None,
        "loss_change": install["loss_change"],
        "removal_ratio": remove["share_after"] / before if before else None,
        "removal_loss_change": remove["loss_change"],
        "locality": max((place["mean"] for place in places), default=None),
        "locality_mean": statistics.fmean(place["mean"] for place in places) if places else None,
        "locality_largest": max((place["largest"] for place in places), default=None),
    }
    if len(others) > 1:  # the proportions of a single one are always kept
        figures["removal_others"] = None if None in others else max(map(abs, others))
    if "transfer" in model:
        carried = model["transfer"].get("concepts", {}).get(concept, {})
        figures["transfer_factor"] = carried.get("factor")
    return figures


def summarise(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and spreads over the models, and the verdict on every criterion, as a JSON value."""
    names = list(models[0]["concepts"]) if models else []
    cases = {(m["model"], name): figures_of(m, name) for m in models for name in names}
    concepts = {
        name: {
            figure: _spread([f[figure] for (_, of), f in cases.items() if of == name and figure in f])
            for figure in FIGURES
        }
        for name in names
    }
    means = {("", name): {figure: at["mean"] for figure, at in concepts[name].items()} for name in names}
    verdicts = {}
    for criterion in CRITERIA:
        judged = {case: f for case, f in cases.items() if criterion.figure in f}
        if judged:
            over_models = _judge(criterion, means)
            verdicts[criterion.name] = {
                "limit": criterion.limit,
                **_judge(criterion, judged),
                "met_on_means": over_models["met"],
                "missed_on_means": over_models["missed"],
            }
    verdicts[UNDO] = _undo(models)
    return {
        "models": [
            {key: model.get(key) for key in ("model", "hash", "layer", "loss", "labelled", "fluent")}
            for model in models
        ],
        "concepts": concepts,
        "verdicts": verdicts,
        "met": all(verdict["met"] for verdict in verdicts.values()),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | int | None]:
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(known) if known else None,
        "std": statistics.stdev(known) if len(known) > 1 else None,
        "count": len(known),
    }


def _judge(criterion: Criterion, cases: Mapping[tuple[str, str], Figures]) -> dict[str, Any]:
    missed = [
        {"model": model, "concept": concept, "figure": figures[criterion.figure]}
        for (model, concept), figures in cases.items()
        if not criterion.met(figures)
    ]
    return {"met": not missed, "cases": len(cases), "cases_met": len(cases) - len(missed), "missed": missed}


def _undo(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    missed = [
        {"model": model["model"], "concept": None, "figure": None}
        for model in models
        if not model["undo_bit_identical"]
    ]
    return {
        "limit": "the logits are what they were, bit for bit",
        "met": not missed,
        "cases": len(models),
        "cases_met": len(models) - len(missed),
        "missed": missed,
        "met_on_means": not missed,
        "missed_on_means": missed,
    }
