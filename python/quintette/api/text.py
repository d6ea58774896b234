"""Texts to values: what comes out of a path, a query string, a header, a cookie or a form.

The binding converts plain str, int, float and bool itself; what is here must agree with it, since
the words for a refusal come from here.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from quintette.api import types
from quintette.api.markers import BIG_INT

Decode = Callable[[str], Any]

_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INT_DIGITS_MAX = 4000  # below sys.set_int_max_str_digits' default
_FLOAT_LENGTH_MAX = 64
_WORDS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


class RefusedError(ValueError):
    """A text that is no value of the type: a message, and where in the value."""

    def __init__(self, message: str, loc: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.loc = loc


class RefusalsError(ValueError):
    """Several at once: (loc, code, message) each."""

    def __init__(self, faults: list[tuple[tuple[str | int, ...], str, str]]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


def decode_bool(text: str) -> bool:
    try:
        return _WORDS[text.lower()]
    except KeyError:
        raise RefusedError("Expected `bool`") from None


def decode_int(text: str) -> int:
    value = decode_big_int(text)
    if not -(2**63) <= value < 2**63:
        raise RefusedError("Expected `int` within 64 bits")
    return value


def decode_big_int(text: str) -> int:
    if not _INT.fullmatch(text) or len(text) > _INT_DIGITS_MAX:
        raise RefusedError("Expected `int`")
    return int(text)


def decode_float(text: str) -> float:
    if len(text) > _FLOAT_LENGTH_MAX or not _FLOAT.fullmatch(text):
        raise RefusedError("Expected `float`")
    value = float(text)
    if not math.isfinite(value):
        raise RefusedError("Expected a finite `float`")
    return value


def _decode_decimal(text: str) -> decimal.Decimal:
    value = msgspec.convert(text, decimal.Decimal, strict=False)
    if not value.is_finite():
        raise RefusedError("Expected a finite `decimal`")
    return value


def _decode_iso(cls: Any) -> Decode:
    """What RFC 3339 allows, and what browsers' date and time inputs send."""

    def decode(text: str) -> Any:
        try:
            return msgspec.convert(text, cls, strict=False)
        except msgspec.ValidationError as error:
            try:
                return cls.fromisoformat(text)
            except ValueError:
                raise error from None

    return decode


def _decode_str(text: str) -> str:
    return text


_SIMPLE: dict[Any, Decode] = {
    str: _decode_str,
    int: decode_int,
    float: decode_float,
    bool: decode_bool,
    decimal.Decimal: _decode_decimal,
    dt.time: _decode_iso(dt.time),
    dt.datetime: _decode_iso(dt.datetime),
    Any: _decode_str,
    object: _decode_str,
}


def decoder(tp: Any) -> Decode:
    """For one text. Raises TypeError at once for a type that no text can be."""
    tp, _ = types.without_none(tp)
    inner, metadata = types.split(tp)
    metas = tuple(meta for meta in metadata if isinstance(meta, msgspec.Meta))
    decode = _decoder_of(inner, metas)
    constraints = tuple(meta for meta in metas if meta.extra != {BIG_INT: True})
    if not constraints:
        return decode
    checked = types.annotated(inner, constraints)
    msgspec.json.Decoder(checked)  # raises TypeError for constraints that do not fit

    def decode_checked(text: str) -> Any:
        return msgspec.convert(decode(text), checked)

    return decode_checked


def _decoder_of(inner: Any, metas: tuple[msgspec.Meta, ...]) -> Decode:
    if inner is int and any(meta.extra == {BIG_INT: True} for meta in metas):
        return decode_big_int
    try:
        simple = _SIMPLE.get(inner)
    except TypeError:  # unhashable
        simple = None
    if simple:
        return simple
    parts = types.members(inner)
    if len(parts) > 1:
        return _union_decoder(inner, [decoder(part) for part in parts])
    if types.contains_object(inner) or types.list_of(inner):
        raise TypeError(f"{types.name_of(inner)} cannot be made of one text")
    msgspec.json.Decoder(inner)  # raises TypeError for types it does not know

    def decode(text: str) -> Any:
        return msgspec.convert(text, inner, strict=False)

    return decode


def _union_decoder(tp: Any, decoders: list[Decode]) -> Decode:
    """The first member, from left to right, that takes the text."""

    def decode(text: str) -> Any:
        for attempt in decoders:
            try:
                return attempt(text)
            except (ValueError, msgspec.ValidationError):
                continue
        names = " | ".join(types.name_of(part) for part in types.members(tp))
        raise RefusedError(f"Expected `{names}`")

    return decode


