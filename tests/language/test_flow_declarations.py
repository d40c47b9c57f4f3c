"""What the operations declare about the flow of basins and concepts fits their parameters."""

from __future__ import annotations

import pytest

from energylang.ops import TABLE
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Op


def _name(op: Op) -> str:
    return op.name


@pytest.mark.parametrize("op", TABLE.values(), ids=_name)
def test_flow_names_parameters_of_the_right_type(op: Op) -> None:
    flow = op.flow
    for name in flow.parameters():
        assert op.param(name) is not None, f"{op.name} has no parameter {name}"
    wanted = {
        flow.surveys: (t.LAYER, t.LAYERS),
        flow.revives: (t.LAYER, t.LAYERS),
        flow.applies: (t.LAYER, t.LAYERS),
        flow.at: (t.LAYER,),
        flow.ends: (t.BASIN, t.DIRECTION),
        flow.creates: (t.CONCEPT,),
    }
    for name, types in wanted.items():
        if name not in ("", "*"):
            param = op.param(name)
            assert param is not None
            assert param.type in types, f"{op.name}: {name} is {param.type}"


@pytest.mark.parametrize("op", TABLE.values(), ids=_name)
def test_what_a_flow_says_is_an_effect(op: Op) -> None:
    flow = op.flow
    if flow.ends:
        assert op.effects & Effect.EDITS
    if flow.creates or flow.revives:
        assert op.effects & (Effect.CHANGES | Effect.EDITS)
    assert bool(flow.travels) == (Effect.TRAVELS in op.effects)
