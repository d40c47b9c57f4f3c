"""A whole session in a file: what is staged and live, every version, concept, setting, and the tree of changes.

``written`` turns what undo restores into plain data and stacked tensors, ``restored`` turns them back:

1. Every object that the history reaches (states, versions, registries, concepts …) gets a number; a field is a plain
   value or the number of an object. Identity is kept, because the history compares states by identity.
2. Weights are called by the number of their layer, or by their own name where no layer is read through them.
3. Tensors of one dtype and shape are stacked into one, so that thousands of basin centres are a few entries.
4. A version's dense weight is not written: it is the original weight and the factors added in order, bit for bit.

Only the classes named here are ever made, and their fields filled; nothing in a file is run. What a script called
something (variables, procedures) is not part of a session's state and is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.files.storage import write_atomic
from energylang.landscape.components import Components
from energylang.landscape.fitted import Fitted
from energylang.landscape.lineage import KnownBasin, Registry
from energylang.landscape.lowrank import LowRank
from energylang.results import LayerFit
from energylang.workspace.workspace import Workspace

from .history import (
    Concept,
    FittedState,
    Holding,
    LayerState,
    LogEntry,
    MeasuredBy,
    Push,
    Scaling,
    State,
    Timeline,
    TreeNode,
)
from .versions import Version

if TYPE_CHECKING:
    from energylang.models.model import Model


PREFIX = "session."
_CLASSES: dict[str, type[Any]] = {
    **{
        kind.__name__: kind
        for kind in (
            State,
            LayerState,
            FittedState,
            Fitted,
            Components,
            Concept,
            Holding,
            Push,
            Scaling,
            MeasuredBy,
            LowRank,
            Registry,
            LayerFit,
            LogEntry,
            Version,
        )
    },
    "Basin": KnownBasin,
    "Node": TreeNode,
}
_NAMES = {
    kind: name for name, kind in _CLASSES.items()
}  # in files; names of classes may change, these may not
_OF_VERSION = ("name", "parent", "factors", "edit", "depth", "root", "registry", "surveyed", "own", "starts")


def written(ws: Workspace, *, all_originals: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description of a session, to be written beside its model's. Without ``all_originals`` the
    original weights are those of edited layers alone: the model's own are the others'."""
    timeline = ws.timeline
    writer = _Writer(_numbers(ws.model), ws.model.live)
    top = {
        "state": ws.state,
        "root": timeline.root,
        "current": timeline.current,
        "log": tuple(timeline.log),
        "nodes": timeline.nodes,
        "checkpoints": timeline.checkpoints,
    }
    about = {name: writer.reference(value) for name, value in top.items()}
    writer.finish()
    tensors = writer.stacked()
    for index, layer in enumerate(ws.state.layers):
        if all_originals or layer.depth or layer.live_depth:
            tensors[f"{PREFIX}original.{index}"] = ws.weight(layer.staged.root)
    return tensors, {
        **about,
        "items": writer.items,
        "next": timeline.next_id(),
        "next_basin": sorted(
            ((writer.numbers.get(name, name), id) for name, id in timeline.next_basin.items()), key=str
        ),
        "original_hash": ws.original_hash,
        "staged_hash": ws.staged_hash(),
    }


BESIDE = "energylang-session.safetensors"
"""In the folder of a pretrained model."""


def write_beside(ws: Workspace, folder: Path) -> int:
    """Write a session into the folder of its model; the bytes written."""
    return write_file(ws, folder / BESIDE, all_originals=False)


def write_file(
    ws: Workspace, path: Path, more: Mapping[str, Any] | None = None, *, all_originals: bool = True
) -> int:
    """Write a session into a file of its own, without its model, and plain data with it; the bytes written."""
    tensors, about = written(ws, all_originals=all_originals)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    texts = {"session": about} if more is None else {"session": about, "more": more}
    described = {name: json.dumps(text, separators=(",", ":")) for name, text in texts.items()}
    try:
        data = safetensors.torch.save(plain, described)
    except safetensors.SafetensorError as error:  # what is described is longer than the format allows
        raise CheckpointError(f"the session cannot be written: {error}") from None
    write_atomic(path, data)
    return len(data)


