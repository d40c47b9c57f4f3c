"""Statements of every operation that a model without words can carry out, drawn from the declarations alone."""

from __future__ import annotations

from hypothesis import strategies as st

from energylang.ops import TABLE
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Op, Param
from energylang.signature.settings import SETTINGS

OF_STREAMS = ("fit", "rewrite")
"""Operations that landscapes have no use for."""


def home(op: Op) -> str:
    """A model that has what the operation needs."""
    return "smollm2" if op.name in OF_STREAMS else "tiny"


_OUTSIDE = Effect.TEXT | Effect.FILES | Effect.LOADS
_BASINS = st.integers(0, 5).map(lambda basin: f"L0.B{basin}")
_SEEDS = st.integers(0, 30).map(str)
_LABELS = st.sampled_from(["here", "there"])
_NUMBERS = ("0", "0.02", "0.3", "1.1", "2", "5%", "40")


def _numbers(param: Param, whole: bool) -> st.SearchStrategy[str]:
    """Numbers near the lower end of what a parameter allows: what is asked for stays affordable."""
    low = param.minimum if param.minimum is not None else (param.above or 0.0)
    high = param.maximum if param.maximum is not None else low + 4
    if whole:
        return st.integers(int(low), int(min(high, low + 3))).map(str)
    steps = st.sampled_from([0.02, 0.1, 0.3, 0.5, 0.9, 1.05, 1.5, 3.0])
    return steps.map(lambda step: f"{min(max(low + step, low), high):g}")


def _values(param: Param) -> st.SearchStrategy[str] | None:
    """What may stand for a parameter; ``None`` where nothing here fits it."""
    words = st.sampled_from(param.choices) if param.choices else None
    strategy: st.SearchStrategy[str] | None = {
        t.LAYER: st.just("L0"),
        t.LAYERS: st.sampled_from(["L0", "layers"]),
        t.BASIN: _BASINS,
        t.BASINS: st.lists(_BASINS, min_size=1, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
        t.DIRECTION: _BASINS | _SEEDS,
        t.KEY: _BASINS | _SEEDS,
        t.SOURCE: _BASINS,
        t.STRENGTH: st.sampled_from(["0.02", "0.1", "0.3", "0.5"]),
        t.LABEL: _LABELS,
        t.DATA: st.just("[{here: 1}]"),
        t.TEXT: st.just('"fuzz"'),
        t.BOOL: st.sampled_from(["true", "false"]),
        t.STEPS: st.sampled_from(["1", "2", "L0"]),
        t.VALUE: st.sampled_from(_NUMBERS),
        t.INT: _numbers(param, whole=True),
        t.FLOAT: _numbers(param, whole=False),
        t.CHOICE: words,
    }.get(param.type)
    if strategy is not None and words is not None and param.type not in (t.CHOICE, t.BOOL):
        return strategy | words
    return strategy


def covered(op: Op) -> bool:
    """Whether statements of an operation can be drawn."""
    return not op.effects & _OUTSIDE and all(_values(p) is not None for p in op.params if p.required)


@st.composite
def _statement(draw: st.DrawFn, op: Op) -> str:
    if op.name == "set":
        param = SETTINGS[draw(st.sampled_from([name for name in SETTINGS if name != "device"]))]
        value = _values(param)
        return f"set {param.name} {draw(value if value is not None else st.just('1'))}"
    words = [op.name]
    for param in op.params:
        values = _values(param)
        if values is None or not (param.required or draw(st.booleans())):
            continue
        value = draw(values)
        plain = param.required and not param.keyword_only
        words.append(value if plain else f"{param.name}={value}")
    if "force=true" in words and not any(word.startswith("reason=") for word in words):
        words.append('reason="fuzz"')
    return " ".join(words)


def statements() -> st.SearchStrategy[str]:
    """A statement of any operation there is that needs no words, files or other models."""
    return st.one_of([_statement(op) for op in TABLE.values() if covered(op)])
