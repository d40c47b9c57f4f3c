"""A layer's basins on a map of two or three dimensions: principal components of their centres, or UMAP."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.landscape.energy import lyapunov
from energylang.looking.basins import known_basins
from energylang.signature.values import BasinRef
from energylang.workspace.named import centre_of
from energylang.workspace.workspace import Workspace

from .basins import radii_of
from .tokens import NOTHING_HELD, held_in

if TYPE_CHECKING:
    from energylang.landscape.layer import Landscape
    from energylang.landscape.lineage import KnownBasin, Registry


def overview(ws: Workspace, layer: int) -> results.LandscapeMap:
    """The known basins on two principal components, without what takes longer: their radii, and what settles there."""
    return mapped(ws, layer, 2, "pca", radii=False, words=False)


def reach(ws: Workspace, layer: int, basin: int) -> tuple[float, float, float | None, bool]:
    """The radius of one living basin, its interval, and whether it lies in the range."""
    return radii_of(ws, layer, centre_of(ws, BasinRef(layer, basin))[None]).rows()[0]


def mapped(
    ws: Workspace, layer: int, dims: int, method: str, *, radii: bool = True, words: bool = True
) -> results.LandscapeMap:
    registry = known_basins(ws, layer)
    alive = registry.main()
    landscape = ws.landscape_of(layer)
    if not alive:
        return results.LandscapeMap(
            layer, method, dims, (0.0,) * dims, (), None, **_counts(registry, landscape)
        )
    centres = torch.stack([basin.centre for basin in alive]).to(landscape.weight)
    if method == "pca":
        places, explained = principal(centres, dims)
    else:
        places, explained = umap_places(centres, dims, int(ws.setting("seed"))), ()
    energies = lyapunov(landscape, centres).tolist()
    far: Sequence[tuple[float, float | None, float | None, bool | None]] = [
        (math.nan, None, None, None)
    ] * len(alive)
    if radii:
        far = radii_of(ws, layer, centres).rows()
    held = held_in(ws, layer) if words else {}
    padded = torch.nn.functional.pad(places, (0, 3 - dims)).tolist()
    points = tuple(
        results.MapPoint(
            basin.id,
            x,
            y,
            z,
            starts_in(registry, basin),
            energy,
            *reached,
            current=registry.is_current(basin),
            tokens=basin.tokens,
            top_tokens=held.get(basin.id, NOTHING_HELD).top_tokens,
            context=next(iter(held.get(basin.id, NOTHING_HELD).contexts), None),
        )
        for basin, (x, y, z), energy, reached in zip(alive, padded, energies, far, strict=True)
    )
    return results.LandscapeMap(layer, method, dims, explained, points, None, **_counts(registry, landscape))


def starts_in(registry: Registry, basin: KnownBasin) -> int:
    """The starts of the last survey that rest in a basin; after an edit, until the next survey, those before it."""
    before = registry.last is None and basin.seen_in > 0
    return basin.population if before or registry.is_current(basin) else 0


class _Counts(TypedDict):
    known: int
    met: int
    num_starts: int | None
    origin_population: int | None
    unsettled: int | None
    surveyed: bool
    symmetric: bool
    minor: int


def _counts(registry: Registry, landscape: Landscape) -> _Counts:
    starts, origin, unsettled = registry.last or (None, None, None)
    main = registry.main()
    return _Counts(
        known=len(main),
        met=sum(registry.is_current(basin) for basin in main),
        minor=len(registry.alive()) - len(main),
        num_starts=starts,
        origin_population=origin,
        unsettled=unsettled,
        surveyed=registry.last is not None,
        symmetric=landscape.symmetric,
    )


def principal(centres: Tensor, dims: int) -> tuple[Tensor, tuple[float, ...]]:
    """Principal coordinates (k, dims) of states (k, d), each axis with its largest weight positive, and the share of
    the variance along each."""
    centred = (centres - centres.mean(dim=0)).double()
    u, s, vt = torch.linalg.svd(centred, full_matrices=False)
    count = min(dims, len(s))
    signs = torch.sign(vt[:count].gather(1, vt[:count].abs().argmax(dim=1, keepdim=True)))[:, 0]
    places = torch.zeros(len(centres), dims, dtype=torch.float64)
    places[:, :count] = (u[:, :count] * s[:count] * torch.where(signs == 0, 1.0, signs)).cpu()
    whole = float(s.square().sum())
    explained = [float(value) ** 2 / whole if whole > 0 else 0.0 for value in s[:count]]
    return places, tuple(explained + [0.0] * (dims - count))


def umap_places(centres: Tensor, dims: int, seed: int) -> Tensor:
    """UMAP coordinates (k, dims) of states (k, d), by cosine; needs umap-learn."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice of its progress bar to notebooks
            import umap
    except ImportError:
        raise ElError(
            "UMAP is not installed", code="EL502", hint="pip install 'energylang[plot]', or method=pca"
        ) from None
    if len(centres) < dims + 3:
        raise ElError(f"{len(centres)} basins are too few for UMAP", code="EL502", hint="method=pca")
    reducer = umap.UMAP(
        n_components=dims,
        n_neighbors=min(15, len(centres) - 1),
        random_state=seed % 2**31,
        metric="cosine",
        n_jobs=1,
    )
    return torch.as_tensor(reducer.fit_transform(centres.double().cpu().numpy()), dtype=torch.float64)
