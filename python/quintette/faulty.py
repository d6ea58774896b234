"""What is wrong with a dictionary of settings: every mistake, each by its key."""

from __future__ import annotations

import difflib
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def faults(value: dict[Any, Any], struct: type[msgspec.Struct], place: str) -> list[str]:
    """One sentence for each key that is unknown or whose value is wrong; ``place`` is how the
    dictionary is called. Dictionaries within it that have keys of their own are looked into."""
    found = []
    names = {field.encode_name: field.name for field in msgspec.structs.fields(struct)}
    hints = get_type_hints(struct, include_extras=True)
    for key, item in value.items():
        if key not in names:
            found.append(f"{place} has an unknown key {key!r}.{_hint(key, list(names))}")
            continue
        inner = next(filter(_is_struct, _parts(hints[names[key]])), None)
        if inner is not None and isinstance(item, dict):
            found += faults(item, inner, f"{place}[{key!r}]")
            continue
        try:
            msgspec.convert(item, hints[names[key]])
        except msgspec.ValidationError as error:
            found.append(_explain(str(error), hints[names[key]], f"{place}[{key!r}]", item))
    return found


def _hint(key: object, known: list[str]) -> str:
    close = difflib.get_close_matches(str(key).upper(), known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _explain(message: str, kind: Any, place: str, item: object) -> str:
    # msgspec says "Expected `int` >= 1", and of what is inside " - at `$[0]`".
    reason, _, inside = message.partition(" - at ")
    for name, index in _STEP.findall(inside):
        place += f"[{name!r}]" if name else f"[{index}]"
    reason = reason.replace("`", "").replace("null", "None")
    words = _words(kind)
    if not inside and (reason.startswith("Invalid enum value") or (words and " got " in reason)):
        reason = f"expected {_alternatives(kind, words)}"
    got = "" if inside else f" (it is {item!r})"
    return f"{place}: {reason[:1].lower()}{reason[1:]}{got}."


def _parts(kind: Any) -> tuple[Any, ...]:
    return (kind, *get_args(kind))


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _words(kind: Any) -> list[str]:
    """The words that a setting may be."""
    literals = [part for part in _parts(kind) if get_origin(part) is Literal]
    return [word for literal in literals for word in get_args(literal)]


def _alternatives(kind: Any, words: list[str]) -> str:
    text = ", ".join(map(repr, words))
    return f"one of {text}" if get_origin(kind) is Literal else f"int or {text}"
