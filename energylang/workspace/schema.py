"""The JSON schema of records (draft 2020-12). ``docs/record.schema.json`` is written from it.

``tolerances`` is an annotation that validators pass over: how far a number may move when another processor replays.
"""

from __future__ import annotations

from typing import Any

from energylang.results.rounding import REAL, TOLERANCES
from energylang.signature.settings import MAX_THREADS

from .sketch import TOLERANCE

_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}

_CHANGES: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["layer", "staged", "live"],
        "additionalProperties": False,
        "properties": {
            "layer": {"type": "integer", "minimum": 0},
            "of": {
                "const": "landscape",
                "description": "Of a landscape that the layer was given, not of its weight.",
            },
            "staged": {"type": "array", "items": {"type": "number"}},
            "live": {"type": "array", "items": {"type": "number"}},
        },
    },
}

RECORD: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "energylang record",
    "description": "What was done in a session, so that it can be done again and compared digest by digest.",
    "type": "object",
    "required": [
        "format", "version", "made_with", "threads", "checkpoint_hash", "final_hash", "live_hash", "script",
        "settings", "operations", "tree", "at",
    ],
    "additionalProperties": False,
    "properties": {
        "format": {"const": "energylang record"},
        "sha256": {**_HASH, "description": "SHA-256 of the rest of the record as canonical JSON."},
        "version": {"const": 1},
        "made_with": {
            "description": "Versions of what computes, and the machine: other ones may round otherwise.",
            "type": "object",
            "required": ["energylang", "python", "torch", "machine"],
            "additionalProperties": {"type": "string"},
        },
        "threads": {"type": "integer", "minimum": 1, "maximum": MAX_THREADS},
        "checkpoint_hash": {**_HASH, "description": "SHA-256 of the weights that the model was loaded with."},
        "final_hash": {**_HASH, "description": "SHA-256 of the weights with everything staged, at the end."},
        "live_hash": {**_HASH, "description": "SHA-256 of the live weights, at the end."},
        "changes": {
            **_CHANGES,
            "description": "Sketches of the layers' changes at the end: uᵀΔWv for 16 pairs of random signs, none for "
            "an original. They tell how far apart two changes are whose hashes differ.",
        },
        "script": {
            "description": "The script that was run last, by name and SHA-256 of its text; null without one.",
            "type": ["object", "null"],
            "required": ["name", "sha256"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "sha256": _HASH},
        },
        "settings": {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean"]}},
        "operations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["number", "operation", "statement"],
                "additionalProperties": False,
                "properties": {
                    "number": {"type": "integer", "minimum": 1},
                    "operation": {"description": "Its name; `end` closes a `with`.", "type": "string"},
                    "statement": {"type": "string"},
                    "arguments": {"type": "object"},
                    "at": {"description": "The place in the tree before it.", "type": "integer", "minimum": 0},
                    "status": {"enum": ["OK", "FAILED"]},
                    "error": {"type": "string"},
                    "digest": {**_HASH, "description": "SHA-256 of the result as canonical JSON, without times."},
                    "result": {
                        "description": "Compared field by field where the digest differs, within `tolerances`.",
                        "type": "object",
                    },
                    "changes": {**_CHANGES, "description": "After it, where the result holds a hash of weights."},
                    "of": {"description": "The number of the operation that ends.", "type": "integer"},
                },
                "if": {"properties": {"operation": {"const": "end"}}},
                "then": {"required": ["of"]},
                "else": {
                    "required": ["arguments", "at", "status"],
                    "if": {"properties": {"status": {"const": "OK"}}},
                    "then": {"required": ["digest", "result"]},
                    "else": {"required": ["error"]},
                },
            },
        },
        "tree": {
            "description": "The undo tree: every operation that changed, or tried to change, the session.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "parent", "statement", "state"],
                "additionalProperties": False,
                "properties": {
                    "id": {"type": "integer"},
                    "parent": {"type": "integer"},
                    "statement": {"type": "string"},
                    "state": {"enum": ["OK", "REFUSED", "BLOCKED", "FORCED", "FAILED", "UNDONE"]},
                },
            },
        },
        "at": {"description": "Where in the tree the session stood.", "type": "integer", "minimum": 0},
    },
    "tolerances": {
        "description": "Two results are equal within rounding if numbers of a field of this name differ by "
        "`relative` of the larger one or by `absolute` at most. Other numbers with a fraction: `default`; everything "
        "else must be equal. `changes`: relative distance of changes of weights.",
        "changes": TOLERANCE,
        "default": REAL._asdict(),
        "fields": {name: allowed._asdict() for name, allowed in TOLERANCES.items()},
    },
}  # fmt: skip
