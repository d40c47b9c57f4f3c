"""A proposed edit on its way to being staged: what is planned, and what came of trying it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from energylang.landscape.clusters import SAME
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import Registry
from energylang.landscape.proposal import Proposal
from energylang.results import Edit
from energylang.trial.asked import Asked, nothing
from energylang.workspace.versions import Version

INSTALLING, REMOVING = 0.5, 0.8
"""At most this share of the dimension is spent on leaving fields exactly as they are; the most visited basins
come first, the gate judges all of them. Measured on the bundled model's last layer: removals pass the gate 9
times of 10 at 0.8, 5 at 0.5 and never at 0.3; an injection needs the room that is left."""


@dataclass(frozen=True)
class Plan:
    """What an operation wants done: how to propose it, and what belongs to it.

    ``asked`` measures whether it was done. ``own`` (t, d) are states the edit is about (the basin to remove): they,
    and basins with a cosine above ``related`` to them, are neither protected nor judged. ``exactly`` is the share of
    the dimension spent on protecting fields exactly. ``damage`` is the verdict and its reason where a damage budget on
    text judges instead of the gate: a redirect moves basins on purpose.
    ``strength`` is the one asked for, ``factor`` and ``dose`` those by which the change was made.
    ``installs`` says that a basin is to be there afterwards and gets a number, ``ends`` that ``own`` shall be none;
    ``radii`` asks for the radius of what is installed, and for its neighbours' before and after.
    """

    operation: str
    layer: int
    target: str
    propose: Callable[[Landscape, Tensor], Proposal]
    asked: Asked = nothing
    own: Tensor | None = None
    related: float = SAME
    exactly: float = INSTALLING
    installs: bool = False
    basin: int | None = None
    method: str | None = None
    strength: float | None = None
    factor: float | None = None
    dose: float | None = None
    damage: tuple[bool, str] | None = None
    ends: bool = False
    radii: bool = False


@dataclass(frozen=True)
class Draft:
    """A proposed edit, tried and judged, before anything is staged. ``proposal`` is None where there was no room for
    one; otherwise ``version`` is the weight that it would make, with its ``registry`` of basins."""

    plan: Plan
    proposal: Proposal | None
    edit: Edit
    version: Version | None = None
    registry: Registry | None = None
    rest: Tensor | None = None
