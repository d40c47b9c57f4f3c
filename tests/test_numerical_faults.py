"""Numbers at their limits: whatever the weight, β, degree, strength and dimension, an operation gives numbers, or an
error that says what was asked; an error changes nothing, and nothing that is no number is ever kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang import Session
from energylang.errors import ElError, LandscapeError
from energylang.landscape.energy import lyapunov
from energylang.landscape.layer import Landscape
from energylang.models import load, save
from energylang.models.hopfield.raw import model_of
from energylang.ops import TABLE
from energylang.run.doors import ScriptError
from energylang.work import model
from energylang.workspace.versions import DenseCache, Version


def session_of(weight: Tensor, beta: float = 7.0) -> Session:
    session = Session()
    session.adopt(model_of([weight], beta=beta))
    return session


def not_numbers(value: Any, where: str = "") -> list[str]:
    """The places in plain data that hold NaN."""
    if isinstance(value, float):
        return [where] if math.isnan(value) else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    return [found for key, item in items for found in not_numbers(item, f"{where}/{key}")]


def _ones(dim: int, draw: torch.Generator) -> Tensor:
    return torch.ones(dim, dim)


WEIGHTS: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "zero": lambda dim, draw: torch.zeros(dim, dim),
    "identity": lambda dim, draw: torch.eye(dim),
    "repelling": lambda dim, draw: -torch.eye(dim),
    "saturating": _ones,
    "nilpotent": lambda dim, draw: torch.diag(torch.ones(dim - 1), 1) if dim > 1 else torch.zeros(1, 1),
    "random": lambda dim, draw: torch.randn(dim, dim, generator=draw),
    "large": lambda dim, draw: 1e12 * torch.randn(dim, dim, generator=draw),
    "too large": lambda dim, draw: 1e30 * torch.randn(dim, dim, generator=draw),
    "the largest": lambda dim, draw: torch.full((dim, dim), torch.finfo(torch.float32).max),
    "small": lambda dim, draw: 1e-30 * torch.randn(dim, dim, generator=draw),
    "subnormal": lambda dim, draw: torch.full((dim, dim), 1e-45),
}
OPERATIONS = [
    "survey L0 inits=20", "inject L0 42", "inject L0 42 strength=0.1", "inject L0 43 strength=1000000",
    'inject L0 44 strength=1000000 force=true reason="to see"', "apply L0", "energy L0 42", "verify L0 42", "status",
    "diff L0", "consolidate L0", "causal scan L0 placebos=1", "neighbours L0 42", 'watermark inject "k"',
    "undo", "redo", "strengthen L0.B0 100", "weaken L0.B0 0.001", "remove L0.B0",
]  # fmt: skip
SETTINGS = ["", "set beta 1000000", "set beta 0.000001", "set degree 20", "set degree 2", "set dtype float64"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    weight=st.sampled_from(sorted(WEIGHTS)),
    dim=st.sampled_from([1, 2, 3, 8]),
    setting=st.sampled_from(SETTINGS),
    lines=st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=6),
    seed=st.integers(0, 5),
)
def test_operations_give_numbers_or_an_error_that_changes_nothing(
    weight: str, dim: int, setting: str, lines: list[str], seed: int
) -> None:
    session = session_of(WEIGHTS[weight](dim, torch.Generator().manual_seed(seed)))
    if setting:
        session.run(setting)
    for line in lines:
        before, state = session.staged_hash(), session.state
        try:
            result = session.run(line)
        except ScriptError as error:
            assert all(item.code != "EL599" for item in error.diagnostics)
            assert session.staged_hash() == before
            assert session.state is state
            continue
        assert not_numbers(result.to_dict()) == []
        for index, layer in enumerate(session.state.layers):
            assert bool(torch.isfinite(session.weight(layer.staged)).all())
            assert bool(torch.isfinite(session.model.weight(index)).all())


@settings(max_examples=60, deadline=None)
@given(
    dim=st.sampled_from([1, 2, 5]),
    degree=st.integers(2, 20),
    beta=st.sampled_from([1e-6, 1.0, 7.0, 1e6]),
    sign=st.sampled_from([-1.0, 0.0, 1.0]),
    off=st.sampled_from([0.0, 6e-8, 1.2e-7]),
)
def test_the_energy_of_saturated_states_is_a_number(
    dim: int, degree: int, beta: float, sign: float, off: float
) -> None:
    landscape = Landscape(torch.ones(dim, dim), beta, degree)
    state = torch.full((1, dim), sign) * (1 + off)
    assert math.isfinite(float(lyapunov(landscape, state)))


def test_a_weight_beyond_its_dtype_is_refused_with_what_to_do() -> None:
    for largest, beta in ((1e30, 1.0), (1e20, 1.0), (1e15, 1e25)):
        with pytest.raises(
            LandscapeError, match=r"the weight reaches 1e\+\d\d, too much for float32 at β"
        ) as caught:
            Landscape(largest * torch.eye(3), beta)
        assert "float64" in caught.value.hint
    Landscape(1e30 * torch.eye(3, dtype=torch.float64), 7.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_edit_that_leaves_no_numbers_is_undone_and_named(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session("planted:32x2")
    session.survey(0)
    before, state = session.staged_hash(), session.state
    real = DenseCache.dense

    def broken(self: DenseCache, version: Version) -> Tensor:
        weight = real(self, version)
        return torch.full_like(weight, value) if version.depth else weight

    monkeypatch.setattr(DenseCache, "dense", broken)
    with pytest.raises(ElError, match=r"inject of seed 42 with strength 0\.1 leaves numbers that cannot be"):
        session.inject(0, 42, strength=0.1, force=True, reason="to see")
    monkeypatch.undo()
    assert session.staged_hash() == before
    assert session.state is state
    assert session.history().entries[-1].state == "FAILED"
    assert session.inject(0, 42, strength=0.1, force=True, reason="to see").applied


def test_a_result_with_a_number_that_is_none_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session("planted:16x2")
    monkeypatch.setattr(model, "relative_change", lambda ws, layer: float("nan"))
    with pytest.raises(ElError, match=r"`status` calculated something that is no number: layers\.0\."):
        session.status()


def _scaled(folder: Path, name: str, value: float, *, fill: bool = False) -> str:
    model = load("tiny")
    old = model.live[name]
    model.live[name] = torch.full_like(old, value) if fill else old * value
    return str(save(model, folder / "extreme.safetensors"))


@pytest.mark.parametrize(("name", "value"), [("embed.weight", 1e38), ("norm.weight", 2e37)])
def test_a_model_whose_passes_overflow(tmp_path: Path, name: str, value: float) -> None:
    session = Session(_scaled(tmp_path, name, value))
    for line in ('generate "hello" tokens=3', "benchmark"):
        with pytest.raises(ScriptError, match=r"EL502.*are not finite numbers"):
            session.run(line)
    for line in ('capture L3 a "thank you"', "trace L3 hello", "survey L3 inits=5"):
        try:
            assert not_numbers(session.run(line).to_dict()) == []
        except ScriptError as error:
            assert error.diagnostics[0].code == "EL502"


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_an_inverse_temperature_that_is_none_is_refused(tmp_path: Path, value: float) -> None:
    path = _scaled(tmp_path, "blocks.3.hopfield.log_beta", value, fill=True)
    with pytest.raises(ElError, match=r"extreme\.safetensors.*log_beta.*inverse temperature"):
        load(path)


@pytest.mark.slow
def test_the_largest_dimension_fits_and_the_next_does_not() -> None:
    session = Session("random:8192")
    assert session.info().dims == (8192,)
    assert not_numbers(session.energy(0, 42).to_dict()) == []
    with pytest.raises(ElError, match="8193"):
        Session("random:8193")


def test_every_parameter_refuses_what_is_no_number() -> None:
    session = Session("planted:16x2")
    for op in TABLE.values():
        for param in op.params:
            if str(param.type) not in ("Float", "Strength"):
                continue
            for value in (float("nan"), float("inf"), -float("inf")):
                with pytest.raises(ElError):
                    session.execute(op, {param.name: value})
