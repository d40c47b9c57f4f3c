"""The report of a surgery study as a Markdown page (``markdown``) and as a picture (``svg``).

A study is ``{"version": 1, "options": {…}, "models": […], "summary": {…}}``: what ``energylang.studies.surgery``
found for every model, and what ``energylang.studies.surgery_summary`` makes of it. Nothing here depends on time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .surgery_chart import svg
from .surgery_tables import change, model_section, percent, plain, points, table, text, times, yes

__all__ = ["markdown", "svg"]

Cell = Callable[[Any], str]


def markdown(study: Mapping[str, Any]) -> str:
    """The whole report."""
    options, models, summary = study["options"], study["models"], study["summary"]
    parts = ["# Surgery report", _done(options, models), *_verdict(summary), *_over_models(summary)]
    parts += ["![Dose and share, one panel per concept](surgery.svg)", _how_to_read(options)]
    for model in models:
        parts += model_section(model)
    waiting = options.get("waiting") or []
    if waiting:
        parts.append(f"**Not finished.** Still to be examined: {_code(waiting)}.")
    parts += ["## Reproduce", f"```sh\n{options['command']}\n```"]
    return "\n\n".join(parts) + "\n"


def _done(options: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    names = list(models[0]["concepts"]) if models else []
    where = "the layer that carries most of them" if options["layer"] is None else f"L{options['layer']}"
    judge = (
        "words that mark each concept"
        if options["concepts"]
        else "the marker words of the micro-world's registers"
    )
    return (
        f"{len(names)} concepts ({', '.join(map(text, names))}) were captured from example texts at {where} of "
        f"{_code(m['model'] for m in models)}. Each was written into the layer's weight with method "
        f"`{options['method']}`, at the largest dose that raises the held-out loss by at most "
        f"{percent(options['damage'])}, and each was taken out in the same way (at most "
        f"{percent(options['removal_damage'])}). Before and after every edit the model answered {options['replies']} "
        f"neutral prompts with the same random draws. What a reply is, was decided by {judge}, not by the model. "
        "Prompts and held-out text by which something was chosen are not those by which it is measured."
    )


# ------------------------------------------------------------------------------------------- criteria

_FIGURES: Mapping[str, Cell] = {
    "install: share": times,
    "install: against random edits": plain,
    "install: loss": change,
    "locality": lambda value: f"{points(value)} points",
    "remove: share": times,
    "remove: loss": change,
    "transfer: share": times,
}


def _verdict(summary: Mapping[str, Any]) -> Iterable[str]:
    verdicts: Mapping[str, Mapping[str, Any]] = summary["verdicts"]
    missed = {name: verdict for name, verdict in verdicts.items() if not verdict["met"]}
    yield "## Verdict"
    if not missed:
        yield f"All {len(verdicts)} criteria are met, in every case (a case is one concept of one model)."
    else:
        yield (
            f"{len(verdicts) - len(missed)} of {len(verdicts)} criteria are met in every case (a case is one concept "
            f"of one model). **Missed: {', '.join(missed)}.**"
        )
    several = len(summary["models"]) > 1
    columns = ["criterion", "asked", "cases met", *(["on the mean over models"] if several else [])]
    rows = []
    for name, verdict in verdicts.items():
        row = [name, verdict["limit"], f"{verdict['cases_met']} of {verdict['cases']}"]
        rows.append(row + ([yes(verdict["met_on_means"])] if several else []))
    yield table(columns, rows)
    if missed:
        yield "\n".join(_misses(name, verdict, several) for name, verdict in missed.items())


def _misses(name: str, verdict: Mapping[str, Any], several: bool) -> str:
    if all(case["concept"] is None for case in verdict["missed"]):
        return f"- **{name}** missed by {_code(case['model'] for case in verdict['missed'])}."
    cell = _FIGURES.get(name, percent)
    cases = [
        f"{text(case['concept'])}{' in `' + case['model'] + '`' if several else ''} "
        f"{cell(case['figure']) if case['figure'] is not None else 'not measurable'}"
        for case in verdict["missed"]
    ]
    return f"- **{name}** missed ({verdict['limit']}): {'; '.join(cases)}."


def _over_models(summary: Mapping[str, Any]) -> Iterable[str]:
    count = len(summary["models"])
    yield "## Summary" + (f" over {count} models (mean ± standard deviation)" if count > 1 else "")
    rows = []
    for name, found in summary["concepts"].items():

        def of(figure: str, cell: Cell, found: Mapping[str, Any] = found) -> str:
            at = found[figure]
            return cell(at["mean"]) + (f" ± {cell(at['std']).lstrip('×+ ')}" if at["std"] is not None else "")

        rows.append(
            [
                text(name),
                f"{of('share_before', percent)} → {of('share_after', percent)}",
                of("factor", times),
                of("placebo", percent),
                of("z", plain),
                of("loss_change", change),
                of("removal_ratio", times),
                of("removal_others", percent),
                f"{of('locality_mean', points)} / {of('locality_largest', points)}",
                of("transfer_factor", times),
            ]
        )
    yield table(
        [
            "concept",
            "share, before → installed",
            "factor",
            "random edit",
            "z",
            "loss",
            "removed: share",
            "removed: others change at most",
            "locality, mean / largest (points)",
            "transfer",
        ],
        rows,
    )


def _how_to_read(options: Mapping[str, Any]) -> str:
    return f"""## How to read it

- **Share**: of {options["replies"]} replies to neutral prompts, how many are the concept. With so many replies a share
  of 20 % has a standard error of {100 * (0.16 / options["replies"]) ** 0.5:.1f} points.
- **Random edit**: the same key, a random value, the same norm. **z** is the distance of the share from the random
  edits' mean, in their standard deviations; there are few of them, so it is rough. *Other* aims the same method at
  another concept, *shuffled* at texts that the model says anyway; both have the norm of the edit too.
- **Loss**: the relative change of the loss on held-out text that chose nothing, ± its standard error.
- **Removed**: the share is what remains (× 0.5 is half). *Others*: how far the proportions of the other concepts among
  themselves move, relatively, ± what chance alone would do (one standard error of {options["removal_replies"]} replies
  before and as many after).
- **Locality**: the conversation already speaks another way; by how many points do the shares of its next replies move
  when the concept is installed? The mean over the concepts decides, and the largest change is shown too.
- **Undo**: every edit was made live and undone; the logits must be the same bits as before.
- **Transfer**: the concept as another model has it, rotated into this one by the states before the bot's turns in
  common conversations, and installed by redirection."""


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
