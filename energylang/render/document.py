"""What ``el run --json`` writes: one document with an entry for every value, and the schema of both.

An entry says where it comes from (``file``, ``line``, ``statement``) and of which ``type`` it is: the name of a kind
of result, of another value of the language, or ``Printed``. A result that a variable is given has the variable's name
under ``let``.
"""

from __future__ import annotations

from typing import Any

from energylang.results import Record, Result
from energylang.results.schema import DRAFT, definitions, kinds
from energylang.signature.coerce import type_name
from energylang.syntax import ast

PRINTED = "Printed"
REFERENCE = "Reference"
VALUES: dict[str, dict[str, Any]] = {
    "Int": {"type": "integer"},
    "Float": {"type": "number"},
    "Bool": {"type": "boolean"},
    "Text": {"type": "string"},
    "List": {"type": "array"},
    "Record": {"type": "object"},
    "Nothing": {"type": "null"},
    REFERENCE: {
        "type": "string",
        "description": "A layer, basin, concept, neuron, head or seed, as it is written.",
    },
}
"""The types of what is displayed and is no result of an operation, each with its schema."""


def printed(value: str, statement: ast.Print) -> dict[str, Any]:
    """The entry of a text that was printed."""
    return {**_place(statement, ""), "type": PRINTED, "printed": value}


def displayed(value: Any, statement: ast.Statement, line: str) -> dict[str, Any]:
    """The entry of a value that stands alone; ``line`` is its command with the values of variables in their places."""
    return {**_place(statement, line), **_valued(value)}


def kept(value: Result, statement: ast.Let) -> dict[str, Any]:
    """The entry of a result that a variable was given."""
    return {**_place(statement, ""), "let": statement.name, **_valued(value)}


def _place(statement: ast.Statement, line: str) -> dict[str, Any]:
    number, _ = statement.span.start_location()
    written = line or " ".join(statement.span.text.split())
    return {"file": statement.span.source.name, "line": number, "statement": written}


def _valued(value: Any) -> dict[str, Any]:
    name = type(value).__name__ if isinstance(value, Result) else type_name(value)
    return {
        "type": name if isinstance(value, Result) or name in VALUES else REFERENCE,
        "result": plain(value),
    }


def plain(value: Any) -> Any:
    """A value of the language as JSON data; a reference as it is written."""
    if isinstance(value, Result | Record):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


_POSITIVE = {"type": "integer", "minimum": 1}
_PLACE = {
    "type": "object",
    "required": ["line", "column"],
    "additionalProperties": False,
    "properties": {"line": _POSITIVE, "column": _POSITIVE},
}
_SPAN = {
    "type": ["object", "null"],
    "description": "Where it is in the file; lines and columns count from 1, the end is the column behind it.",
    "required": ["start", "end"],
    "additionalProperties": False,
    "properties": {"start": _PLACE, "end": _PLACE},
}
_TEXT = {"type": "string"}
DIAGNOSTIC: dict[str, Any] = {
    "type": "object",
    "description": "An error or a warning; `el explain CODE` says what its code means.",
    "required": ["code", "severity", "message", "file", "span", "notes", "help"],
    "additionalProperties": False,
    "properties": {
        "code": {"type": "string", "pattern": "^EL[0-9]{3}$"},
        "severity": {"enum": ["error", "warning"]},
        "message": _TEXT,
        "file": {"type": ["string", "null"]},
        "span": _SPAN,
        "notes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message", "span"],
                "additionalProperties": False,
                "properties": {"message": _TEXT, "span": _SPAN},
            },
        },
        "help": _TEXT,
    },
}


def document_schema() -> dict[str, Any]:
    """The schema of the whole document of ``el run --json``, with that of every kind of result under ``$defs``."""
    results = kinds()
    return {
        "$schema": DRAFT,
        "title": "el run --json",
        "description": "What a script displayed, printed and gave to variables, in its order, and what was wrong.",
        "type": "object",
        "required": ["script", "ok", "results", "diagnostics"],
        "additionalProperties": False,
        "properties": {
            "script": {"type": "string", "description": "As it was named at the command line."},
            "ok": {"type": "boolean", "description": "It checked, and ran to its end."},
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["file", "line", "statement", "type"],
                    "properties": {"type": {"enum": [PRINTED, *VALUES, *results]}},
                    "allOf": [_entry(PRINTED, {"printed": _TEXT})]
                    + [_entry(name, {"result": schema}) for name, schema in VALUES.items()]
                    + [
                        _entry(name, {"result": {"$ref": f"#/$defs/{name}"}}, {"let": _TEXT})
                        for name in results
                    ],
                },
            },
            "diagnostics": {"type": "array", "items": {"$ref": "#/$defs/diagnostic"}},
        },
        "$defs": {**definitions(*results.values()), "diagnostic": DIAGNOSTIC},
    }


def _entry(name: str, needed: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """What holds of an entry whose type is ``name``. (A test of the type instead of a choice among all, so that a
    validator says which field is wrong.)"""
    always = {
        "file": _TEXT,
        "line": _POSITIVE,
        "statement": {
            "type": "string",
            "description": "With the values of variables in their places, where it is a command.",
        },
        "type": {"const": name},
    }
    return {
        "if": {"properties": {"type": {"const": name}}},
        "then": {
            "required": list(needed),
            "additionalProperties": False,
            "properties": {**always, **needed, **(optional or {})},
        },
    }
