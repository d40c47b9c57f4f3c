"""``sweep a in xs, b in ys:``: what its cells find, what they leave, what its table holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from energylang.checker import check
from energylang.diagnostics.source import Source
from energylang.results import Record, Table
from energylang.run.doors import run_source
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from energylang.signature.values import Layer

START = "load planted:32x2\nsurvey L0 inits=60\n"


def codes(script: str) -> list[str]:
    return [item.code for item in check(script).diagnostics]


def shown(script: str) -> list[Any]:
    found: list[Any] = []
    run_source(Session(), Source(script), lambda value, statement, line: found.append(value))
    return found


def test_rows_of_cells_with_their_values_in_front() -> None:
    table = Session().run("sweep a in 1..2, b in [0.5, 1.5]:\n    row sum=a + b\n    row sum=a * b\n")
    assert table.columns == ("a", "b", "sum")
    assert table.rows == (
        (1, 0.5, 1.5), (1, 0.5, 0.5), (1, 1.5, 2.5), (1, 1.5, 1.5),
        (2, 0.5, 2.5), (2, 0.5, 1.0), (2, 1.5, 3.5), (2, 1.5, 3.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "columns", "rows"),
    [
        ("n * n", ("n", "value"), ((1, 1), (2, 4))),
        ("{half: n / 2, n: 7}", ("n", "half"), ((1, 0.5), (2, 1.0))),
        ("[{m: m} for m in 1..n]", ("n", "m"), ((1, 1), (2, 1), (2, 2))),
        ("L0", ("n", "value"), ((1, Layer(0)), (2, Layer(0)))),
    ],
)
def test_without_rows_a_cell_gives_what_it_ends_with(ends: str, columns: tuple, rows: tuple) -> None:
    table = Session().run(f"load planted:32x2\nsweep n in 1..2:\n    let x = n\n    {ends}\n")
    assert (table.columns, table.rows) == (columns, rows)


def test_a_result_gives_its_table() -> None:
    session = Session()
    table = session.run(START + "sweep seed in 0..1:\n    verify L0 seed seed\n")
    assert table.column("seed") == [0, 1] and "cosine" in table.columns
    assert table.column("cosine")[1] == session.verify(0, 1).cosine


def test_records_give_their_fields_and_later_values_may_hang_on_earlier_ones() -> None:
    table = Session().run(
        'sweep r in [{who: "a", n: 1}, {who: "b", n: 2}], k in 1..r.n:\n    row twice=2 * k\n'
    )
    assert table.columns == ("who", "n", "k", "twice")
    assert table.column("who") == ["a", "b", "b"] and table.column("k") == [1, 1, 2]


# ------------------------------------------------------------------------------ a session for each cell


CELL = """\
    inject L0 seed seed strength=0.3 --force --reason "a test"
    let s = survey L0 inits=60 seed=seed
    checkpoint here
    set beta 5.0
    row last=[b.id for b in s.basins] depth=(status).undoable hash=(status).staged_hash entries=len((history).entries)