def beside(folder: Path) -> tuple[dict[str, Tensor], Any]:
    """What ``write_beside`` wrote into a folder; (nothing, None) where there is nothing. Raises ``CheckpointError``."""
    path = folder / BESIDE
    if not path.is_file():
        return {}, None
    tensors, about, _ = read_file(path)
    return tensors, about


def read_file(path: Path) -> tuple[dict[str, Tensor], Any, dict[str, Any]]:
    """What ``write_file`` wrote: tensors, the session's description, and the plain data. Raises ``CheckpointError``."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            texts = file.metadata()
            about, more = json.loads(texts["session"]), json.loads(texts.get("more", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            return tensors, about, dict(more)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"the session in {path} cannot be read: {error}",
            hint="the file is damaged; without session=true its model loads",
        ) from None


def notes(model: Model, about: dict[str, Any] | None) -> dict[str, Any] | None:
    """The notes of a model's file with a session's description among them; ``None`` where there is none to add."""
    before = model.metadata.get("notes")
    if about is None:
        return None
    return {**(before if isinstance(before, dict) else {}), "session": about}


def taken_from(model: Model) -> tuple[dict[str, Tensor], Any]:
    """Take what ``written`` added out of a model that was just read; (nothing, None) where there is nothing."""
    names = [name for name in model.extra if name.startswith(PREFIX)]
    tensors = {name: model.extra.pop(name) for name in names}
    notes = model.metadata.get("notes")
    about = None
    if isinstance(notes, dict) and "session" in notes:
        rest = {name: note for name, note in notes.items() if name != "session"}
        about = notes["session"]
        model.metadata["notes"] = rest
        if not rest:
            del model.metadata["notes"]
    return tensors, about


def restored(ws: Workspace, model: Model, tensors: Mapping[str, Tensor], about: Any) -> None:
    """Begin with ``model`` where the session in its file stood."""
    damaged = CheckpointError(
        f"the session in {model.spec} cannot be read",
        hint="the file is damaged; without session=true its model loads",
    )
    try:
        for index in range(model.num_layers):
            original = tensors.get(f"{PREFIX}original.{index}")
            if original is not None:
                model.put(model.weight_key(index), original)
        ws.adopt(model)
        names = {number: name for name, number in _numbers(model).items()}
        reader = _Reader(tensors, about["items"], names, model)
        state, root, current, log, nodes, checkpoints = (
            reader.value(about[name]) for name in ("state", "root", "current", "log", "nodes", "checkpoints")
        )
        timeline = Timeline(state)
        timeline.root, timeline.current, timeline.log = root, current, list(log)
        timeline.nodes, timeline.checkpoints, timeline._next = nodes, checkpoints, int(about["next"])
        ws.timeline = timeline
        ws.timeline.next_basin = {names.get(layer, layer): int(id) for layer, id in about["next_basin"]}
        ws.restore_state(state)
        same = (ws.original_hash, ws.staged_hash()) == (
            about["original_hash"],
            about["staged_hash"],
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise damaged from None
    if not same:
        raise damaged


def _numbers(model: Model) -> dict[str, int]:
    """The layer that reads each weight, by the weight's name."""
    return {model.weight_key(layer): layer for layer in range(model.num_layers)}