def list_decoder(tp: Any) -> Callable[[list[str]], Any]:
    """For all texts of a name."""
    tp, _ = types.without_none(tp)
    listed = types.list_of(tp)
    assert listed is not None
    container, item = listed
    decode = decoder(item)
    metas = tuple(meta for meta in types.split(tp)[1] if isinstance(meta, msgspec.Meta))
    checked = types.annotated(list, metas) if metas else None

    def decode_list(texts: list[str]) -> Any:
        values = []
        faults: list[tuple[tuple[str | int, ...], str, str]] = []
        for index, text in enumerate(texts):
            try:
                values.append(decode(text))
            except (ValueError, msgspec.ValidationError) as error:
                faults.append(((index,), *words_of(str(error))))
        if faults:
            raise RefusalsError(faults)
        if checked is not None:
            msgspec.convert(values, checked)
        return container(values)

    return decode_list


class GroupField:
    """A field of a struct that is filled from single texts."""

    __slots__ = ("decode", "key", "many", "name", "required")

    def __init__(self, field: types.Field, key: str) -> None:
        self.name = field.encode_name
        self.key = key
        self.required = field.required
        self.many = types.list_of(types.without_none(field.type)[0]) is not None
        self.decode: Callable[[Any], Any] = (
            list_decoder(field.type) if self.many else decoder(field.type)
        )


def group_decoder(
    tp: Any, fields: list[GroupField], *, empty_unset: bool = False
) -> Callable[[dict[str, Any]], Any]:
    """For the texts of a struct's fields, by their keys."""
    tp, _ = types.without_none(tp)
    known = {field.key for field in fields}
    strict = types.forbids_unknown(tp)

    def decode_group(texts: dict[str, Any]) -> Any:
        values: dict[str, Any] = {}
        faults: list[tuple[tuple[str | int, ...], str, str]] = []
        for field in fields:
            text = texts.get(field.key)
            if text is None or (empty_unset and text == "" and field.decode is not _decode_str):
                if field.required:
                    faults.append(((field.key,), "missing", "Missing"))
                continue
            try:
                values[field.name] = field.decode(text)
            except RefusalsError as error:
                faults.extend(((field.key, *loc), code, msg) for loc, code, msg in error.faults)
            except (ValueError, msgspec.ValidationError) as error:
                faults.append(((field.key,), *words_of(str(error))))
        if strict:
            faults.extend(((key,), "unknown", "Unknown name") for key in texts if key not in known)
        if faults:
            raise RefusalsError(faults)
        return _build(tp, values)

    return decode_group


def _build(tp: Any, values: dict[str, Any]) -> Any:
    if types.is_pydantic(tp):
        return types.class_of(tp).model_validate(values)
    return msgspec.convert(values, tp)


# What msgspec's messages begin with, and the code of each.
_CODES = (
    (re.compile(r"Object missing required field"), "missing"),
    (re.compile(r"Object contains unknown field"), "unknown"),
    (re.compile(r"Expected `[^`]*` (matching regex)"), "pattern"),
    (re.compile(r"Expected `[^`]*` of length (>=|> )"), "min_length"),
    (re.compile(r"Expected `[^`]*` of length (<=|< )"), "max_length"),
    (re.compile(r"Expected `[^`]*` of length"), "length"),
    (re.compile(r"Expected `[^`]*` >= "), "ge"),
    (re.compile(r"Expected `[^`]*` > "), "gt"),
    (re.compile(r"Expected `[^`]*` <= "), "le"),
    (re.compile(r"Expected `[^`]*` < "), "lt"),
    (re.compile(r"Expected `[^`]*` that's a multiple of"), "multiple_of"),
    (re.compile(r"Expected `[^`]*` within 64 bits"), "big_int"),
    (re.compile(r"Expected "), "type"),
    (re.compile(r"Invalid enum value"), "enum"),
    (re.compile(r"Invalid value "), "enum"),
)
_AT = re.compile(r" - at `(?P<where>key in )?(?P<path>\$[^`]*)`$")


def words_of(message: str) -> tuple[str, str]:
    """(code, message) of a refusal; the place is taken off."""
    message = _AT.sub("", message)
    for pattern, code in _CODES:
        if pattern.match(message):
            return code, message
    return "value", message


def place_of(message: str) -> tuple[str | int, ...]:
    """Where msgspec says that a fault is: ``$.cities[2].name``."""
    match = _AT.search(message)
    if not match:
        return ()
    return tuple(
        int(index) if index else name
        for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", match["path"])
    )