"""


def test_a_cell_finds_the_session_as_it_was_before_the_sweep() -> None:
    """Down to the numbers of basins, whichever cell comes first: as when the cell is all that there is."""
    forwards = Session().run(START + "sweep seed in 0..2:\n" + CELL)
    backwards = Session().run(START + "sweep seed in [2, 1, 0]:\n" + CELL)
    alone = [Session().run(START + f"sweep seed in [{seed}]:\n" + CELL).records[0] for seed in range(3)]
    assert forwards.records == alone == backwards.records[::-1]
    assert len({row["hash"] for row in alone}) == 3


def test_a_sweep_leaves_nothing_behind(tmp_path: Path) -> None:
    with_sweep, without = Session(base=tmp_path), Session(base=tmp_path)
    both = START + 'inject L0 seed 7 strength=0.3 --force --reason "a test"\nlet x = 1\n'
    inside = "sweep seed in 0..1:\n    undo\n    let x = 5\n    load planted:32x3\n    inject L0 seed seed\n    x\n"
    after = 'survey L0 inits=60\ninject L0 seed 9 strength=0.3 --force --reason "a test"\nrecord "{}.json"\n'
    with_sweep.run(both + inside + after.format("with"))
    without.run(both + after.format("without"))
    records = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("with", "without")]
    for record in records:
        del record["script"], record["sha256"]
    assert records[0] == records[1]
    assert with_sweep.variables["x"] == 1
    assert with_sweep.replay(str(tmp_path / "with.json")).identical


def test_an_interrupted_cell_leaves_nothing_either() -> None:
    session = Session()
    session.run(START + "set beta 5.0\n")
    before = (
        session.state,
        session.timeline.current,
        dict(session.timeline.next_basin),
        len(session.ledger.entries),
    )
    with pytest.raises(KeyboardInterrupt), session.apart():  # noqa: PT012
        session.inject(0, 3, 0.3, force=True, reason="a test")
        session.survey(0, inits=200)
        session.undo(2)
        raise KeyboardInterrupt
    after = (
        session.state,
        session.timeline.current,
        dict(session.timeline.next_basin),
        len(session.ledger.entries),
    )
    assert after == before
    assert list(session.timeline.nodes) == [0, 1]
    assert session.timeline.root.children == [session.timeline.current]


def test_cells_display_nothing_but_what_they_print() -> None:
    found = shown(START + 'sweep n in 0..1:\n    survey L0\n    print "cell {n}"\n    n\nrow a=1\nrow a=2\n')
    assert found[2:4] == ["cell 0", "cell 1"]
    assert [type(item) for item in found[4:]] == [Table, Table]
    assert found[5].rows == ((1,), (2,))  # the script's own rows come last


# ------------------------------------------------------------------------------------- cells that fail


FAILS = "let t = sweep n in 0..2:\n    row inverse=1 / n\nprint len(t)\n"


def test_a_cell_that_fails_does_not_take_the_others_with_it() -> None:
    session, found = Session(), []
    with pytest.raises(ScriptError) as caught:
        run_source(session, Source(FAILS), lambda value, statement, line: found.append(value))
    (item,) = caught.value.diagnostics
    assert item.code == "EL521" and "n = 0" in item.notes[0].message
    whole, printed = found
    assert whole.columns == ("n", "inverse", "error")
    assert whole.rows == ((0, None, "division by zero"), (1, 1.0, None), (2, 0.5, None))
    assert printed == "2" and session.variables["t"].rows == ((1, 1.0), (2, 0.5))


def test_in_an_attempt_it_fails_the_attempt() -> None:
    session = Session()
    session.run(
        "let kept = true\nattempt:\n    " + FAILS.replace("\n", "\n    ") + "\nelse:\n    kept = false\n"
    )
    assert session.variables["kept"] is False


def test_and_the_cell_of_a_sweep_around_it() -> None:
    session = Session()
    with pytest.raises(ScriptError) as caught:
        session.run(
            "let t = sweep a in 0..2:\n    let u = sweep n in 1..2:\n        row x=1 / (n - a)\n    len(u)\n"
        )
    assert len(caught.value.diagnostics) == 2
    assert session.variables["t"].rows == ((0, 2),)


def test_rows_of_a_failed_attempt_are_gone() -> None:
    table = Session().run(
        "sweep n in 0..1:\n    attempt:\n        row x=1\n        require n == 1\n    else:\n        row x=2\n"
    )
    assert table.rows == ((0, 2), (1, 1))


# -------------------------------------------------------------------------------------------- checking


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("let b = 0\nsweep n in 0..2:\n    b = n\n    row n2=n\nprint b\n", "EL216"),
        ("let t = table\nsweep n in 0..2:\n    row t a=n\n    n\nt\n", "EL216"),
        ("sweep n in 0..2:\n    print n\n", "EL217"),
        ("sweep n in 0..2:\n    let x = n\n    row n=x\n", "EL209"),
        ("sweep n in 0..2, n in 0..1:\n    n\n", "EL209"),
        ("def f():\n    sweep n in 0..2:\n        return n\nf\n", "EL212"),
        ("def f():\n    row a=1\nf\n", "EL212"),
        ("sweep n in 3:\n    n\n", "EL201"),
        ("sweep n in 0..2:\n    row a=1\n    row a=\"x\"\n", "EL201"),
        ("let t = sweep n in 0..2: n * n\nprint t.valu\n", "EL205"),
        ("load planted:32x2\nsweep l in [L0, L1]:\n    survey l\n", "EL302"),
        ("load planted:32x2\nsurvey L0\nsweep n in 0..1:\n    n\nremove L0.B0\nverify L0.B0\n", "EL304"),
        ("let l = 3\nsweep seed in 0..2:\n    inject L0 seed seed\n", "EL301"),
        ("sweep n in:\n    n\n", "EL102"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_before_anything_runs(script: str, code: str) -> None:
    assert code in codes(script)


@pytest.mark.parametrize(
    "script",
    [
        "let t = sweep n in 0..2:\n    let b = n\n    b = b + 1\n    row b=b\nprint mean(t.b) + t[0].n\n",
        "load planted:32x2\nsurvey L0\nsweep n in 0..1:\n    remove L0.B0\n    n\nverify L0.B0\n",
        "load planted:32x2\nlet seed = 3\ninject L0 seed seed\ninject L0 seed\n",
        "def f(n):\n    let t = sweep k in 1..n: k\n    return sum(t.value)\nprint (f 3)\n",
        "let sweep = 1\nprint sweep + 1\n",
        "let t = table\nfor n in 0..1:\n    t = sweep k in 0..n: k\nt\n",
    ],
)
def test_and_what_is_right_is_not(script: str) -> None:
    assert [item.message for item in check(script).diagnostics if item.is_error] == []
    Session().run(script)


def test_a_cell_is_checked_for_each_of_its_values() -> None:
    (item,) = check("load planted:32x2\nsweep l in layers, n in 0..2:\n    survey l inits=n\n").diagnostics
    assert item.code == "EL206"


def test_the_types_of_columns_are_known() -> None:
    script = "load planted:32x2\nlet t = sweep seed in 0..1, l in layers:\n    row kept=true\nprint 1\n"
    checked = check(script)
    kind = next(kind for kind in checked.types.values() if str(kind) == "Table")
    assert [(name, str(held)) for name, held in kind.columns] == [
        ("seed", "Int"),
        ("l", "Layer"),
        ("kept", "Bool"),
    ]


def test_a_row_is_a_record() -> None:
    table = Session().run("sweep n in 0..1:\n    let r = {a: n}\n    row r\n")
    assert table.records == [Record({"n": 0, "a": 0}), Record({"n": 1, "a": 1})]
