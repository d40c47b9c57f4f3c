"""The magics in a real kernel: cells run again, out of order, after a restart, and the notebook's own names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipykernel", reason="a kernel needs ipykernel: pip install 'energylang[notebook]'")
manager = pytest.importorskip("jupyter_client.manager")

ROOT = Path(__file__).resolve().parents[2]
Cell = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def kernel() -> Iterator[tuple[Any, Any]]:
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    started = manager.start_new_kernel(
        kernel_name="python3", env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    )
    yield started
    started[1].stop_channels()
    started[0].shutdown_kernel(now=True)


@pytest.fixture
def cell(kernel: tuple[Any, Any]) -> Cell:
    """Runs a cell in a kernel that has just begun; gives what it showed, output by output, as text."""
    kernel[0].restart_kernel(now=True)
    kernel[1].wait_for_ready(timeout=300)
    return lambda code: run(kernel[1], code)


def failing(cell: Cell, code: str) -> str:
    """What is shown in place of a traceback, without its colours."""
    (shown,) = [text for text in cell(code) if text.startswith("error:")]
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


def run(client: Any, code: str) -> list[str]:
    wanted, shown = client.execute(code), []
    while True:
        message = client.get_iopub_msg(timeout=600)
        if message["parent_header"].get("msg_id") != wanted:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            shown.append(content["text"])
        elif kind in ("display_data", "execute_result"):
            data = content["data"]
            shown.append(re.sub(r"<[^>]+>", " ", data.get("text/html") or data["text/plain"]))
        elif kind == "error":
            shown.append("\n".join([f"error: {content['evalue']}", *content["traceback"]]))
        elif kind == "status" and content["execution_state"] == "idle":
            return shown


def test_names_of_the_notebook_stay_its_own(cell: Cell) -> None:
    cell('session = "mine"; surgeon = 5; b = 99')
    assert "stays so: %el has a session of its own" in cell("%load_ext energylang")[0]
    cell("%el load planted:64x4")
    cell("%el let b = 2")
    assert cell("session, surgeon, b") == ["('mine', 5, 99)"]
    assert "2" in cell("%el print b")[0] and "99" not in cell('%el print "{b} $b"')[0]
    cell("del session")
    assert "2" in cell("%el print b")[0], "the session goes on when the name is free"
    assert "Session(" in cell("session")[0]
    assert "goes on with the session it had" in "".join([*cell("session = []"), *cell("%el print b")])
    assert "2" in cell("%el print b")[0] and cell("session") == ["[]"]


def test_variables_of_a_script_are_python_s_too(cell: Cell) -> None:
    cell("%load_ext energylang")
    cell("%el load planted:64x4")
    cell("%el let e = survey L0")
    assert cell("e.num_basins, e is session.variables['e']") == ["(20, True)"]
    cell("%%el\nlet e = 3\nlet later = e + 1\nverify L0.B99")
    assert cell("e, later") == ["(3, 4)"], "set anew, also where the cell fails later"
    assert "stays what it is" in cell("%el let sum = 4")[0] and cell("%el let sum = 5") == []
    assert cell("sum([1, 2]), session.variables['sum']") == ["(3, 5)"]
    cell("e = 'mine'")
    assert "session.variables['e']" in cell("%el let e = 7")[0] and cell("e") == ["'mine'"]
    cell("del e")
    assert cell("%el let e = 8") == [] and cell("e") == ["8"]


def test_an_error_of_python_s_is_the_script_s_message(cell: Cell) -> None:
    cell("from energylang import Session\nsession = Session('planted:64x4')")
    found = failing(cell, "n = 3\nsession.survey(0, inis=n)")
    assert "error[EL204]" in found and "did you mean `inits`?" in found
    assert "line 2: session.survey(0, inis=n)" in found and "energylang/" not in found
    found = failing(cell, "def look():\n    session.verify('L0.B99')\nlook()")
    assert "EL510" in found and "line 2 in look" in found and "Traceback" not in found
    found = failing(cell, "session.run('survey L0\\nsurvey L7')")
    assert "<input>:2:8" in found and "^^" in found and "EL302" in found
    assert "Traceback" in failing(cell, "1 / 0"), "other errors are as they were"


def test_no_output_is_dropped(cell: Cell) -> None:
    cell("%load_ext energylang")
    cell("%el load planted:64x4")
    found = cell('%el survey L0; print "two"')
    assert len(found) == 2 and "basins" in found[0] and "two" in found[1]
    assert [text.split()[-1] for text in cell("%el for i in 0..2: print i")] == ["0", "1", "2"]
    assert [text.split()[-1] for text in cell('for k in range(2):\n    %el print "loop"')] == ["loop"] * 2
    assert "inside" in cell('def g():\n    %el print "inside"\ng()')[0]
    assert len(cell('%%el print "on the line"\nprint "below"')) == 2
    assert cell("x = %el survey L0\nx.num_basins") == ["20"]
    error = cell("%%el\nprint 1\nsurvey L0\nverify L0.B99\nprint 2")
    assert len(error) == 4 and "basins" in error[1] and error[3].startswith("error:"), error
    late = cell('%%el\nprint 1\nrequire 1 > 2, "no"\nprint 2')
    assert late[0].split()[-1] == "1" and "no" in late[1] and "Traceback" not in "".join(late)


def test_cells_again_and_out_of_order(cell: Cell) -> None:
    cell("%load_ext energylang")
    assert "EL207" in "".join(cell("%%el\nprint b"))
    definition = "%%el\nlet b = 2\ndef f(n: Int):\n    return n + b\nprint (f 1)"
    assert cell(definition)[0].split()[-1] == cell(definition)[0].split()[-1] == "3"
    assert cell("%%el\nprint b")[0].split()[-1] == "2"
    assert cell("%el print (f 5)")[0].split()[-1] == "7"
    load = "%el load planted:64x4"
    assert cell(load) == cell(load)
    cell("%el inject L0 42")
    again = "".join(cell("%el inject L0 42"))
    assert "Traceback" not in again and "L0" in again
    assert "1" in cell("%el undo; (status).undoable")[-1]
    assert cell("%reload_ext energylang") == []
    assert cell("%el print b")[0].split()[-1] == "2"


def test_a_kernel_that_begins_again_says_what_is_missing(cell: Cell) -> None:
    assert "not found" in "".join(cell("%el status"))
    cell("%load_ext energylang")
    said = "".join(cell("%el status"))
    assert "EL301" in said and "Traceback" not in said
    assert "planted" in cell("%el load planted:64x4")[0]
    assert "interrupt" not in "".join(cell("%el survey L0"))


def test_tasks_of_the_kernel_s_loop(cell: Cell) -> None:
    cell("%load_ext energylang\n%el load planted:16x2")
    code = """
import asyncio
said = []
async def first():
    with session.transaction():
        session.set("inits", 33)
        await asyncio.sleep(0.2)
async def second():
    await asyncio.sleep(0.05)
    try:
        get_ipython().run_line_magic("el", "set inits 44")
    except Exception as error:
        said.append(str(error))
await asyncio.gather(first(), second())
said, session.setting("inits")
"""
    found = "".join(cell(code))
    assert "EL544" in found and "33)" in found
