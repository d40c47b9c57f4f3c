"""Every operation, from its declaration alone: nobody writes a test here for operation 37."""

from __future__ import annotations

import inspect
import io
from pathlib import Path

import pytest
from rich.console import Console

from energylang import Session, check
from energylang.cli.output import show_operation
from energylang.ops import MODULES, TABLE
from energylang.render.gallery import render
from energylang.results import Result
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, FromSetting, Op, Param
from energylang.signature.settings import SETTINGS
from energylang.signature.types import record_fields
from energylang.signature.values import BasinRef
from tests import documents
from tests.real import little_is_read_of_smollm2
from tests.statements import OF_STREAMS, home
from tests.watching import nothing_is_started

OPS = list(TABLE.values())
EXAMPLES = [
    pytest.param(op, example, marks=[pytest.mark.slow] if example.slow else [])
    for op in OPS
    for example in op.examples
]


def name_of(value: Op | Example) -> str:
    return value.name if isinstance(value, Op) else " ; ".join(value.script.splitlines())[:60]


def test_every_module_declares_operations_and_no_name_twice():
    declared = [v for module in MODULES for v in vars(module).values() if isinstance(v, Op)]
    assert len({op.name for op in declared}) == len({id(op) for op in declared}) == len(TABLE) >= 70


@pytest.mark.parametrize(("op", "example"), EXAMPLES, ids=name_of)
def test_example_does_what_it_says_is_shown_and_leaves_no_change_after_undo(
    op: Op, example: Example, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
):
    assert check(f'load "{example.on}"\n{example.script}\n').ok
    if example.on == "smollm2":
        little_is_read_of_smollm2(monkeypatch)
    with nothing_is_started():
        session = Session(example.on)
        result = session.run(example.script)
    assert isinstance(result, op.result) if op.result is Result else type(result) is op.result
    is_object_mapping_json_and_picture(result)
    session.variables["it"] = result
    session.run(f"require {example.check}")
    if session.timeline.undoable:
        undone = session.undo(session.timeline.undoable)
        assert undone.is_original
    assert session.status().is_original


def is_object_mapping_json_and_picture(result: Result) -> None:
    fields = record_fields(type(result).__name__)
    assert set(result) == set(fields)
    for name in fields:
        assert result[name] is getattr(result, name)
    documents.is_a_result(result)
    with pytest.raises(KeyError):
        result["no such field"]
    for width in (60, 110):
        stream = io.StringIO()
        Console(file=stream, width=width).print(render(result))
        assert stream.getvalue().strip()
        assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_operation_has_examples_help_and_a_method(op: Op):
    assert op.examples
    assert op.summary.endswith((".", "?"))
    method = getattr(Session, op.method)
    names = [name for name in inspect.signature(method).parameters if name != "self"]
    assert sorted(names) == sorted(param.name for param in op.params)
    assert op.summary in (method.__doc__ or "")


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_body_takes_exactly_the_declared_parameters(op: Op):
    names = list(inspect.signature(op.run).parameters)[1:]
    assert names == [param.name for param in op.params]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_help_names_every_parameter(op: Op, capsys):
    show_operation(op)
    printed = " ".join(capsys.readouterr().out.split())  # it is wrapped between words
    assert all(param.name in printed and " ".join(param.help.split()) in printed for param in op.params)


@pytest.mark.parametrize(
    "op", [op for op in OPS if any(p.required for p in op.params)], ids=lambda op: op.name
)
def test_missing_argument_is_named(op: Op):
    found = check(f'load "{home(op)}"\n{op.name}\n').diagnostics
    first = next(param for param in op.params if param.required)
    assert [item.code for item in found if item.is_error] == ["EL202"]
    assert f"`{first.name}`" in found[0].message
    assert found[0].span.text == op.name


def looked_at(op: Op) -> str:
    """The lines before an operation: its model, and a survey where there are basins."""
    return f'load "{home(op)}"\n' + ("" if op.name in OF_STREAMS else "survey L0\n")


