"""What ``el run --json`` would write, held to the schema that ``el schema`` prints."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema

from energylang import Session
from energylang.cli.output import Recorder
from energylang.diagnostics.source import Source
from energylang.render.document import document_schema
from energylang.results import Result
from energylang.results.schema import result_schema
from energylang.run.doors import check_in, run_checked


@cache
def _validator(kind: type[Result] | None = None) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(document_schema() if kind is None else result_schema(kind))


def is_a_document(entries: list[Any]) -> None:
    """These are the entries of a document; all that they say is JSON, too."""
    json.dumps(entries, allow_nan=False)
    _validator().validate({"script": "x.el", "ok": True, "results": entries, "diagnostics": []})


def is_a_result(result: Result) -> None:
    """What it is as plain data is what its class says."""
    json.dumps(result.to_dict(), allow_nan=False)
    _validator(type(result)).validate(result.to_dict())


def run(session: Session, text: str, name: str) -> list[Any]:
    """Check and run a program in a session; the entries of what it displays and keeps."""
    checked = check_in(session, Source(text, name, session.base))
    assert checked.ok, (text, checked.diagnostics)
    recorder = Recorder(json=True)
    run_checked(session, checked, recorder.show, kept=recorder.keep)
    return recorder.items
