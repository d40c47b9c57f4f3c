"""Records: write down what was done, and do it again."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

record = Op(
    "record",
    summary="Write everything that this session did into a file that can be replayed.",
    details="JSON: every operation with its arguments and the digest of its result, the undo tree, settings, versions "
    "and hashes of the weights (docs/record.schema.json). Keys of watermarks are left out.",
    params=(Param("path", t.PATH, "the file to write"),),
    effects=Effect.FILES,
    flow=Flow(keeps=True),
    result=results.Recorded,
    examples=(
        Example(
            'inject L0 42\nrecord "work.json"', "it.operations == 2 and it.final_hash != it.checkpoint_hash"
        ),
    ),
)

replay = Op(
    "replay",
    summary="Run a record again in a session of its own, and compare: identical, equal within rounding, or different.",
    details="The model must be the one that the record was made on, by the hash of its weights. `identical`: to the "
    "last bit; `equal`: identical, or within the tolerances of docs/record.schema.json, as on another processor.",
    params=(
        Param("path", t.PATH, "a file that record wrote"),
        Param("on", t.MODEL, "another place of the same model", None, keyword_only=True),
        Param("key", t.TEXT, "the key of the record's watermarks", None, keyword_only=True, secret=True),
    ),
    effects=Effect.FILES | Effect.ALWAYS,
    result=results.Replay,
    examples=(
        Example(
            'survey L0\ninject L0 42\nundo\nrecord "w.json"\nreplay "w.json"',
            "it.identical and it.equal and it.operations == 4",
        ),
        Example('watermark inject "k"\nrecord "w.json"\nreplay "w.json" key="k"', "it.identical"),
    ),
)
