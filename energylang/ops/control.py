"""Control: the model, the settings, and what is staged, live and saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylang import results
from energylang.errors import ElError
from energylang.signature import types as t
from energylang.signature.coerce import coerce
from energylang.signature.declaration import Effect, Example, Flow, Param, operation
from energylang.signature.settings import SETTINGS

from .observe import LAYER

if TYPE_CHECKING:
    from energylang.session import Session


@operation(
    "load",
    category="Control",
    summary="Load a model.",
    details="A bundled name (tiny), a sandbox (random:256, random:256x4, planted:256x20), or the path of a "
    ".safetensors, .pt or .pth file. Concepts and history belong to the model before and are left behind; with "
    "session=true those that `save … session=true` wrote come back, and undo goes on from there.",
    params=(
        Param("model", t.MODEL, "a bundled name, random:D, planted:DxK, or a path"),
        Param("session", t.BOOL, "with the session that is in the file", False, keyword_only=True),
    ),
    effects=Effect.LOADS | Effect.FILES,
    result=results.Info,
    examples=(
        Example("load random:32", "it.num_layers == 1 and it.dims[0] == 32"),
        Example(
            'inject L0 42\nsave "work.safetensors" session=true\nload "work.safetensors" session=true',
            "it.num_layers == 1 and (verify L0 42).is_basin and (undo).is_original",
        ),
    ),
)
def load(owner: Session, /, model: str, session: bool) -> results.Info:
    owner.read_model(model, whole=session)
    return _info(owner)


@operation(
    "info",
    category="Control",
    summary="What the model is and what it can do.",
    result=results.Info,
    examples=(Example("info", 'it.kind == "sandbox" and it.dims[0] == 64'),),
)
def info(session: Session) -> results.Info:
    return _info(session)


def _info(session: Session) -> results.Info:
    model = session.model
    header = model.header
    return results.Info(
        model=header.spec,
        kind=header.kind,
        num_layers=model.num_layers,
        dims=tuple(header.dims),
        betas=tuple(model.beta(layer) for layer in range(model.num_layers)),
        degree=header.degree,
        parameters=header.parameters,
        vocabulary=header.vocabulary,
        capabilities=("landscape", *sorted(header.capabilities)),
        hash=session.original_hash,
    )


@operation(
    "set",
    category="Control",
    summary="Change a setting of the session.",
    details="\n".join(f"{param.name}: {param.help} ({param.range_text()})" for param in SETTINGS.values()),
    params=(
        Param("setting", t.CHOICE, "which", choices=tuple(SETTINGS)),
        Param("value", t.VALUE, "the new value"),
    ),
    effects=Effect.CHANGES | Effect.ALWAYS,
    result=results.Setting,
    examples=(
        Example("set inits 50", "it.value == 50 and (survey L0).inits == 50"),
        Example("set beta 3.5", "(survey L0).beta == 3.5"),
    ),
)
def set_(session: Session, setting: str, value: float | str) -> results.Setting:
    before = session.setting(setting)
    after = coerce(SETTINGS[setting], value)
    session.change_setting(setting, after)
    return results.Setting(setting, after, before)


@operation(
    "apply",
    category="Control",
    summary="Write the staged weight into the live model.",
    params=(Param("layer", t.LAYERS, "a layer, or layers for all of them"),),
    effects=Effect.CHANGES,
    flow=Flow(applies="layer"),
    result=results.Applied,
    examples=(
        Example("inject L0 42\napply L0", "it.changed and (status).live_hash == it.hash"),
        Example("apply layers", "not it.changed"),
    ),
)
def apply(session: Session, layer: tuple[int, ...]) -> results.Applied:
    before = session.live_hash()
    chosen = layer or tuple(range(session.model.num_layers))
    for index in chosen:
        session.make_live(index)
    after = session.live_hash()
    return results.Applied(chosen, after != before, after)


@operation(
    "restore",
    category="Control",
    summary="Bring back a layer's original weight, bit for bit, staged and live.",
    params=(LAYER,),
    effects=Effect.CHANGES,
    flow=Flow(revives="layer"),
    result=results.Applied,
    examples=(Example("inject L0 42\napply L0\nrestore L0", "it.changed and it.hash == (info).hash"),),
)
def restore(session: Session, layer: int) -> results.Applied:
    return _restore(session, (layer,))


@operation(
    "restore-all",
    category="Control",
    summary="Bring back every layer's original weight.",
    effects=Effect.CHANGES,
    flow=Flow(revives="*"),
    result=results.Applied,
    examples=(Example("inject L0 42\nrestore-all", "(status).is_original"),),
)
def restore_all(session: Session) -> results.Applied:
    return _restore(session, tuple(range(session.model.num_layers)))


def _restore(session: Session, layers: tuple[int, ...]) -> results.Applied:
    before = session.live_hash(), session.staged_hash()
    for layer in layers:
        session.make_original(layer)
    after = session.live_hash(), session.staged_hash()
    return results.Applied(layers, before != after, after[0])


@operation(
    "status",
    category="Control",
    summary="What is original, staged and live, layer by layer.",
    result=results.Status,
    examples=(
        Example("status", 'it.is_original and it.layers[0].state == "original"'),
        Example(
            "inject L0 42\nstatus", 'it.layers[0].state == "staged" and it.live_hash == it.original_hash'
        ),
    ),
)
def status(session: Session) -> results.Status:
    layers = tuple(_layer_status(session, index) for index in range(session.model.num_layers))
    staged = session.staged_hash()
    return results.Status(
        model=session.model.spec,
        layers=layers,
        concepts=len(session.state.concepts),
        undoable=session.timeline.undoable,
        redoable=session.timeline.redoable,
        original_hash=session.original_hash,
        live_hash=session.live_hash(),
        staged_hash=staged,
        is_original=staged == session.original_hash == session.live_hash(),
    )


def _layer_status(session: Session, index: int) -> results.LayerStatus:
    layer = session.state.layers[index]
    if layer.staged is layer.live:
        state = "live" if layer.staged.depth else "original"
    else:
        state = "live, staged" if layer.live.depth else "staged"
    registry = layer.staged.registry
    basins = registry.basins
    refused = sum(
        entry.status in ("REFUSED", "BLOCKED") and entry.layer == index for entry in session.timeline.log
    )
    return results.LayerStatus(
        layer=index,
        state=state,
        edits=layer.staged.depth,
        refused=refused,
        basins=sum(basin.status == "alive" for basin in basins),
        lost=sum(basin.status == "lost" for basin in basins),
        relative_norm=session.relative_change(index),
        met=sum(map(registry.is_current, registry.alive())) if registry.last is not None else None,
    )


def unsavable(path: str, session: bool) -> ElError | None:
    """Why a model cannot be saved there, as far as the path says; the checker asks, too."""
    whole = path.endswith(".safetensors")
    if whole or (path.endswith((".pt", ".pth")) and not session):
        return None
    hint = (
        "a session is saved as .safetensors" if session else "models are saved as .safetensors, or as .pt"
    ) + "; end the path in that"
    return ElError(f"cannot save to {path}", code="EL504", hint=hint)


@operation(
    "save",
    category="Control",
    summary="Write the model with everything staged into a file that load reads back.",
    details="The file is written beside its place and moved there when it is complete. A .pt file holds tensors in the "
    "layout of the published tool, and the concepts; the words of a text model are in .safetensors files alone. With "
    "session=true it also holds the whole session: the tree of changes, concepts, settings, guards, basins; "
    "`load … session=true` brings it back. Variables and procedures of a script are not kept.",
    params=(
        Param("path", t.PATH, "ends in .safetensors, or in .pt: the published tool's layout, without words"),
        Param("session", t.BOOL, "the history and all that it knows as well", False, keyword_only=True),
    ),
    effects=Effect.FILES,
    flow=Flow(keeps=True),
    result=results.Saved,
    examples=(
        Example('inject L0 42\nsave "edited.safetensors"', "it.hash == (status).staged_hash"),
        Example(
            'inject L0 42\nundo\nsave "work.safetensors" session=true',
            "it.session and it.hash == (status).staged_hash",
        ),
    ),
)
def save(owner: Session, /, path: str, session: bool) -> results.Saved:
    objection = unsavable(path, session)
    if objection is not None:
        raise objection
    written, size = owner.write_model(path, whole=session)
    return results.Saved(written, size, owner.staged_hash(), session)


@operation(
    "diff",
    category="Safety",
    summary="A layer's staged weight against the original, or against another place in the history.",
    params=(
        LAYER,
        Param(
            "since",
            t.INT,
            "a place out of `history` to compare with; without it the original",
            None,
            minimum=0,
            maximum=10**12,
            keyword_only=True,
        ),
    ),
    effects=Effect.READS,
    result=results.Diff,
    examples=(
        Example("diff L0", "not it.changed and it.norm == 0"),
        Example("survey L0\ninject L0 42\ndiff L0", "it.changed and it.rank >= 1 and it.edits == 1"),
        Example(
            "set max_changed 20%\ninject L0 42\ninject L0 43\ndiff L0 since=2",
            "it.edits == 1 and it.since == 2 and it.changed",
        ),
        Example("inject L0 42\nundo\ndiff L0 since=1", "it.changed and it.edits == 1"),
    ),
)
def diff(session: Session, layer: int, since: int | None) -> results.Diff:
    return session.difference(layer, since)
