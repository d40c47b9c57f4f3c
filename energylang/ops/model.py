"""Control: the model, the settings, and what is staged, live and saved."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param
from energylang.signature.settings import SETTINGS

from .observe import LAYER

load = Op(
    "load",
    summary="Load a model.",
    details="A bundled name (tiny), a sandbox (random:256, random:256x4, planted:256x20), a pretrained "
    "transformer (smollm2 once `el get` fetched it, hf:ORG/NAME from the hub's cache, a folder of "
    "Hugging Face, a .gguf file), or the path of a .safetensors, .pt or .pth file. Concepts and "
    "history belong to the model before and are left behind. With session=true those that `save … "
    "session=true` wrote come back, and undo continues from there.",
    params=(
        Param("model", t.MODEL, "a bundled name, random:D, planted:DxK, smollm2, hf:ORG/NAME, or a path"),
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

info = Op(
    "info",
    summary="What the model is and what it can do.",
    result=results.Info,
    examples=(Example("info", 'it.kind == "sandbox" and it.dims[0] == 64'),),
)

set_ = Op(
    "set",
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

apply = Op(
    "apply",
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

restore = Op(
    "restore",
    summary="Bring back a layer's original weight, bit for bit, staged and live.",
    params=(LAYER,),
    effects=Effect.CHANGES,
    flow=Flow(revives="layer"),
    result=results.Applied,
    examples=(Example("inject L0 42\napply L0\nrestore L0", "it.changed and it.hash == (info).hash"),),
)

restore_all = Op(
    "restore-all",
    summary="Bring back every layer's original weight.",
    effects=Effect.CHANGES,
    flow=Flow(revives="*"),
    result=results.Applied,
    examples=(Example("inject L0 42\nrestore-all", "(status).is_original"),),
)

status = Op(
    "status",
    summary="What is original, staged and live, layer by layer.",
    result=results.Status,
    examples=(
        Example("status", 'it.is_original and it.layers[0].state == "original"'),
        Example(
            "inject L0 42\nstatus", 'it.layers[0].state == "staged" and it.live_hash == it.original_hash'
        ),
    ),
)


save = Op(
    "save",
    summary="Write the model with everything staged into a file that load reads back.",
    details="The file is written next to its place and moved there when it is complete. A .pt file holds "
    "tensors in the layout of the published tool, and the concepts; the words of a text model are "
    "kept in .safetensors files only. With session=true it also holds the whole session: the tree of "
    "changes, concepts, settings, guards, basins; `load … session=true` brings it back. Variables and"
    " procedures of a script are not kept. Edits of a landscape that `fit` gave a layer are not in "
    "the weights: they are kept with the session only.",
    params=(
        Param(
            "path",
            t.PATH,
            "ends in .safetensors, or in .pt: the published tool's layout, without words; of a pretrained model a "
            "folder",
        ),
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
