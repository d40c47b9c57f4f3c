"""The concepts of a study: the micro-world's registers, or those of a JSON file.

    {"name": {"texts": ["…"], "markers": ["word", …], "contexts": ["…"]}, …}

``texts`` are what the concept is captured from, ``contexts`` replies that already are the concept (without them the
texts), ``contrasts`` texts like them without it, one for each (they are used where memories are studied). A reply is
the concept with the most marker words in it; none, or several with the most, have no label.
(PURE: no torch.)
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError
from energylang.files.storage import MAX_TEXT_BYTES, not_utf8, read_bytes

if TYPE_CHECKING:
    from energylang.studies.bench import Study

CONTEXTS = 16
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_NAME = re.compile(r"[^\W\d][\w-]{0,199}")
_FORM = '{"name": {"texts": ["…"], "markers": ["word", "…"], "contexts": ["…"], "contrasts": ["…"]}, "other": {…}}'
_PATTERNS = '{"question": "\\\\?", "love": "\\\\b(love|heart)\\\\b"}'


def micro_world(seed: int) -> Study:
    """The registers of the bundled corpus, captured from sentences that are no templates of it."""
    from energylang.studies.bench import Study
    from energylang.training import corpus

    draw = random.Random(seed)
    contexts: dict[str, list[str]] = {}
    for name in corpus.REGISTERS:
        said: list[str] = []
        while len(said) < CONTEXTS:
            said += [reply for _, reply in corpus.conversation(draw, name)]
        contexts[name] = said[:CONTEXTS]
    return Study(
        texts=corpus.sentences(),
        contexts=contexts,
        label=corpus.classify,
        fluent=lambda reply: corpus.parse(reply) is not None,
    )


def study_from(found: Mapping[str, Mapping[str, list[str]]]) -> Study:
    """The study of concepts that ``read_concepts`` found."""
    from energylang.studies.bench import Study

    return Study(
        texts={name: at["texts"] for name, at in found.items()},
        contexts={name: at.get("contexts") or at["texts"] for name, at in found.items()},
        label=labels({name: at["markers"] for name, at in found.items()}),
    )


def labels(markers: Mapping[str, list[str]]) -> Callable[[str], str | None]:
    """A function that names the concept with the most marker words in a reply."""
    owner = {word.lower(): name for name, words in markers.items() for word in words}

    def label(reply: str) -> str | None:
        counts = dict.fromkeys(markers, 0)
        for word in _WORD.findall(reply.lower()):
            if word in owner:
                counts[owner[word]] += 1
        most = max(counts.values())
        leaders = [name for name, count in counts.items() if count == most]
        return leaders[0] if most and len(leaders) == 1 else None

    return label


def read_concepts(path: Path) -> dict[str, dict[str, list[str]]]:
    """The concepts in a file; ``ElError`` (EL530) with the path and what is wrong."""
    found = _read_object(path, "--concepts", _FORM)
    if len(found) < 2:
        raise _bad(path, "must be an object with at least two concepts: what is not one has to be another")
    for name, value in found.items():
        _check(path, name, value)
    _check_markers(path, found)
    return found


def read_patterns(path: Path) -> dict[str, re.Pattern[str]]:
    """concept → pattern of a file ``{"name": "regular expression", …}``; ``^`` and ``$`` mean lines, ``(?i)`` letters
    of either case. ``ElError`` (EL530) with the path and what is wrong."""
    found, patterns = _read_object(path, "--patterns", _PATTERNS), {}
    for name, value in found.items():
        _check_name(path, name, _PATTERNS)
        if not isinstance(value, str) or not value:
            raise _bad(path, f"needs a regular expression as {name!r}", _PATTERNS)
        try:
            patterns[name] = re.compile(value, re.MULTILINE)
        except (re.error, OverflowError, RecursionError) as error:
            raise _bad(path, f"has no regular expression as {name!r}: {error}", _PATTERNS) from None
    return patterns


def _read_object(path: Path, option: str, form: str) -> dict[str, Any]:
    """A JSON object that is not empty; ``ElError`` with the path and what is wrong."""
    try:
        found = json.loads(
            read_bytes(path, MAX_TEXT_BYTES).decode("utf-8"), object_pairs_hook=_without_duplicates
        )
    except FileNotFoundError:
        raise ElError(f"there is no file {path}", code="EL530", hint=f"check the path of {option}") from None
    except IsADirectoryError:
        raise _bad(path, "is a folder", form) from None
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}", form) from None
    except UnicodeDecodeError as error:
        raise _bad(path, not_utf8(error)[0], form) from None
    except json.JSONDecodeError as error:
        where = f"(line {error.lineno}, column {error.colno})"
        raise _bad(path, f"is not JSON: {error.msg} {where}", form) from None
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"is not usable JSON: {error}", form) from None
    if not isinstance(found, dict) or not found:
        raise _bad(
            path,
            "must be an object with at least two concepts: what is not one has to be another"
            if form == _FORM
            else "must be an object with at least one pattern",
            form,
        )
    return found


def _check_name(path: Path, name: str, form: str) -> None:
    if not _NAME.fullmatch(name):
        raise _bad(path, f"names a concept {name!r}: a name is a letter, then letters, digits, _ or -", form)


def _check(path: Path, name: str, value: object) -> None:
    _check_name(path, name, _FORM)
    if not isinstance(value, dict):
        raise _bad(path, f"has no object with texts and markers for {name!r}")
    unknown = sorted(set(value) - {"texts", "markers", "contexts", "contrasts"})
    if unknown:
        raise _bad(path, f"has an unknown key {unknown[0]!r} in {name!r}")
    for key in ("texts", "markers", "contexts", "contrasts"):
        items = value.get(key)
        if items is None and key in ("contexts", "contrasts"):
            continue
        if (
            not isinstance(items, list)
            or not items
            or not all(isinstance(i, str) and i.strip() for i in items)
        ):
            raise _bad(path, f"needs a list of one or more non-empty strings as {key!r} of {name!r}")
    if len(value.get("contrasts") or value["texts"]) != len(value["texts"]):
        raise _bad(path, f"needs as many contrasts as texts of {name!r}")


def _check_markers(path: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    owner: dict[str, str] = {}
    for name, value in found.items():
        for marker in value["markers"]:
            if not _WORD.fullmatch(marker):
                raise _bad(path, f"has a marker of {name!r} that is not one word: {marker!r}")
            other = owner.setdefault(marker.lower(), name)
            if other != name:
                raise _bad(path, f"has the marker {marker!r} for both {other!r} and {name!r}")


def _bad(path: Path, what: str, form: str = _FORM) -> ElError:
    return ElError(f"{path} {what}", code="EL530", hint=f"the form is {form}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for k, (key, _) in enumerate(pairs) if key in dict(pairs[:k]))
        raise ValueError(f"{twice!r} occurs twice")
    return result
