"""Results of the family record: records and replays."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Recorded(Result):
    """A record that was written: ``checkpoint_hash`` is that of the weights as they were loaded, ``final_hash`` that
    with everything staged."""

    path: str
    operations: int
    bytes: int
    checkpoint_hash: str
    final_hash: str


@dataclass(frozen=True, eq=False)
class ReplayStep(Result):
    """One operation of a record. ``same`` says that it gave the same again; ``difference`` names the first field
    that did not, as ``field: then → now``. Where it is the same within rounding only, ``rounding`` names the field that
    moved most, in the same way."""

    number: int
    statement: str
    same: bool
    difference: str
    rounding: str = ""


@dataclass(frozen=True, eq=False)
class Replay(Result):
    """A record that was run again in a session of its own. ``identical``: every digest and the final weights are the
    same; ``first_difference`` is the number of the first operation that differs (``None``: none). ``intact``: the
    record is what was written (by its checksum; one without a checksum counts).

    ``equal``: identical, or equal within rounding, as on another processor: every field within its tolerance (see the
    schema of records) and the changes of the weights within 1e-4. ``largest`` names the field that used most of its
    tolerance, ``weights_apart`` is the relative distance of the changes, estimated from their sketches (``None``: it
    cannot be told)."""

    path: str
    operations: int
    identical: bool
    first_difference: int | None
    final_hash: str
    recorded_hash: str
    versions_differ: tuple[str, ...]
    intact: bool
    steps: tuple[ReplayStep, ...]
    equal: bool
    largest: str
    weights_apart: float | None
