"""The session's settings: what ``set`` can change, the range of each, and what it does.

A setting is a ``Param`` like those of operations, so that one rule checks both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from energylang.signature import types as t

from .declaration import Param

AUTO = "auto"
MAX_THREADS = 1024
"""Most torch threads: beyond some thousands, torch ends the process."""

_ALL = (
    Param(
        "beta",
        t.FLOAT,
        "inverse temperature at which landscapes are read; auto: the layer's own",
        AUTO,
        above=0,
        maximum=1e6,
        choices=(AUTO,),
    ),
    Param(
        "degree",
        t.INT,
        "degree p of the interaction; auto: the model's own",
        AUTO,
        minimum=2,
        maximum=20,
        choices=(AUTO,),
    ),
    Param("inits", t.INT, "random starts of a survey", 200, minimum=1, maximum=1_000_000),
    Param(
        "strength",
        t.STRENGTH,
        "strength of edits that name none",
        AUTO,
        above=0,
        maximum=1e6,
        choices=(AUTO,),
    ),
    Param("eps", t.FLOAT, "relative step below which a state counts as settled", 5e-3, above=0, maximum=0.5),
    Param("max_changed", t.FLOAT, "share of decisions that an edit may change", 0.02, minimum=0, maximum=1),
    Param("seed", t.INT, "seed of the session; every draw depends on it", 0, minimum=0, maximum=2**63 - 1),
    Param("temp", t.FLOAT, "sampling temperature of generate", 0.8, above=0, maximum=100),
    Param("tokens", t.INT, "most tokens that generate writes", 50, minimum=1, maximum=100_000),
    Param("topk", t.INT, "generate draws among this many likeliest tokens", 40, minimum=1, maximum=1_000_000),
    Param("device", t.CHOICE, "where landscapes are calculated", "cpu", choices=("cpu", "cuda")),
    Param(
        "dtype", t.CHOICE, "precision of landscape calculations", "float32", choices=("float32", "float64")
    ),
)

SETTINGS: Mapping[str, Param] = {param.name: param for param in _ALL}

DEFAULTS: Mapping[str, int | float | str] = {param.name: param.default for param in _ALL}


def of_setting(value: Param, name: str) -> Param:
    """The parameter ``value`` of ``set``, for the setting of this name."""
    known = SETTINGS[name]
    return replace(known, default=value.default)
