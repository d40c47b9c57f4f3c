"""``el check`` and ``el fmt``: what is wrong with scripts, and how they should look. Neither imports torch."""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source
from energylang.diagnostics.visible import as_json, escaped, in_line
from energylang.files.storage import write_atomic

from .shared import FAILED, OK, WRONG, read_source, report, starting_model

WAIT = 0.3  # seconds between two looks at the files


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser("check", help="say what is wrong with a script, without running it")
    check.add_argument("scripts", nargs="+", metavar="script")
    check.add_argument("--json", action="store_true", help="print the diagnostics as JSON")
    check.add_argument("--model", help="the model that will be loaded when the script starts")
    check.add_argument(
        "--watch", action="store_true", help="check again whenever a file changes, until Ctrl-C"
    )
    check.set_defaults(run=_check)

    fmt = commands.add_parser("fmt", help="write scripts in their canonical form")
    fmt.add_argument(
        "scripts", nargs="+", metavar="script", help="files to rewrite; - from standard input to output"
    )
    fmt.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file would change")
    fmt.add_argument("--diff", action="store_true", help="write nothing; show what would change")
    fmt.add_argument("--json", action="store_true", help="print which files (would) change as JSON")
    fmt.set_defaults(run=_fmt)


# ----------------------------------------------------------------------------------------------- check


def _check(chosen: argparse.Namespace) -> int:
    if not chosen.watch:
        return _check_once(chosen)
    if "-" in chosen.scripts:
        report([Diagnostic("EL530", "standard input cannot be watched", None)])
        return WRONG
    return watch(chosen.scripts, lambda: _check_once(chosen))


def watch(
    paths: Iterable[str], check: Callable[[], int], *, wait: Callable[[float], None] = time.sleep
) -> int:
    """Check, and again whenever one of the files or a module beside them changes; the last result, once the wait
    is interrupted."""
    files = [Path(path) for path in paths]
    code, seen = OK, None
    try:
        while True:
            now = _stamps(files)
            if now != seen:
                seen = now
                sys.stdout.write(f"\n── {time.strftime('%H:%M:%S')} " + "─" * 60 + "\n")
                code = check()
                sys.stdout.flush()
            wait(WAIT)
    except KeyboardInterrupt:
        return code


def _stamps(files: list[Path]) -> dict[Path, tuple[int, int]]:
    """Size and time of the files and of all modules beside them."""
    stamps = {}
    for path in {*files, *(module for file in files for module in file.parent.glob("*.el"))}:
        try:
            found = path.stat()
        except OSError:
            continue
        stamps[path] = found.st_mtime_ns, found.st_size
    return stamps


def _check_once(chosen: argparse.Namespace) -> int:
    from energylang.checker import check

    state = starting_model(chosen.model)
    found = [state] if isinstance(state, Diagnostic) else []
    for path in chosen.scripts:
        if isinstance(state, Diagnostic):
            break
        source = read_source(path)
        found += [source] if isinstance(source, Diagnostic) else check(source, model=state).diagnostics
    wrong = any(item.is_error for item in found)
    if chosen.json:
        print(as_json({"diagnostics": [item.to_dict() for item in found]}, indent=2))
    elif found:
        report(found)
    else:
        count = len(chosen.scripts)
        print("no problems found" if count == 1 else f"no problems found in {count} scripts")
    return WRONG if wrong else OK


# ------------------------------------------------------------------------------------------------- fmt


def _fmt(chosen: argparse.Namespace) -> int:
    changed: list[str] = []
    problems: list[Diagnostic] = []
    for path in chosen.scripts:
        source = read_source(path)
        result = source if isinstance(source, Diagnostic) else formatted(source)
        if isinstance(result, list):
            problems += result
        elif isinstance(result, Diagnostic) or isinstance(source, Diagnostic):
            problems.append(result if isinstance(result, Diagnostic) else source)  # type: ignore[arg-type]
        else:
            if result != source.text:
                changed.append(source.name)
            _deliver(chosen, path, source, result)
    if chosen.json:
        document = {"changed": changed, "diagnostics": [item.to_dict() for item in problems]}
        print(as_json(document, indent=2))
    elif problems:
        report(problems)
    elif chosen.check and changed:
        print(in_line("would be rewritten: " + ", ".join(changed)))
    if problems:
        return WRONG
    return FAILED if changed and (chosen.check or chosen.diff) else OK


def formatted(source: Source) -> str | list[Diagnostic]:
    """A script in canonical form, or its syntax errors."""
    from energylang.checker import parser
    from energylang.ops.spelling import respellings
    from energylang.syntax.formatter import format_source

    text = format_source(source, parser(), respellings)
    return text if text is not None else parser().parse(source)[1]


def _write(lines: Iterable[str]) -> None:
    """A program goes into a file or a pipe as it is; on a terminal it is only looked at."""
    shown = escaped if sys.stdout.isatty() else str
    sys.stdout.writelines(shown(line) for line in lines)


def _deliver(chosen: argparse.Namespace, path: str, source: Source, text: str) -> None:
    if chosen.diff and not chosen.json:
        before, after = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
        _write(difflib.unified_diff(before, after, source.name, f"{source.name} (formatted)"))
    elif path == "-" and not chosen.check and not chosen.json:
        _write([text])
    elif text != source.text and path != "-" and not chosen.check and not chosen.diff:
        write_atomic(Path(path).resolve(), text.encode("utf-8"))
