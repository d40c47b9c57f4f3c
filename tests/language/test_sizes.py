"""Large scripts: memory and time stay small, and long runs of comments mean what short ones mean."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from energylang.checker import check, parser
from energylang.checker.facts import Values
from energylang.diagnostics.source import Source
from energylang.ops.spelling import respellings
from energylang.syntax.formatter import format_source

MEASURED = """
import re, sys, time
from energylang.cli.main import main
begun = time.process_time()
code = main([sys.argv[1], sys.argv[2]])
spent = time.process_time() - begun
# Of this program alone: what getrusage calls the largest begins with what started it.
kept = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print("code", code, "seconds", spent, "MiB", kept / 1024)
"""


def measured(tmp_path: Path, script: str, word: str = "check") -> tuple[int, float, float, str]:
    """The exit code, the seconds of the processor, the MiB at the peak, and what was printed."""
    path = tmp_path / "big.el"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, word, str(path)], capture_output=True, text=True, check=False
    )
    found = re.search(r"code (\d) seconds (\S+) MiB (\S+)", done.stdout)
    assert found, done.stderr[-2000:]
    return int(found[1]), float(found[2]), float(found[3]), done.stdout


def test_a_megabyte_of_comments_takes_little_memory(tmp_path: Path) -> None:
    code, _, mebibytes, _ = measured(tmp_path, "#\n" * 500_000)
    assert code == 0
    assert mebibytes < 300


@pytest.mark.slow
@pytest.mark.parametrize("line", ["let x{} = {}\n", "print {} + {}\n"])
def test_a_hundred_thousand_statements_do_not_take_quadratic_time(tmp_path: Path, line: str) -> None:
    code, seconds, mebibytes, _ = measured(tmp_path, "".join(line.format(i, i) for i in range(100_000)))
    assert code == 0
    assert seconds < 25  # about 8 where nothing else runs; a quadratic walk took minutes
    assert mebibytes < 600


@pytest.mark.slow
def test_a_sum_that_is_very_long_has_an_answer(tmp_path: Path) -> None:
    code, _, mebibytes, said = measured(tmp_path, "print " + " + ".join(["1"] * 225_000) + "\n", "run")
    assert code == 0
    assert "225000" in said
    assert mebibytes < 1500


BLANKS = {
    "comments": "# a remark\n",
    "blank lines": "\n",
    "both, indented": "   \n        # a remark\n",
    "ends of lines of another kind": "# a remark\r\n\r\n",
}
SCRIPT = """{0}let a = [1,
{0}    2]
{0}if a.count > 1:
{0}    print a[0]
{0}    for x in a:
{0}        print x
{0}    print "x"  # beside
{0}else:
{0}    pass
{0}def f(x: Int):
{0}    return x
{0}print (f 3)
{0}"""


def shape(text: str) -> tuple[list[str], list[tuple[str, int]]]:
    """The statements of a script as they are written, and what is wrong with it, by lines without what is blank."""
    program, problems = parser().parse(Source(text, "a.el"))
    written = [re.sub(r"(#[^\n]*|\s)+", " ", statement.span.text) for statement in program.statements]
    return written, [(item.code, 0) for item in problems]


@pytest.mark.parametrize("times", [1, 199, 200, 201, 1000])
@pytest.mark.parametrize("blank", BLANKS)
def test_how_long_a_run_of_comments_is_changes_nothing(blank: str, times: int) -> None:
    few, many = SCRIPT.format(BLANKS[blank]), SCRIPT.format(BLANKS[blank] * times)
    assert shape(many) == shape(few) == shape(SCRIPT.format(""))
    assert not [item for item in check(many).diagnostics if item.is_error]


def test_an_error_behind_many_comments_is_where_it_is() -> None:
    (item,) = check("if true:\n    print 1\n" + "# a\n" * 700 + "      print 2\n").diagnostics
    assert item.span is not None
    assert (item.code, item.span.start_location()[0]) == ("EL104", 703)
    (item,) = check("# a\n" * 900 + "print y\n").diagnostics
    assert item.span is not None
    assert item.span.start_location() == (901, 7)


def test_the_formatter_keeps_them_all() -> None:
    text = "print 1\n" + "# a\n" * 900 + "print 2\n" + "if true:\n" + "    # b\n" * 450 + "    print 3\n"
    made = format_source(Source(text, "a.el"), parser(), respellings)
    assert made is not None
    assert (made.count("# a\n"), made.count("# b\n")) == (900, 450)
    assert format_source(Source(made, "a.el"), parser(), respellings) == made


def test_values_are_what_a_mapping_is() -> None:
    plain: dict[str, int] = {}
    values = Values()
    for k in range(3000):
        name = f"x{k * 7919 % 500}"
        value = None if k % 5 == 0 else k
        before, kept = values, dict(plain)
        values = values.having(name, value)
        if value is None:
            plain.pop(name, None)
        else:
            plain[name] = value
        if k % 97 == 0:
            assert dict(before) == kept
            assert (dict(values), len(values), values) == (plain, len(plain), Values(dict(plain)))
            assert (name in values, values.get(name)) == (value is not None, value)
