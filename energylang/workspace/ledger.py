"""The ledger of a session: every operation that ran, as plain data, from which records are written.

An entry holds name, arguments, the place in the history before it, and the digest of its result (SHA-256 of the result
as canonical JSON without times). What a ``secret`` parameter was given is not written down.
"""

from __future__ import annotations

import hashlib
import json
import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from energylang import results
from energylang.errors import ElError
from energylang.results.rounding import holds_hash
from energylang.signature.coerce import as_statement
from energylang.signature.declaration import Op
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName, Seed

SECRET = "…"
_LEFT_OUT = ("record", "replay", "read", "write", "plot", "again")
"""Operations that do nothing to the session themselves; what `again` runs is written down."""


@dataclass
class Ledger:
    """The operations of a session since it began, as plain data."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    script: dict[str, str] | None = None

    def note(
        self,
        op: Op,
        values: Mapping[str, Any],
        statement: str,
        at: int,
        outcome: results.Result | ElError,
        changes: Callable[[], list[dict[str, Any]]],
    ) -> None:
        """Write an operation down that has just been carried out. ``changes`` sketches what is staged, for a result
        that holds a hash of weights."""
        if op.name in _LEFT_OUT:
            return
        entry: dict[str, Any] = {
            "number": len(self.entries) + 1,
            "operation": op.name,
            "statement": statement,
            "arguments": {
                name: SECRET if secret(op, name) else plain(value) for name, value in values.items()
            },
            "at": at,
        }
        if isinstance(outcome, ElError):
            entry |= {"status": "FAILED", "error": outcome.code}
        else:
            found = outcome.to_dict(volatile=False)
            entry |= {"status": "OK", "digest": digest(found), "result": found}
            if holds_hash(found):
                entry["changes"] = changes()
        self.entries.append(entry)

    def end(self, number: int, statement: str) -> None:
        """Write down that the scope of operation ``number`` has ended."""
        self.entries.append(
            {"number": len(self.entries) + 1, "operation": "end", "statement": statement, "of": number}
        )

    def note_script(self, name: str, text: str) -> None:
        """Remember the script that is run."""
        self.script = {
            "name": name,
            "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        }


def secret(op: Op, name: str) -> bool:
    param = op.param(name)
    return param is not None and param.secret


def shown(op: Op, values: Mapping[str, Any], statement: str) -> str:
    """A statement as history and record keep it: without what must not be written down."""
    if not any(secret(op, name) for name in values):
        return statement
    return as_statement(op, {name: SECRET if secret(op, name) else value for name, value in values.items()})


def plain(value: Any) -> Any:
    """An argument as JSON has it, such that ``coerce`` understands it again."""
    if isinstance(value, Layer | BasinRef | PartName | ConceptName | results.Basin):
        return str(value)
    if isinstance(value, results.ConceptInfo):
        return value.name
    if isinstance(value, Seed):
        return value.seed
    if isinstance(value, results.Table | results.Record):
        return value.to_dict()
    if isinstance(value, results.Result):
        return value.table.to_dict()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)  # numpy has numbers of its own
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else value


def digest(data: Any) -> str:
    """SHA-256 of plain data as canonical JSON."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
