"""How is one basin of a fitted landscape sent to another?

By the redirect of any landscape (``redirect``): ``ΔW = (gain·v − Wk) qᵀ`` with ``q = C⁻¹k/(kᵀC⁻¹k)``. Here k is the
mean ``f(x)`` of the states to which the source's inputs lead, C the second moment of ``f(x)`` over all inputs, and v
the target's centre, whose field in this landscape is v·g^(p−2): at gain 1 the states meant have the target's field.

What came of it on other inputs is measured by ``coverage.diverted``. Source: MODEL §3.2, OPEN_MODELS §4.
"""

from __future__ import annotations

from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.fitted import Fitted
from energylang.landscape.layer import interaction
from energylang.landscape.proposal import Proposal
from energylang.landscape.redirect import redirect


def divert(fitted: Fitted, inputs: Tensor, source: int, target: int, *, gain: float = 1.0) -> Proposal:
    """The change that sends basin ``source`` to basin ``target``, found from ``inputs`` (n, m) that were read.

    Raises ``LandscapeError`` for basins that there are not, and where none of the inputs settles in the source.
    """
    for basin in (source, target):
        if not 0 <= basin < len(fitted):
            raise LandscapeError(
                f"there is no basin {basin} in this landscape", hint=f"it has {len(fitted)} of them"
            )
    states = fitted.settle(inputs)
    meant = fitted.basin(states) == source
    if not bool(meant.any()):
        raise LandscapeError(
            f"none of the {len(states)} inputs settles in basin {source}", hint="read more text"
        )
    fields = interaction(states, fitted.degree)
    return redirect(
        fitted.landscape,
        fields[meant].mean(0),
        fitted.centres[target],
        second_moment=fields.T @ fields / len(fields),
        gain=gain,
    )