class _Writer:
    def __init__(self, numbers: dict[str, int], live: Mapping[str, Tensor]) -> None:
        self.numbers, self.live = numbers, live
        self.items: list[Any] = []
        self._objects: list[Any] = []  # numbered; kept, so that no id is given twice
        self._number: dict[int, int] = {}
        self._tensors: dict[tuple[torch.dtype, tuple[int, ...]], list[Tensor]] = {}

    def reference(self, value: Any) -> Any:
        """A plain value, or ``[number]`` of an object."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if id(value) not in self._number:
            self._number[id(value)] = len(self._objects)
            self._objects.append(value)
        return [self._number[id(value)]]

    def finish(self) -> None:
        """Describe all that was referred to, and all that this refers to."""
        while len(self.items) < len(self._objects):
            self.items.append(self._described(self._objects[len(self.items)]))

    def _described(self, value: Any) -> list[Any]:
        if isinstance(value, Tensor):
            group = self._tensors.setdefault((value.dtype, tuple(value.shape)), [])
            group.append(value.detach().cpu())
            return ["tensor", _group_name(value.dtype, tuple(value.shape)), len(group) - 1]
        if isinstance(value, Version):
            given = {name: self.reference(getattr(value, name)) for name in _OF_VERSION[1:]}
            if value.parent is None and value.name not in self.live:  # no weight of the model: a landscape's
                given["original"] = self.reference(value.keyframe)
            return ["Version", {"layer": self.numbers.get(value.name, value.name), **given}]
        if type(value) in _NAMES:
            given = {item.name: self.reference(getattr(value, item.name)) for item in fields(value)}
            return [_NAMES[type(value)], given]
        if isinstance(value, Mapping):
            return ["dict", [[self.reference(key), self.reference(part)] for key, part in value.items()]]
        if isinstance(value, tuple | list):
            return ["tuple" if isinstance(value, tuple) else "list", [self.reference(part) for part in value]]
        if isinstance(value, frozenset):
            return ["frozenset", [self.reference(part) for part in sorted(value)]]
        raise TypeError(f"a session cannot keep {type(value).__name__}")

    def stacked(self) -> dict[str, Tensor]:
        return {_group_name(*key): torch.stack(group) for key, group in self._tensors.items()}


class _Reader:
    def __init__(
        self, tensors: Mapping[str, Tensor], items: Any, names: dict[int, str], model: Model
    ) -> None:
        self._tensors, self._items, self._names, self._model = tensors, items, names, model
        self._made: dict[int, Any] = {}
        self._pending: list[tuple[Any, dict[str, Any]]] = []

    def value(self, reference: Any) -> Any:
        """What a reference means, and with it all that it refers to."""
        found = self._get(reference)
        while self._pending:
            made, given = self._pending.pop()
            if isinstance(made, list):
                made.extend(self._get(part) for part in given["parts"])
            elif isinstance(made, dict):
                made.update((self._get(key), self._get(part)) for key, part in given["parts"])
            else:
                self._fill(made, given)
        for made in self._made.values():
            if isinstance(made, Version) and made.starts is None:  # the file is older than that field
                made.begun(made.registry)
        return found

    def _fill(self, made: Any, given: dict[str, Any]) -> None:
        if isinstance(made, Version):
            weight = given["layer"]
            given = {**given, "name": self._names.get(weight, weight)}
        names = _OF_VERSION if isinstance(made, Version) else [item.name for item in fields(made)]
        later = {"starts": None} if isinstance(made, Version) else _defaults(type(made))
        for name in names:
            if name in given or name not in later:  # a file may be older than a field
                object.__setattr__(made, name, self._get(given[name]))
            else:
                object.__setattr__(made, name, later[name])
        if isinstance(made, Version):
            made.keyframe = None
            if made.parent is None:
                own = given.get("original")
                made.keyframe = self._model.live[made.name].detach() if own is None else self._get(own)

    def _get(self, reference: Any) -> Any:
        if not isinstance(reference, list):
            return reference
        number = int(reference[0])
        if number in self._made:
            return self._made[number]
        kind, *rest = self._items[number]
        made: Any
        if kind == "tensor":
            made = self._tensors[rest[0]][rest[1]].clone()
        elif kind in ("tuple", "frozenset"):
            parts = [self._get(part) for part in rest[0]]
            made = tuple(parts) if kind == "tuple" else frozenset(parts)
        elif kind in ("list", "dict"):
            made = [] if kind == "list" else {}
            self._pending.append((made, {"parts": rest[0]}))
        else:
            made = object.__new__(_CLASSES[kind])
            self._pending.append((made, rest[0]))
        self._made[number] = made
        return made


def _defaults(kind: type) -> dict[str, Any]:
    """What the fields of a record hold where nothing is said."""
    return {item.name: item.default for item in fields(kind) if item.default is not MISSING}


def _group_name(dtype: torch.dtype, shape: tuple[int, ...]) -> str:
    return f"{PREFIX}{str(dtype).removeprefix('torch.')}.{'x'.join(map(str, shape)) or 'scalar'}"
