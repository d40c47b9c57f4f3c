"""Pictures: another model beside this one."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, give_or_take, percent, table


@render.register
def compare(found: results.Comparison) -> RenderableType:
    if found.kl is not None:
        dealt = found.state_cosine_shuffled or 0.0
        return Group(
            Text.assemble(
                (f"L{found.layer}", "bold"), f" beside {found.other}, on {found.tokens:,} held-out tokens"
            ),
            facts(
                weights_differ_by="–" if found.weight_change is None else percent(found.weight_change),
                states_cosine=f"{found.state_cosine or 0.0:.4f} (tokens dealt out {dealt:+.3f})",
            ),
            facts(
                says_next_kl=give_or_take(found.kl, found.kl_error, 4) + " nats",
                same_choice=percent(found.same_choice or 0.0),
            ),
        )
    parts: list[RenderableType] = [
        Text.assemble(
            (f"L{found.layer}", "bold"),
            f" beside {found.other}: {found.matched} of {found.basins_here} known basins were met there as well, "
            f"mean cosine {found.mean_cosine:.3f}",
        ),
        facts(
            known_basins=f"{found.basins_here} | {found.basins_there}",
            at_rest_in_the_other="–"
            if found.rest_there is None or found.rest_here is None
            else f"{found.rest_there} | {found.rest_here}",
            d=f"{found.dim_here} | {found.dim_there}",
            beta=f"{found.beta_here:.2f} | {found.beta_there:.2f}",
            weights_differ_by="–" if found.weight_change is None else percent(found.weight_change),
        ),
    ]
    if found.fit is not None:
        parts.append(
            Text(
                f"rotated by shared texts: fit {found.fit:.2f} on texts not fitted to "
                f"(shuffled {found.fit_shuffled or 0:.2f})",
                style="dim",
            )
        )
    if found.matches:
        rows = table("here", "there", "cosine", right=(2,))
        for match in found.matches[:8]:
            rows.add_row(f"B{match.here}", f"no. {match.there}", f"{match.cosine:.3f}")
        parts.append(rows)
    return Group(*parts)
