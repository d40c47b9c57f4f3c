"""A layer's basins on a map of two or three dimensions: principal components of their centres, or UMAP."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.landscape.energy import lyapunov
from energylang.landscape.probes import radius
from energylang.storage import write_atomic
from energylang.values import BasinRef

if TYPE_CHECKING:
    from .workbench import Workbench


def landscape_map(
    session: Workbench, layer: int, dims: int, method: str, save: str | None
) -> results.LandscapeMap:
    """The known basins of the staged landscape with coordinates, energies and radii; drawn into a file if asked."""
    if save is not None and session.resolve(save).suffix not in (".html", ".png"):
        raise ElError(f"cannot draw into {save}", code="EL504", hint="end the path in .html or .png")
    found = _mapped(session, layer, dims, method)
    if save is None:
        return found
    found = replace(found, path=save)
    _draw(session, found, save)
    return found


def _draw(session: Workbench, found: results.LandscapeMap, save: str) -> None:
    target = session.resolve(save)
    try:
        data = page(found) if target.suffix == ".html" else image(found)
    except ImportError as error:
        raise ElError(
            f"{error.name} is not installed", code="EL504", hint="pip install 'energylang[plot]'"
        ) from None
    write_atomic(target, data)


def page(found: results.LandscapeMap) -> bytes:
    """An interactive map that needs no network, as HTML; needs plotly."""
    import plotly.graph_objects as go

    points = found.points
    marker = {
        "size": [8 + 3 * math.sqrt(point.population) for point in points],
        "color": [point.energy for point in points],
        "colorscale": "Viridis",
        "showscale": True,
        "colorbar": {"title": "energy"},
    }
    shared = {
        "x": [point.x for point in points],
        "y": [point.y for point in points],
        "mode": "markers+text",
        "text": [f"B{point.id}" for point in points],
        "textposition": "top center",
        "marker": marker,
        "customdata": [[point.population, point.energy, point.radius] for point in points],
        "hovertemplate": "%{text}<br>%{customdata[0]} starts<br>energy %{customdata[1]:.3f}"
        "<br>radius %{customdata[2]:.2f}<extra></extra>",
    }
    if found.dims == 3:
        figure = go.Figure(go.Scatter3d(z=[point.z for point in points], **shared))
    else:
        figure = go.Figure(go.Scatter(**shared))
    figure.update_layout(
        title=f"L{found.layer}: {len(points)} basins ({found.method})", template="plotly_white"
    )
    text: str = figure.to_html(include_plotlyjs=True, full_html=True, div_id=f"landscape-L{found.layer}")
    return text.encode("utf-8")


def image(found: results.LandscapeMap) -> bytes:
    """The first two coordinates of a map, as PNG; needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.5), dpi=130, layout="constrained")
    axes = figure.subplots()
    points = found.points
    drawn = axes.scatter(
        [point.x for point in points],
        [point.y for point in points],
        s=[20 + 12 * point.population for point in points],
        c=[point.energy for point in points],
        cmap="viridis",
        alpha=0.8,
    )
    for point in points:
        axes.annotate(f"B{point.id}", (point.x, point.y), fontsize=7, ha="center", va="bottom")
    axes.set_title(f"L{found.layer}: {len(points)} basins ({found.method})")
    if points:
        figure.colorbar(drawn, label="energy")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def overview(session: Workbench, layer: int) -> results.LandscapeMap:
    """The known basins on two principal components, without their radii (which take by far the longest)."""
    return _mapped(session, layer, 2, "pca", radii=False)


def reach(session: Workbench, layer: int, basin: int) -> float:
    """The radius of one living basin."""
    centre = session.basin(BasinRef(layer, basin))[None]
    landscape = session.landscape_of(layer)
    return float(radius(landscape, centre.to(landscape.weight), session.generator("landscape", layer))[0])


def _mapped(
    session: Workbench, layer: int, dims: int, method: str, *, radii: bool = True
) -> results.LandscapeMap:
    alive = session.known_basins(layer).main()
    landscape = session.landscape_of(layer)
    if not alive:
        return results.LandscapeMap(layer, method, dims, (0.0,) * dims, (), None)
    centres = torch.stack([basin.centre for basin in alive]).to(landscape.weight)
    if method == "pca":
        places, explained = principal(centres, dims)
    else:
        places, explained = umap_places(centres, dims, int(session.setting("seed"))), ()
    energies = lyapunov(landscape, centres).tolist()
    far = [math.nan] * len(alive)
    if radii:
        far = radius(landscape, centres, session.generator("landscape", layer)).tolist()
    padded = torch.nn.functional.pad(places, (0, 3 - dims)).tolist()
    points = tuple(
        results.MapPoint(basin.id, x, y, z, basin.population, energy, reached, basin.tokens)
        for basin, (x, y, z), energy, reached in zip(alive, padded, energies, far, strict=True)
    )
    return results.LandscapeMap(layer, method, dims, explained, points, None)


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
