"""The model: loading, settings, what is staged and what is live, saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from energylang import results
from energylang.concepts import published
from energylang.errors import ElError
from energylang.files.storage import check_regular, check_writable, located
from energylang.looking.about import about
from energylang.models import checkpoint
from energylang.models.index import PT_SUFFIXES
from energylang.signature.coerce import coerce
from energylang.signature.saving import PRETRAINED, unsavable
from energylang.signature.settings import SETTINGS
from energylang.workspace import whole
from energylang.workspace.named import staged_made_live
from energylang.workspace.workspace import Workspace, check_layer


def load(ws: Workspace, model: str, session: bool) -> results.Info:
    """Load a model and begin anew with it, or (``session``) where the session in its file stood; on an error the
    workspace keeps the model it had."""
    found = ws.loader(model, base=ws.base, watch=ws.watcher)
    tensors, about = whole.taken_from(found)
    if session and found.header.kind == PRETRAINED:
        tensors, about = whole.beside(Path(str(found.metadata["folder"])))
    if not session:
        ws.adopt(found)
    elif about is None:
        raise ElError(
            f"there is no session in {model}", code="EL503", hint=f'`save "{model}" session=true` writes one'
        )
    else:
        whole.restored(ws, found, tensors, about)
    return info(ws)


def info(ws: Workspace) -> results.Info:
    """What the model is and what it can do."""
    model = ws.model
    betas = tuple(model.beta(layer) for layer in range(model.num_layers if model.landscape else 0))
    return replace(about(model.header), betas=betas, hash=ws.original_hash)


def set_(ws: Workspace, setting: str, value: float | str) -> results.Setting:
    before = ws.setting(setting)
    after = coerce(SETTINGS[setting], value)
    if setting == "device" and after != "cpu" and not torch.cuda.is_available():
        raise ElError(
            f"there is no {after} device here", code="EL502", hint="`set device cpu` works everywhere"
        )
    ws.state = replace(ws.state, settings={**ws.state.settings, setting: after})
    return results.Setting(setting, after, before)


def apply(ws: Workspace, layer: tuple[int, ...]) -> results.Applied:
    before = ws.live_hash()
    chosen = layer or tuple(range(ws.model.num_layers))
    for index in chosen:
        make_live(ws, index)
    after = ws.live_hash()
    return results.Applied(chosen, after != before, after)


def restore(ws: Workspace, layer: int) -> results.Applied:
    return _restore(ws, (layer,))


def restore_all(ws: Workspace) -> results.Applied:
    return _restore(ws, tuple(range(ws.model.num_layers)))


def _restore(ws: Workspace, layers: tuple[int, ...]) -> results.Applied:
    before = ws.live_hash(), ws.staged_hash()
    for layer in layers:
        state = ws.state.layers[layer]
        if state.depth or state.live_depth:
            ws.set_layer(layer, state.as_loaded)
    after = ws.live_hash(), ws.staged_hash()
    return results.Applied(layers, before != after, after[0])


def status(ws: Workspace) -> results.Status:
    layers = tuple(_layer_status(ws, index) for index in range(ws.model.num_layers))
    staged = ws.staged_hash()
    return results.Status(
        model=ws.model.spec,
        layers=layers,
        concepts=len(ws.state.concepts),
        undoable=ws.timeline.undoable,
        redoable=ws.timeline.redoable,
        original_hash=ws.original_hash,
        live_hash=ws.live_hash(),
        staged_hash=staged,
        is_original=staged == ws.original_hash == ws.live_hash(),
        held=tuple(str(each) for each in ws.state.interventions.values()),
    )


def _layer_status(ws: Workspace, index: int) -> results.LayerStatus:
    layer = ws.state.layers[index]
    if layer.is_live:
        state = "live" if layer.depth else "original"
    else:
        state = "live, staged" if layer.live_depth else "staged"
    registry = layer.landscape.staged.registry
    basins = registry.basins
    refused = sum(
        entry.status in ("REFUSED", "BLOCKED") and entry.layer == index for entry in ws.timeline.log
    )
    return results.LayerStatus(
        layer=index,
        state=state,
        edits=layer.depth,
        refused=refused,
        basins=sum(basin.status == "alive" for basin in basins),
        lost=sum(basin.status == "lost" for basin in basins),
        relative_norm=relative_change(ws, index),
        met=sum(map(registry.is_current, registry.alive())) if registry.last is not None else None,
    )


def save(ws: Workspace, path: str, session: bool) -> results.Saved:
    objection = unsavable(path, session, ws.model.header.kind)
    if objection is not None:
        raise objection
    edited = [f"L{i}" for i, at in enumerate(ws.state.layers) if at.fit is not None and at.fit.staged.depth]
    if edited and not session:
        raise ElError(
            f"the landscape that {edited[0]} was given is edited, and no weight of the model holds that",
            code="EL504",
            hint=f"`save … session=true` keeps it beside the weights; or `restore {edited[0]}` first",
        )
    written, size = write_model(ws, path, session)
    return results.Saved(written, size, _written_hash(ws), session)


def _written_hash(ws: Workspace) -> str:
    """The hash of the model in the file: what is staged, as the precision of the file keeps it."""
    tensors = {}
    for index, state in enumerate(ws.state.layers):
        name, weight = ws.model.weight_key(index), ws.weight(state.staged)
        kept = ws.model.stored.get(name)
        tensors[name] = weight if kept is None or not state.staged.depth else weight.to(kept).to(weight.dtype)
    return ws.hash_with(tensors)


def relative_change(ws: Workspace, layer: int) -> float:
    """``‖ΔW‖/‖W‖`` of the staged weight against the original."""
    version = ws.staged(layer) if ws.staged(layer).depth else ws.memory(layer)
    if version.depth == 0:
        return 0.0
    original = ws.weight(version.root).double()
    change = torch.linalg.matrix_norm(ws.weight(version).double() - original)
    size = float(torch.linalg.matrix_norm(original))
    return float(change) / size if size else float(change)


def make_live(ws: Workspace, layer: int) -> None:
    """Write a layer's staged weight into the live model."""
    check_layer(ws.model, layer)
    state = ws.state.layers[layer]
    if not state.is_live:
        ws.set_layer(layer, state.all_live)


def write_model(ws: Workspace, path: str, session: bool = False) -> tuple[str, int]:
    """Write the model with everything staged, and (``session``) all that is known; the path as given and the size."""
    target = located(path, ws.base)
    if ws.model.header.kind == PRETRAINED:
        return path, _write_folder(ws, target, session)
    check_writable(target)
    if target.suffix in PT_SUFFIXES:
        return path, published.write_published(ws, path, published.session_data(ws))
    tensors, about = whole.written(ws) if session else ({}, None)
    with staged_made_live(ws) as model:
        checkpoint.save(model, target, extra=tensors, notes=whole.notes(model, about))
    return path, check_regular(target)


def _write_folder(ws: Workspace, target: Path, session: bool) -> int:
    """Write a pretrained model as a folder of the transformers library, and (``session``) all that is known in a file
    of it; the bytes written."""
    from energylang.models.pretrained.saving import save as save_folder

    with staged_made_live(ws) as model:
        size = save_folder(model, target)
    return size + (whole.write_beside(ws, target) if session else 0)
