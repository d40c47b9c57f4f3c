"""Records: what was done, written down so that it can be done again and compared.

Every operation that runs goes into the ``Ledger``. ``record`` makes a JSON file of it with versions, settings and
hashes of the weights; its schema is ``energylang.workspace.schema``.

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

import json
import math
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from energylang import results
from energylang.errors import ElError
from energylang.files.storage import (
    json_bytes,
    located,
    read_json,
    seal_holds,
    sealed,
    set_aside,
    write_atomic,
)
from energylang.results.rounding import Deviation, compared, short
from energylang.signature.declaration import Effect
from energylang.workspace.ledger import digest, secret
from energylang.workspace.named import travel_to
from energylang.workspace.schema import RECORD
from energylang.workspace.sketch import TOLERANCE, apart, changes
from energylang.workspace.workspace import Workspace

if TYPE_CHECKING:
    pass

FORMAT = "energylang record"


def made_with() -> dict[str, str]:
    """Versions of what computes, and the machine."""
    from energylang.version import __version__

    return {
        "energylang": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def record(ws: Workspace, path: str) -> results.Recorded:
    """Write the session's record."""
    ws.model  # noqa: B018 - says that none is loaded
    ledger, timeline = ws.ledger, ws.timeline
    in_force = timeline.in_force()
    final = ws.staged_hash()
    data = {
        "format": FORMAT,
        "version": 1,
        "made_with": made_with(),
        "threads": torch.get_num_threads(),
        "checkpoint_hash": ws.original_hash,
        "final_hash": final,
        "live_hash": ws.live_hash(),
        "changes": changes(ws.state),
        "script": ledger.script,
        "settings": dict(ws.state.settings),
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
    target = located(path, ws.base)
    encoded = json_bytes(sealed(data), indent=1)
    write_atomic(target, encoded)
    return results.Recorded(path, len(ledger.entries), len(encoded), ws.original_hash, final)


# --------------------------------------------------------------------------------------------- replay


def _read(ws: Workspace, path: str) -> dict[str, Any]:
    """A record, checked against the schema."""
    import jsonschema

    try:
        data = read_json(located(path, ws.base))
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


def replay(ws: Workspace, path: str, on: str | None, key: str | None) -> results.Replay:
    """Run a record again, in a session of its own, and compare. What it writes is set aside: no file is changed."""
    data = _read(ws, path)
    with set_aside():
        return _replayed(ws, data, path, on, key)


def _replayed(
    ws: Workspace, data: Mapping[str, Any], path: str, on: str | None, key: str | None
) -> results.Replay:
    fresh = type(ws)(base=ws.base, threads=int(data["threads"]))
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
        travel_to(fresh, fresh.timeline.nodes[data["at"]])
    final = fresh.staged_hash() if fresh.has_model else ""
    first = next((step.number for step in steps if not step.same), None)
    alike = final == data["final_hash"]
    distance = (
        0.0 if alike else apart(data["changes"], changes(fresh.state)) if "changes" in data else math.inf
    )
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
    ws: Workspace,
    entry: Mapping[str, Any],
    path: str,
    on: str | None,
    key: str | None,
    scopes: dict[int, AbstractContextManager[Any]] | None,
) -> tuple[str, Deviation | None]:
    """Run one operation: what is different, or an empty text, and the largest difference that is within rounding."""
    op = ws.table.get(entry["operation"])
    if op is None:
        return f"there is no operation `{entry['operation']}` any more", None
    values = dict(entry.get("arguments", {}))
    hidden = [name for name in values if secret(op, name)]
    if hidden and key is None:
        return "it needs a key, and keys are not written down: key=…", None
    values.update(dict.fromkeys(hidden, key))
    if Effect.LOADS in op.effects and on is not None:
        values["model"] = on
    if ws.has_model and entry["at"] != ws.timeline.current.id and Effect.LOADS not in op.effects:
        node = ws.timeline.nodes.get(entry["at"])
        if node is None:
            return f"the history has no place {entry['at']}", None
        travel_to(ws, node)
    try:
        if scopes is None:
            outcome = ws.execute(op, values, statement=entry["statement"])
        else:
            scopes[int(entry["number"])] = scope = ws.scoped(op, values, statement=entry["statement"])
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
    return _judged(ws, entry, found)


def _judged(
    ws: Workspace, entry: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[str, Deviation | None]:
    """The same for a result that is there, as plain data."""
    if digest(found) == entry["digest"]:
        return "", None
    difference = compared(entry["result"], json.loads(json.dumps(found)))
    if difference.beyond is not None:
        return str(difference.beyond), None
    if digest(entry["result"]) != entry["digest"]:
        return "the digest is not that of the result", None
    distance = apart(entry["changes"], changes(ws.state)) if "changes" in entry else math.inf
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