WORDS = {
    "Layer": "L0",
    "Layers": "L0",
    "Concept": "polite",
    "Model": '"tiny"',
    "Path": '"x.safetensors"',
    "Text": '"x"',
    "Direction": "3",
    "Strength": "0.1",
    "Value": "auto",
    "Label": "here",
    "Bool": "true",
    "Basin": "L0.B0",
    "List[Basin]": "L0.B0",
    "List[Concept]": "[@polite]",
    "Data": "[{here: 1}]",
}
FILES = {"read": f'"{Path(__file__).parents[1]}/examples/data/concepts.csv"', "write": '"x.csv"'}
"""Files that are looked at when a script is checked, and kinds of files that are."""


def word(param: Param) -> str:
    """Something that fits a parameter."""
    kind = str(param.type)
    if kind in ("Int", "Float"):
        least = param.minimum if param.minimum is not None else (param.above or 0) + 1
        return f"{max(1, least):g}"
    return WORDS.get(kind, param.choices[0] if param.choices else "1")


def line_of(op: Op, *, all_given: bool) -> str:
    """A statement with what the operation needs, or with all that can stand without a name."""
    given = [word(p) for p in op.positional if all_given or p.required]
    if op.takes_layer_and_target and not all_given:
        given = ["L0", "3" if op.positional[1].type.name == "Direction" else "0"]
    needed = [f"{p.name}={word(p)}" for p in op.params if p.keyword_only and p.required]
    line = " ".join((op.name, *given, *needed))
    return line.replace(WORDS["Path"], FILES.get(op.name, WORDS["Path"]))


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_surplus_and_unknown_arguments_are_errors(op: Op):
    before = (
        looked_at(op)
        + ("checkpoint here\n" if op.name == "rollback" else "")
        + ('capture L0 polite "x"\n' if op.name != "capture" else "")
    )
    line = line_of(op, all_given=True)
    assert [d.code for d in check(f"{before}{line}\n").diagnostics if d.is_error] == []
    if op.tail is None:
        assert "EL203" in [d.code for d in check(f"{before}{line} 1\n").diagnostics]
    assert "EL204" in [d.code for d in check(f"{before}{line} nonsense=1\n").diagnostics]


@pytest.mark.parametrize("op", [op for op in OPS if Effect.EDITS in op.effects], ids=lambda op: op.name)
def test_every_edit_can_be_forced_only_with_a_reason(op: Op):
    assert op.param("force") and op.param("reason")
    before = f'{looked_at(op)}capture L0 polite "x"\n'
    line = line_of(op, all_given=False)
    assert "EL202" in [d.code for d in check(f"{before}{line} --force\n").diagnostics]
    fine = check(f'{before}{line} --force --reason "an experiment"\n')
    assert [d for d in fine.diagnostics if d.is_error] == []


def test_defaults_are_allowed_values():
    from energylang.signature.coerce import coerce

    for op in OPS:
        for param in op.params:
            if isinstance(param.default, FromSetting):
                assert param.default.name in SETTINGS
            elif not param.required and param.default is not None:
                number = param.type == t.BASIN  # of a basin of the layer that the operation names
                wanted = BasinRef(0, param.default) if number else param.default
                assert coerce(param, param.default, layer=0) == wanted
    for param in SETTINGS.values():
        assert coerce(param, param.default) == param.default


def test_long_statements_do_not_push_out_the_rest_of_the_history():
    session = Session("planted:64x4")
    session.run("survey L0\nset max_changed 0")
    session.run(f'remove L0.B0 --force --reason "{"because " * 20}"')
    stream = io.StringIO()
    Console(file=stream, width=80).print(render(session.history()))
    assert "FORCED" in stream.getvalue()
    assert stream.getvalue().count("because") >= 40  # in the statement and in the reason, nothing cut off
