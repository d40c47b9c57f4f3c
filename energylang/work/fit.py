"""A landscape for a layer that has none: read, fitted in closed form, measured on other text, kept with the state."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.files.examples import words_of
from energylang.files.storage import located
from energylang.landscape.attractors import FIXED_POINT
from energylang.landscape.coverage import BASINS, Chosen, Coverage, Share, choose, measure
from energylang.landscape.fitted import ROOM, Fitted
from energylang.landscape.fitted import fit as planted
from energylang.landscape.layer import residual
from energylang.landscape.lineage import Registry
from energylang.landscape.stability import spectrum
from energylang.workspace.execution import with_threads
from energylang.workspace.history import FittedState
from energylang.workspace.named import keep_registry
from energylang.workspace.versions import Version
from energylang.workspace.workspace import Workspace, check_layer

_UNSEEN = 1 / 3  # as many tokens are measured as are fitted, times this


@torch.no_grad()
def fit(
    ws: Workspace,
    layer: int,
    basins: int | None,
    components: int | None,
    seed: int,
    seeds: int,
    text: str | None,
    tokens: int,
) -> results.Fitting:
    """Read, fit and measure; the layer has a landscape from here on. One that it had is replaced."""
    started = time.perf_counter()
    check_layer(ws.model, layer)
    if ws.model.landscape:
        raise ElError(
            f"L{layer} of {ws.model.spec} is a landscape already",
            code="EL253",
            hint=f"`survey L{layer}` shows its basins",
        )
    room = ws.model.dims[layer] // ROOM
    if basins is not None and basins > room:
        raise ElError(
            f"{basins} basins do not fit into the {ws.model.dims[layer]} dimensions of L{layer}",
            code="EL206",
            hint=f"at most {room} do",
        )
    if basins is None and room < min(BASINS):
        basins = room
    windows, unseen, of = _windows(ws, text, tokens)
    fitting, new = (_read(ws, layer, each, seeds) for each in (windows, unseen))
    with with_threads(1):  # components and groups have the same bits, whatever the threads of the session
        draws = ws.generator("fit", layer, seed)
        found: Chosen | None = None
        if basins is None or components is None:
            _tell(ws, seeds, "sizes")
            found = choose(fitting[0], draws, components=components, basins=basins, dim=ws.model.dims[layer])
            basins, components = basins or found.basins, components or found.components
        made: list[tuple[Fitted, Coverage]] = []
        for k in range(seeds):
            _tell(ws, seeds, "seeds" if seeds > 1 else "groups", k)
            one = _by_use(
                planted(
                    fitting[0],
                    fitting[1],
                    basins,
                    components,
                    ws.generator("fit", layer, seed + k),
                    dim=ws.model.dims[layer],
                )
            )
            made.append((one, measure(one, new[0], new[1], texts=new[2])))
        fitted, measured = made[0]
        stability, attracts = spectrum(fitted.landscape, fitted.centres)
        resting = residual(fitted.landscape, fitted.centres) < FIXED_POINT
    replaced = ws.fitted(layer) is not None
    _give(ws, layer, fitted)
    return results.Fitting(
        layer=layer,
        basins=len(fitted),
        components=components,
        dim=fitted.dim,
        chosen=() if found is None else _chosen_of(found),
        attracting=int((attracts & resting).sum()),
        stability=float(stability.max()),
        coverage=_share(measured.coverage),
        chance=_share(measured.chance),
        own=_share(measured.own),
        explained=_share(measured.explained or Share(math.nan, math.nan, 0)),
        components_explained=fitted.components.explained,
        empty=int((fitted.counts == 0).sum()),
        tokens=len(fitting[0]),
        unseen=len(new[0]),
        of=of,
        seed=seed,
        replaced=replaced,
        tried=()
        if found is None
        else tuple(
            results.Size(*size, each.coverage.value, each.chance.value) for size, each in found.tried.items()
        ),
        over_seeds=_over_seeds([each for _, each in made]),
        seconds=time.perf_counter() - started,
    )


def _chosen_of(found: Chosen) -> tuple[str, ...]:
    """Which numbers were chosen: those of which several were tried."""
    names = ("components", "basins")
    return tuple(name for k, name in enumerate(names) if len({size[k] for size in found.tried}) > 1)


def _windows(ws: Workspace, path: str | None, tokens: int) -> tuple[Tensor, Tensor, str]:
    """(w, t) windows to fit, and others (u, t) to measure by; and of which text they are."""
    text = ws.text
    if path is None:
        fitting, unseen, of = text.choosing_windows(), text.measuring_windows(), "the held-out text"
    else:
        words = words_of(located(path, ws.base), path)
        every = text.windows(tokens=torch.tensor(text.encode(words), dtype=torch.int64))
        cut = len(every) * 3 // 4
        fitting, unseen, of = every[:cut], every[cut:], path
    if not len(fitting) or not len(unseen):
        raise ElError(
            f"{of} is too short to fit a landscape to and to measure it by",
            code="EL503",
            hint="some thousands of words are needed",
        )
    length = fitting.shape[1] - 1
    return (
        fitting[: max(1, tokens // length), :-1],
        unseen[: max(1, round(_UNSEEN * tokens / length)), :-1],
        of,
    )


def _read(ws: Workspace, layer: int, windows: Tensor, seeds: int) -> tuple[Tensor, Tensor, Tensor]:
    """(n, m) what the layer's MLP reads at all places of the windows but the first of each, (n, d) what it answers, and
    (n,) the number of the window; with everything that is staged, but without a landscape of this layer."""
    text = ws.text
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(given: Tensor, said: Tensor) -> Tensor:
        kept.append((given[:, 1:].float().flatten(0, 1), said[:, 1:].float().flatten(0, 1)))
        return said

    staged = ws.running({i: at for i, at in enumerate(ws.state.layers) if not at.is_live})
    own = ws.fitted(layer)
    unedited = {} if own is None else {layer: own.weight}
    change = replace(staged, mlp={layer: keep}, landscapes={**staged.landscapes, **unedited})
    done = 0
    for part in text.chunks(windows):
        _tell(ws, len(windows) * windows.shape[1], "tokens", done)
        nowhere = torch.zeros_like(part, dtype=torch.bool)
        text.run(part, change, wanted=nowhere, read=(layer,))
        done += part.numel()
    inputs, outputs = (torch.cat(each) for each in zip(*kept, strict=True))
    owner = torch.arange(len(windows)).repeat_interleave(windows.shape[1] - 1)
    return inputs, outputs, owner


def _tell(ws: Workspace, whole: int, what: str, done: int = 0) -> None:
    if ws.watcher is not None:
        ws.watcher(done, max(1, whole), what)


def _by_use(fitted: Fitted) -> Fitted:
    """The landscape with its basins in the order in which they get their numbers: that with most tokens first."""
    order = torch.sort(fitted.counts, descending=True, stable=True).indices
    return replace(
        fitted,
        groups=fitted.groups[order],
        patterns=fitted.patterns[order],
        centres=fitted.centres[order],
        counts=fitted.counts[order],
        contents=None if fitted.contents is None else fitted.contents[order],
    )


def _give(ws: Workspace, layer: int, fitted: Fitted) -> None:
    """Make it the layer's landscape, with its basins known by their numbers."""
    name = f"L{layer}.landscape.{ws.timeline.next_id()}"
    version = Version(name, None, None, None, fitted.weight)
    before = ws.state.layers[layer]
    ws.set_layer(layer, replace(before, fit=FittedState(fitted, version, version)))
    landscape = ws.landscape_of(layer)
    registry, ids = Registry().with_centres(landscape, fitted.centres.to(landscape.weight))
    counts = Counter(dict(zip(ids, fitted.counts.tolist(), strict=True)))
    registry = registry.with_tokens(counts, int(fitted.counts.sum()))
    marked = tuple(replace(basin, installed=True) for basin in registry.basins)
    keep_registry(ws, version, replace(registry, basins=marked), surveyed=True)


def _share(share: Share) -> results.Measure:
    return results.Measure(share.value, None if math.isnan(share.error) else share.error, share.tokens)


def _over_seeds(measured: Sequence[Coverage]) -> results.SeedsOfFit | None:
    if len(measured) < 2:
        return None

    def both(values: Iterator[float]) -> tuple[float, float]:
        found = list(values)
        return statistics.fmean(found), statistics.stdev(found)

    coverage = both(each.coverage.value for each in measured)
    own = both(each.own.value for each in measured)
    chance = both(each.chance.value for each in measured)
    return results.SeedsOfFit(len(measured), *coverage, *own, *chance)
