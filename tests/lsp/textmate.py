"""What an editor makes of a TextMate grammar: a text cut into pieces, each with its scopes.

The part of the format that the grammar uses: ``match`` with ``captures``, ``begin``/``end`` with ``patterns``, and
``include`` of the repository. Line by line, as editors do it: the earliest match wins, of equal ones the first rule; an
``end`` comes before what stands inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

Rule = Mapping[str, Any]
_compiled = cache(re.compile)


@dataclass
class _Open:
    """A rule with ``begin`` whose ``end`` has not come yet."""

    end: str
    scopes: tuple[str, ...]
    rules: list[Rule]
    rule: Rule


def pieces(grammar: Rule, text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The pieces of a text, blanks left out, each with its scopes from the outermost to the innermost."""
    stack = [_Open(r"(?!)", (), list(_flat(grammar, grammar["patterns"])), {})]
    found: list[tuple[str, tuple[str, ...]]] = []
    for line in text.split("\n"):
        position = 0
        while True:
            top = stack[-1]
            best, chosen = _compiled(top.end).search(line, position), None
            for rule in top.rules:
                match = _compiled(rule.get("match") or rule["begin"]).search(line, position)
                if match is not None and (best is None or match.start() < best.start()):
                    best, chosen = match, rule
            if best is None:
                found.append((line[position:], top.scopes))
                break
            found.append((line[position : best.start()], top.scopes))
            if chosen is None:
                found += _captured(best, top.rule.get("endCaptures", {}), top.scopes)
                stack.pop()
            else:
                scopes = (*top.scopes, chosen["name"]) if "name" in chosen else top.scopes
                captures = chosen.get("captures", chosen.get("beginCaptures", {}))
                found += _captured(best, captures, scopes)
                if "begin" in chosen:
                    inside = list(_flat(grammar, chosen.get("patterns", [])))
                    stack.append(_Open(chosen["end"], scopes, inside, chosen))
                elif best.end() == position:
                    raise ValueError(f"{chosen['match']} matches nothing")
            position = best.end()
    return [(piece.strip(), scopes) for piece, scopes in found if piece.strip()]


def _flat(grammar: Rule, rules: list[Rule]) -> Iterator[Rule]:
    for rule in rules:
        if "include" in rule:
            yield from _flat(grammar, grammar["repository"][rule["include"].removeprefix("#")]["patterns"])
        else:
            yield rule


def _captured(
    match: re.Match[str], captures: Mapping[str, Rule], scopes: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    position = match.start()
    for number, named in sorted(captures.items(), key=lambda item: int(item[0])):
        start, end = match.span(int(number))
        yield match.string[position:start], scopes
        yield match.string[start:end], (*scopes, named["name"])
        position = end
    yield match.string[position : match.end()], scopes
