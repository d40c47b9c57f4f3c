"""Times: surveys, edits, causal scans; bytes per edit."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from energylang import Session
from energylang.landscape import causal
from energylang.landscape import edits as edit_engine
from energylang.landscape.attractors import FIXED_POINT, polish
from energylang.landscape.clusters import leaders
from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.dynamics import Landscape, cosine_rows
from energylang.landscape.stability import spectrum
from energylang.landscape.survey import survey

BETA = 7.0
NOISE = 0.1  # of the full-rank landscapes, in all


def published() -> Any:
    """The published package's class, or None."""
    try:
        from qriton_hlm import BasinSurgeon
    except ImportError:
        return None
    return BasinSurgeon


def seconds(call: Callable[[], object]) -> float:
    """Of the processor: what others do on the machine moves it less than the clock."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def median(times: list[float]) -> float:
    return statistics.median(times)


def shown(value: float) -> str:
    return f"{1e3 * value:.1f} ms" if value < 10 else f"{value:.1f} s"


Case = tuple[str, Landscape]
"""A layer to survey, and what it is called in the table."""


def trained() -> list[Case]:
    """The layers of the bundled model."""
    session = Session("tiny")
    layers = [session.landscape_of(layer) for layer in range(session.model.num_layers)]
    return [(f"{layer.dim} (L{index})", layer) for index, layer in enumerate(layers)]


def patterns_of(d: int) -> int:
    return max(3, d // 32)


def hebbian(d: int) -> torch.Tensor:
    """Signs, at d = 2^k exact in float32: of rank d/32, as researchers plant them."""
    drawn = torch.sign(torch.randn(patterns_of(d), d, generator=stable_generator("bench", d)))
    return drawn.T @ drawn / d


def inexact(d: int) -> torch.Tensor:
    """Patterns of unequal entries, drawn in float64 and stored in float32: of rank d/32 up to rounding."""
    generator = stable_generator("bench inexact", d)
    drawn = torch.randn(patterns_of(d), d, generator=generator, dtype=torch.float64)
    sizes = 0.5 + torch.rand(drawn.shape, generator=generator, dtype=torch.float64)
    drawn = (torch.sign(drawn) * sizes).float()
    return drawn.T @ drawn / d


def full_rank(d: int) -> torch.Tensor:
    """The Hebbian weight with symmetric noise of a tenth of its norm: no direction is free, as in a trained layer."""
    weight = hebbian(d)
    drawn = torch.randn(d, d, generator=stable_generator("bench noise", d))
    drawn = drawn + drawn.T
    return weight + NOISE * torch.linalg.matrix_norm(weight) * drawn / torch.linalg.matrix_norm(drawn)


def cases(weight: Callable[[int], torch.Tensor], dimensions: Sequence[int]) -> list[Case]:
    return [(str(d), Landscape(weight(d), BETA)) for d in dimensions]


@contextmanager
def counted() -> Iterator[list[float]]:
    """The operations of every float32 product that is made inside."""
    work = [0.0]
    original = torch.mm

    def mm(a: torch.Tensor, b: torch.Tensor, **keywords: Any) -> torch.Tensor:
        work[0] += 2.0 * a.shape[0] * a.shape[1] * b.shape[1]
        return original(a, b, **keywords)

    torch.mm = mm  # type: ignore[assignment]
    try:
        yield work
    finally:
        torch.mm = original


def surveys(rounds: int, kind: str, given: Sequence[Case]) -> tuple[list[tuple[str, ...]], dict[str, float]]:
    """A row for every layer, and the ratios by name. The published package reads every weight at β = 7: it is given
    the weight that has the same fields there."""
    rows, ratios = [], {}
    surgeon = published()
    for name, layer in given:
        d = layer.dim
        begin = starts(200, d, stable_generator("starts", name), layer.weight)
        with counted() as work:
            found = survey(layer, begin)
        theirs = surgeon.from_W(layer.weight * (layer.beta / BETA)) if surgeon else None
        a, b = begin.clone(), layer.weight.T.contiguous()
        repeats = max(1, int(1e8 / (400 * d * d)))
        mine, other, gemm = [], [], []
        for _ in range(rounds):
            mine.append(seconds(lambda layer=layer, begin=begin: survey(layer, begin)))
            gemm.append(
                seconds(lambda a=a, b=b, repeats=repeats: [torch.mm(a, b) for _ in range(repeats)]) / repeats
            )
            if theirs is not None and (d <= 512 or len(other) < 5):
                other.append(seconds(lambda theirs=theirs: theirs.survey(0)))
        rate = (work[0] / median(mine)) / (400 * d * d / median(gemm))
        count = "–"
        if theirs is not None:
            basins = theirs.survey(0)["basins"]
            count = f"{len(basins)} ({attractors(layer, basins)})"
        own = attractors(layer, found.centres)
        row = [name, f"{len(found)} ({own}) / {count}", shown(median(mine))]
        if other:
            label = f"survey, {kind}, d={name}"
            ratios[label] = median(other) / median(mine)
            row += [shown(median(other)), f"{ratios[label]:.1f}×"]
        else:
            row += ["not installed", ""]
        rows.append((*row, f"{work[0] / 1e9:.2f}", f"{rate:.0%}"))
        if torch.cuda.is_available():
            rows.append(on_gpu(name, layer, begin, rounds))
    return rows, ratios


def attractors(layer: Landscape, basins: Sequence[torch.Tensor]) -> int:
    """How many of the states reported as basins lie within cosine 0.95 of a fixed point that attracts, each counted
    once."""
    reported = torch.stack([torch.as_tensor(basin).reshape(-1).to(layer.weight) for basin in basins])
    rest, gap = polish(layer, reported)
    there = (cosine_rows(rest, reported) > 0.95) & (gap < FIXED_POINT) & spectrum(layer, rest)[1]
    return len(leaders(rest[there], 0.95)[1])


def on_gpu(name: str, layer: Landscape, begin: torch.Tensor, rounds: int) -> tuple[str, ...]:
    """The same layer on a GPU, by the clock: the processor waits for it."""
    there, states = Landscape(layer.weight.cuda(), layer.beta, layer.degree), begin.cuda()

    def run() -> None:
        survey(there, states)
        torch.cuda.synchronize()

    run()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return (f"{name}, {torch.cuda.get_device_name()}", "", shown(median(times)), "", "", "", "")


def edits(rounds: int) -> tuple[list[tuple[str, ...]], dict[str, float]]:
    spec = "planted:256x20"
    base = Session(spec)
    base.survey(0)
    weight, layer = base.model.weight(0), base.landscape_of(0)
    centres = torch.stack([basin.centre for basin in base.staged(0).registry.alive()])
    patterns = 0.9 * base.model.patterns.to(weight)
    surgeon = published()
    direction = torch.randn(256, generator=stable_generator("direction"))

    def alone() -> object:
        return edit_engine.inject(layer, direction, patterns, generator=stable_generator("inject"))

    def gate() -> object:
        from energylang.landscape.gate import judge

        factors = alone().factors  # type: ignore[attr-defined]
        return lambda: judge(layer, factors, centres, generator=stable_generator("gate"))

    def ours(statement: str, known: bool) -> float:
        session = Session(spec)
        if known:
            session.survey(0)
        return seconds(lambda: session.run(statement))

    def theirs(call: Callable[[Any], object]) -> float:
        fresh = surgeon.from_W(weight.clone())
        return seconds(lambda: call(fresh))

    alone()
    judge_once = gate()
    judge_once()  # type: ignore[operator]
    rows: list[tuple[str, ...]] = [
        (
            "auto-strength inject, the edit alone",
            shown(median([seconds(alone) for _ in range(3 * rounds)])),
            "",
            "",
        ),
        ("the gate alone, all basins", shown(median([seconds(judge_once) for _ in range(rounds)])), "", ""),  # type: ignore[arg-type]
    ]
    ratios = {}
    cases: list[tuple[str, Callable[[int], str], Callable[[int], Callable[[Any], object]]]] = [
        ("gated inject, auto strength", lambda i: f"inject L0 {100 + i}",
         lambda i: lambda s: s.inject(0, seed=100 + i)),
        ("gated inject, strength 0.1", lambda i: f"inject L0 {100 + i} strength=0.1",
         lambda i: lambda s: s.inject(0, seed=100 + i, strength=0.1)),
        ("gated remove", lambda i: f"remove L0.B{i}", lambda i: lambda s: s.remove(0, seed=100 + i)),
    ]  # fmt: skip
    for name, statement, call in cases:
        warm, cold, other = [], [], []
        for i in range(rounds):
            warm.append(ours(statement(i), True))
            if not name.endswith("remove"):
                cold.append(ours(statement(i), False))
            if surgeon is not None:
                other.append(theirs(call(i)))
        if not other:
            rows.append((name, shown(median(warm)), "not installed", ""))
            continue
        ratios[name] = median(other) / median(warm)
        rows.append((name, shown(median(warm)), shown(median(other)), f"{ratios[name]:.1f}×"))
        if cold:
            rows.append((f"{name}, the survey before it included", shown(median(cold)), shown(median(other)),
                         f"{median(other) / median(cold):.1f}×"))  # fmt: skip
    return rows, ratios


def causal_scans(rounds: int, sizes: tuple[int, ...]) -> tuple[list[tuple[str, ...]], dict[str, float]]:
    rows, ratios = [], {}
    surgeon = published()
    for n in sizes:
        base = Session("planted:256x20")
        base.run("survey L0 inits=2000")
        layer = base.landscape_of(0)
        centres = torch.stack([basin.centre for basin in base.staged(0).registry.alive()])[:n]
        mine, other, theirs_n = [], [], 0
        for _ in range(rounds):
            mine.append(seconds(lambda layer=layer, centres=centres:
                                causal.scan(layer, centres, stable_generator("scan"))))  # fmt: skip
            if surgeon is not None and n <= 40:
                fresh = surgeon.from_W(layer.weight.clone())
                begin = time.process_time()
                theirs_n = int(fresh.causal_scan(0, num_inits=50 if n <= 20 else 70)["num_basins"])
                other.append(time.process_time() - begin)
        row = [f"{len(centres)} / {theirs_n or '–'}", shown(median(mine))]
        if other:
            pairs = (median(other) / theirs_n**2) / (median(mine) / len(centres) ** 2)
            ratios[f"causal scan n={len(centres)}"] = pairs
            row += [shown(median(other)), f"{pairs:.0f}×"]
        else:
            row += ["not run: minutes" if surgeon is not None else "not installed", ""]
        rows.append(tuple(row))
    return rows, ratios


def memory() -> list[tuple[str, ...]]:
    """What an edit costs in memory at d = 1024."""
    session = Session("planted:1024x20")
    session.run("survey L0 inits=50\nset max_changed 100%")
    session.run('inject L0 1 strength=0.02 --force --reason "for its size"')
    factors = session.staged(0).factors
    assert factors is not None
    size = sum(side.numel() * side.element_size() for side in (factors.left, factors.right))
    dense = session.model.weight(0).numel() * 4
    return [
        ("bytes of an edit's factors at d = 1024", f"{size:,}"),
        ("a copy of the weight would be", f"{dense:,}"),
        ("with a dense keyframe every 64 edits, per edit", f"{size + dense // 64:,}"),
    ]
