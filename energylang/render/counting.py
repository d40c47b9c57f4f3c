"""How many basins there are, in plain words: what was found, how much of the landscape that is, how many in all."""

from __future__ import annotations

from rich.text import Text

from energylang import results

HIGH = 0.95
"""A coverage from which more starts would find little more."""


def coverage(seen: results.Survey | results.Seeds) -> str:
    """``31 % (24–38)``, or a dash where no start ended in a basin."""
    if seen.coverage is None or seen.coverage_low is None or seen.coverage_high is None:
        return "–"
    low, high = _percent(seen.coverage_low), _percent(seen.coverage_high)
    return f"{_percent(seen.coverage)} % ({low}–{high})"


def total(seen: results.Survey | results.Seeds) -> str:
    """``about 1,240 in all (830–1,950)``, or ``at least 830 in all`` where the counts say no more."""
    if seen.estimate is None or seen.estimate_high is None:
        return f"at least {seen.estimate_low:,} in all"
    if seen.estimate_low == seen.estimate_high:
        return f"{seen.estimate:,} in all"
    return f"about {seen.estimate:,} in all ({seen.estimate_low:,}–{seen.estimate_high:,})"


def short_total(seen: results.Survey) -> str:
    """``1,240 (830–1,950)`` or ``≥ 830``, for a table."""
    if seen.estimate is None or seen.estimate_high is None:
        return f"≥ {seen.estimate_low:,}"
    return f"{seen.estimate:,} ({seen.estimate_low:,}–{seen.estimate_high:,})"


def sampled(survey: results.Survey) -> Text:
    """The line below a survey's title: from the random starts alone."""
    if survey.coverage is None:
        return Text(
            "no random start ended in a basin: nothing is known of how many there are", style="yellow"
        )
    found = f"{survey.found_random} found"
    if survey.token_starts or survey.installed_starts:
        found += " by random starts"
    text = Text(f"{found} · {survey.singletons} met once · coverage {coverage(survey)} · {total(survey)}")
    if survey.until_reached is False and survey.until is not None:
        text.append(
            f": {_percent(survey.until)} % is not reached with {survey.inits:,} starts", style="yellow"
        )
    elif survey.coverage < HIGH:
        text.append(": more starts will find more", style="yellow")
    return text


def over_seeds(survey: results.Survey) -> Text | None:
    """What several seeds have in common, and what they say together."""
    seen = survey.over_seeds
    if seen is None or survey.count_std is None:
        return None
    text = Text(f"{len(survey.counts)} seeds: {survey.count_mean:.1f} ± {survey.count_std:.1f} found each")
    if seen.overlap is not None and seen.overlap_expected is not None:
        text.append(f" · {_percent(seen.overlap)} % of what one's random starts meet another's meet as well")
        text.append(f" (by chance {_percent(seen.overlap_expected)} %)")
    text.append(f" · together {seen.found} found, coverage {coverage(seen)}, {total(seen)}")
    return text


def _percent(share: float) -> str:
    """A share in whole percent, with a decimal where the whole number would say all or nothing."""
    whole = round(100 * share)
    if (whole == 100 and share < 1) or (whole == 0 and share > 0):
        return f"{100 * share:.1f}" if 0.0005 <= share < 0.9995 else ("<0.1" if share < 0.5 else ">99.9")
    return str(whole)
