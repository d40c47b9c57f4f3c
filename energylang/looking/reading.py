"""Which basins do the tokens of the held-out text settle in, in the live model?"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import Registry
from energylang.looking.basins import known_basins
from energylang.looking.tokens import Reading, live_states, placed
from energylang.workspace.workspace import Workspace, check_layer


def live_registry(ws: Workspace, layer: int) -> tuple[Landscape, Registry]:
    """The live landscape of a layer and the basins known in it; a layer that was never surveyed is surveyed."""
    check_layer(ws.model, layer)
    here, state = ws.state, ws.state.layers[layer]
    live = ws.live(layer)
    if not live.surveyed:
        try:
            if live is not ws.staged(layer):
                layers = [*here.layers]
                layers[layer] = state.with_staged(live)
                ws.state = replace(here, layers=tuple(layers))
            known_basins(ws, layer)
        finally:
            ws.state = here
    return ws.landscape_of(layer, live), live.registry


@torch.no_grad()
def read(ws: Workspace, layer: int, windows: Tensor, *, register: bool = True) -> Reading:
    """In which basin of the live layer does every token of the windows (w, t) settle?"""
    live_registry(ws, layer)
    states = live_states(ws, windows, layer)
    found = placed(ws, layer, ws.live(layer), states, register=register)
    return Reading(windows.tolist(), found)
