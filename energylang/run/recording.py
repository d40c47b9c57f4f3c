"""Records: what a session did, written down so that it can be done again and compared.

Every operation that runs goes into the session's ``Ledger``: name, arguments, the place in the history before it, and
the digest of its result (SHA-256 of the result as canonical JSON without times). ``write`` makes a JSON file of it
with versions, settings and hashes of the weights; its schema is ``energylang.workspace.schema``.

``replay`` runs a record in a session of its own. The model must be the one that the record was made on, by the hash of
its weights: another one is refused. Where the recorded session had gone to another place of its history without an
operation (the end of an ``attempt``), the replay goes there too; ``with`` scopes are opened and closed as they were.
Digests are compared operation by operation. Where one differs, the results themselves are: every field has a
tolerance (``results.rounding``), because another processor rounds otherwise, and a step is *equal within rounding* or
*different*; the first field that is too far apart is named. A hash of weights cannot be nearly equal, so a sketch of
the changes stands beside it (``sketch``), and where hashes differ the sketches decide.

Files that it writes are set aside, and gone at its end: a record from a stranger overwrites nothing.

Keys of watermarks are not written down; such operations replay when the key is given again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from energylang import results
from energylang.errors import ElError
from energylang.files.storage import json_bytes, read_json, seal_holds, sealed, set_aside, write_atomic
from energylang.results.rounding import Deviation, compared, holds_hash, short
from energylang.signature.coerce import as_statement
from energylang.signature.declaration import Effect, Op
from energylang.signature.values import BasinRef, Concept, Layer, Seed
from energylang.workspace.schema import RECORD
from energylang.workspace.sketch import TOLERANCE, apart, changes

if TYPE_CHECKING:
    from energylang.session import Session
    from energylang.work.workbench import Workbench

FORMAT = "energylang record"
SECRET = "…"
_LEFT_OUT = ("record", "replay")


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
        session: Workbench,
    ) -> None:
        """Write an operation down that ``session`` has just carried out."""
        if op.name in _LEFT_OUT:
            return
        entry: dict[str, Any] = {
            "number": len(self.entries) + 1,
            "operation": op.name,
            "statement": statement,
            "arguments": {
                name: SECRET if _secret(op, name) else plain(value) for name, value in values.items()
            },
            "at": at,
        }
        if isinstance(outcome, ElError):
            entry |= {"status": "FAILED", "error": outcome.code}
        else:
            found = outcome.to_dict(volatile=False)
            entry |= {"status": "OK", "digest": digest(found), "result": found}
            if holds_hash(found):
                entry["changes"] = changes(session)
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


def _secret(op: Op, name: str) -> bool:
    param = op.param(name)
    return param is not None and param.secret


def shown(op: Op, values: Mapping[str, Any], statement: str) -> str:
    """A statement as history and record keep it: without what must not be written down."""
    if not any(_secret(op, name) for name in values):
        return statement
    return as_statement(op, {name: SECRET if _secret(op, name) else value for name, value in values.items()})


def plain(value: Any) -> Any:
    """An argument as JSON has it, such that ``coerce`` understands it again."""
    if isinstance(value, Layer | BasinRef | Concept | results.Basin):
        return str(value)
    if isinstance(value, results.ConceptInfo):
        return value.name
    if isinstance(value, Seed):
        return value.seed
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def digest(data: Any) -> str:
    """SHA-256 of plain data as canonical JSON."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def made_with() -> dict[str, str]:
    """Versions of what computes, and the machine."""
    from energylang import __version__

    return {
        "energylang": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def write(session: Workbench, path: str) -> results.Recorded:
    """Write the session's record."""
    session.model  # noqa: B018 - says that none is loaded
    ledger, timeline = session.ledger, session.timeline
    in_force = timeline.in_force()
    final = session.staged_hash()
    data = {
        "format": FORMAT,
        "version": 1,
        "made_with": made_with(),
        "threads": torch.get_num_threads(),
        "checkpoint_hash": session.original_hash,
        "final_hash": final,
        "live_hash": session.live_hash(),
        "changes": changes(session),
        "script": ledger.script,
        "settings": dict(session.state.settings),
        "operations": ledger.entries,
        "tree": [
            {
                "id": entry.id,
                "parent": entry.at.id,
                "statement": entry.statement,
                "state": "UNDONE" if entry.node is not None and entry.node not in in_force else entry.status,
            }
            for entry in timeline.log
        ],
        "at": timeline.current.id,
    }
    target = session.resolve(path)
    encoded = json_bytes(sealed(data), indent=1)
    write_atomic(target, encoded)
    return results.Recorded(path, len(ledger.entries), len(encoded), session.original_hash, final)


# --------------------------------------------------------------------------------------------- replay


def read(session: Workbench, path: str) -> dict[str, Any]:
    """A record, checked against the schema."""
    import jsonschema

    try:
        data = read_json(session.resolve(path))
    except OSError as error:
        raise ElError(f"cannot read {path}: {error.strerror}", code="EL540") from None
    except ValueError:
        raise ElError(f"{path} is not a record: it is not JSON", code="EL540") from None
    try:
        jsonschema.validate(data, RECORD)
    except (RecursionError, ValueError, OverflowError):
        raise ElError(f"{path} is not a record: it is nested too deeply", code="EL540") from None
    except jsonschema.ValidationError as error:
        place = "/".join(map(str, error.absolute_path)) or "the whole"
        raise ElError(
            f"{path} is not a record: at {place}, {short(error.message)}",
            code="EL540",
            hint="`record` writes them; docs/record.schema.json says what they hold",
        ) from None
    return dict(data)


def replay(session: Workbench, path: str, on: str | None, key: str | None) -> results.Replay:
    """Run a record again, in a session of its own, and compare. What it writes is set aside: no file is changed."""
    data = read(session, path)
    with set_aside():
        return _replayed(session, data, path, on, key)


def _replayed(
    session: Workbench, data: Mapping[str, Any], path: str, on: str | None, key: str | None
) -> results.Replay:
    from energylang.session import Session

    fresh = Session(base=session.base, threads=int(data["threads"]))
    operations: list[dict[str, Any]] = data["operations"]
    ended = {int(entry["of"]) for entry in operations if entry["operation"] == "end"}
    scopes: dict[int, AbstractContextManager[Any]] = {}
    steps: list[results.ReplayStep] = []
    largest: Deviation | None = None
    _check_first(data, path)
    for entry in operations:
        number = int(entry["number"])
        if entry["operation"] == "end":
            scope = scopes.pop(int(entry["of"]), None)
            if scope is not None:
                scope.__exit__(None, None, None)
            continue
        difference, rounding = _again(fresh, entry, path, on, key, scopes if number in ended else None)
        steps.append(
            results.ReplayStep(number, entry["statement"], not difference, difference, str(rounding or ""))
        )
        if rounding and (largest is None or rounding.used > largest.used):
            largest = rounding
    if fresh.has_model and fresh.timeline.current.id != data["at"] and data["at"] in fresh.timeline.nodes:
        fresh.travel_to(fresh.timeline.nodes[data["at"]])
    final = fresh.staged_hash() if fresh.has_model else ""
    first = next((step.number for step in steps if not step.same), None)
    alike = final == data["final_hash"]
    distance = 0.0 if alike else apart(data["changes"], changes(fresh)) if "changes" in data else math.inf
    now = made_with()
    return results.Replay(
        path=path,
        operations=len(steps),
        identical=alike and all(step.same and not step.rounding for step in steps),
        first_difference=first,
        final_hash=final,
        recorded_hash=data["final_hash"],
        versions_differ=tuple(
            f"{name}: {then} → {now.get(name, 'absent')}"
            for name, then in data["made_with"].items()
            if now.get(name) != then
        ),
        intact=seal_holds(data),
        steps=tuple(steps),
        equal=first is None and distance <= TOLERANCE,
        largest=str(largest or ""),
        weights_apart=distance if math.isfinite(distance) else None,
    )


def _check_first(data: Mapping[str, Any], path: str) -> None:
    if not any(entry["operation"] == "load" and entry.get("status") == "OK" for entry in data["operations"]):
        raise ElError(f"{path} loads no model: there is nothing to run again", code="EL540")


def _again(
    session: Session,
    entry: Mapping[str, Any],
    path: str,
    on: str | None,
    key: str | None,
    scopes: dict[int, AbstractContextManager[Any]] | None,
) -> tuple[str, Deviation | None]:
    """Run one operation: what is different, or an empty text, and the largest difference that is within rounding."""
    from energylang.ops import TABLE

    op = TABLE.get(entry["operation"])
    if op is None:
        return f"there is no operation `{entry['operation']}` any more", None
    values = dict(entry.get("arguments", {}))
    hidden = [name for name in values if _secret(op, name)]
    if hidden and key is None:
        return "it needs a key, and keys are not written down: key=…", None
    values.update(dict.fromkeys(hidden, key))
    if Effect.LOADS in op.effects and on is not None:
        values["model"] = on
    if session.has_model and entry["at"] != session.timeline.current.id and Effect.LOADS not in op.effects:
        node = session.timeline.nodes.get(entry["at"])
        if node is None:
            return f"the history has no place {entry['at']}", None
        session.travel_to(node)
    try:
        if scopes is None:
            outcome = session.execute(op, values, statement=entry["statement"])
        else:
            scopes[int(entry["number"])] = scope = session.scoped(op, values, statement=entry["statement"])
            outcome = scope.__enter__()
    except ElError as error:
        if entry.get("status") == "FAILED":
            same = error.code == entry.get("error")
            return "" if same else f"error: {entry.get('error')} → {error.code}", None
        return f"it failed: {error.message}", None
    if Effect.LOADS in op.effects:
        _same_checkpoint(entry, outcome, path)
    if entry.get("status") == "FAILED":
        return f"error: {entry.get('error')} → none", None
    found = outcome.to_dict(volatile=False)
    if Effect.LOADS in op.effects and on is not None:
        found["model"] = entry["result"].get("model")
    return _judged(session, entry, found)


def _judged(
    session: Session, entry: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[str, Deviation | None]:
    """The same for a result that is there, as plain data."""
    if digest(found) == entry["digest"]:
        return "", None
    difference = compared(entry["result"], json.loads(json.dumps(found)))
    if difference.beyond is not None:
        return str(difference.beyond), None
    if digest(entry["result"]) != entry["digest"]:
        return "the digest is not that of the result", None
    distance = apart(entry["changes"], changes(session)) if "changes" in entry else math.inf
    if difference.hashes and not distance <= TOLERANCE:
        return str(difference.hash), None
    return "", difference.largest or difference.hash


def _same_checkpoint(entry: Mapping[str, Any], outcome: results.Info, path: str) -> None:
    recorded = entry.get("result", {}).get("hash")
    if entry.get("status") == "OK" and recorded != outcome.hash:
        raise ElError(
            f"the record {path} was made on a checkpoint with hash {str(recorded)[:12]}…, {outcome.model} has "
            f"{outcome.hash[:12]}…",
            code="EL540",
            hint="a record runs on the weights that it was made on, and on no others",
        )
