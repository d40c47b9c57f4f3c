"""Arithmetic, comparison and display of the language's values: total functions with an error, or a value."""

from __future__ import annotations

import math
from typing import Any

from energylang.errors import ElError
from energylang.results import Record, Result
from energylang.signature.coerce import type_name

MAX_ITEMS = 1_000_000
MAX_TEXT = 10_000_000


def is_number(value: Any, kind: type | tuple[type, ...] = (int, float)) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_TEXT:
            raise ElError(f"a text holds at most {MAX_TEXT:,} characters", code="EL521")
        return left + right
    if operator == "+" and isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return bounded([*left, *right])
    if not is_number(left) or not is_number(right):
        raise ElError(
            f"`{operator}` is not defined for {type_name(left)} and {type_name(right)}", code="EL210"
        )
    if operator in ("/", "%") and right == 0:
        raise ElError("division by zero", code="EL521")
    if operator == "**":
        return power(left, right)
    try:
        result = {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "/": lambda: left / right,
            "%": lambda: left % right,
        }[operator]()
    except OverflowError:
        raise ElError("the result is too large", code="EL521") from None
    if isinstance(result, int) and result.bit_length() > 4096:
        raise ElError("the result is too large", code="EL521")
    if isinstance(result, float) and math.isinf(result) and not math.isinf(left) and not math.isinf(right):
        raise ElError("the result is too large", code="EL521")
    return result


def power(base: Any, exponent: Any) -> Any:
    """``base ** exponent``: whole for whole numbers where that is one."""
    too_large = ElError("the result is too large", code="EL521")
    if base == 0 and exponent < 0:
        raise ElError("division by zero", code="EL521")
    if base < 0 and not (isinstance(exponent, int) or float(exponent).is_integer()):
        raise ElError("a negative number has no root", code="EL521", hint="`abs(x)` takes the sign away")
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0
    if whole and base.bit_length() * exponent > 4096 and abs(base) > 1:
        raise too_large
    try:
        result = base**exponent if whole else float(base) ** float(exponent)
    except OverflowError:
        raise too_large from None
    if isinstance(result, float) and math.isinf(result) and math.isfinite(base) and math.isfinite(exponent):
        raise too_large
    return result


def compare(operator: str, left: Any, right: Any) -> bool:
    if operator == "==":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    if left is None or right is None:
        return False
    comparable = (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str))
    if not comparable:
        raise ElError(
            f"`{operator}` is not defined for {type_name(left)} and {type_name(right)}", code="EL210"
        )
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


def bounded(items: list[Any]) -> list[Any]:
    """A list as it is. Raises ``ElError`` where it holds too many items, those of the lists in it included: a list that
    holds itself twice, twenty times over, is a million long."""
    count, waiting = 0, [iter(items)]
    while waiting:
        for item in waiting[-1]:
            count += 1
            if count > MAX_ITEMS:
                raise ElError(f"a list holds at most {MAX_ITEMS:,} items", code="EL521")
            if isinstance(item, list | tuple | Record):
                waiting.append(iter(item if not isinstance(item, Record) else item.values()))
                break
        else:
            waiting.pop()
    return items


def shown(value: Any, most: int = MAX_TEXT) -> str:
    """A value in a text: numbers in short form, lists in brackets, results by their name. Raises ``ElError`` where
    that takes more than ``most`` characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        parts, length = [], 2
        for item in value:
            parts.append(shown(item, most - length))
            length += len(parts[-1]) + 2
            if length > most + 2:
                raise ElError(f"a text holds at most {MAX_TEXT:,} characters", code="EL521")
        return "[" + ", ".join(parts) + "]"
    if value is None:
        return "none"
    if isinstance(value, Record):
        shown(list(value.values()), most)  # as long as it may be
        return "{" + ", ".join(f"{name}: {shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Result) and type(value).__str__ is Result.__str__:
        return type(value).__name__
    return str(value)
