"""From what the binding refused to a list of faults in words. Only on the way to an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec

from quintette.api import types
from quintette.api.errors import HTTPError, RequestError
from quintette.api.markers import Source
from quintette.api.text import RefusalsError, RefusedError, place_of, words_of

ERRORS_MAX: Final = 100

# Shared with binding/api/plan_data.h.
_MISSING, _TYPE, _BOUNDS, _ENCODING, _CONVERT, _TOO_MANY, _MEDIA, _GUARD, _PATH = range(9)

# Shared with include/q5/status.h.
_GUARDS = {
    -50: (400, "The body is not valid UTF-8"),
    -52: (400, "Malformed multipart body"),
    -53: (400, "Malformed JSON"),
    -54: (422, "Nested too deeply"),
    -55: (422, "Too many keys"),
    -56: (422, "Integer outside 64 bits"),
}
_GUARD_CODES = {-50: "encoding", -52: "multipart", -53: "json", -54: "depth", -55: "keys"}
_NAMES = {
    Source.PATH: "path",
    Source.QUERY: "query",
    Source.HEADER: "header",
    Source.COOKIE: "cookie",
    Source.FORM: "form",
    Source.FILE: "file",
    Source.BODY: "body",
    Source.BODY_FIELD: "body",
    Source.AUTH: "auth",
}

Fault = tuple[int, int, int, Any, BaseException | None, int]
"""Source, slot, code, text, exception, detail: as binding/api/extract.c reports it."""


@dataclass
class Explained:
    """A parameter, as far as its faults need it."""

    source: Source
    loc: tuple[str, ...]
    decode: Callable[[Any], Any] | None
    """Raises the words for a text that the binding refused by itself."""
    type: Any = None
    """Of a body."""


class Reject:
    """A plan's reject: (faults, body) -> raises."""

    def __init__(self, parameters: dict[int, Explained], media: str) -> None:
        self._parameters = parameters
        self._media = media

    def __call__(self, faults: list[Fault], body: bytes) -> NoReturn:
        errors: list[dict[str, Any]] = []
        for fault in faults:
            errors.extend(self._explain(fault, body))
        raise RequestError(errors[:ERRORS_MAX])

    def _explain(self, fault: Fault, body: bytes) -> Iterator[dict[str, Any]]:
        number, slot, code, text, error, detail = fault
        source = Source(number)
        parameter = self._parameters.get(slot, Explained(source, (), None))
        loc = parameter.loc
        if code == _MEDIA:
            raise HTTPError(415, f"Expected {self._media}.")
        if code == _PATH:
            raise HTTPError(404)
        if code == _GUARD:
            yield _guarded(source, detail, text)
        elif code == _MISSING:
            yield _entry(source, loc, "missing", "Missing")
        elif code == _ENCODING:
            yield _entry(source, loc, "encoding", "Not valid UTF-8")
        elif code == _TOO_MANY:
            if source in (Source.FORM, Source.FILE):
                raise HTTPError(413, "Too many fields or files.")
            yield _entry(source, loc, "too_many", "Too many values")
        elif source in (Source.BODY, Source.BODY_FIELD) and code == _CONVERT:
            yield from explain_body(parameter, error, body)
        else:
            yield from _explain_text(parameter, text, error)


def _entry(source: Source, loc: tuple[str | int, ...], code: str, message: str) -> dict[str, Any]:
    return {"in": _NAMES[source], "loc": list(loc), "msg": message, "type": code}


def _guarded(source: Source, status: int, offset: Any) -> dict[str, Any]:
    http, message = _GUARDS.get(status, (400, "Malformed body"))
    if isinstance(offset, int):
        message += f" (byte {offset})"
    entry = _entry(source, (), _GUARD_CODES.get(status, "big_int"), message)
    if http == 400:
        raise RequestError([entry], 400, f"{message}.")
    return entry


def _explain_text(
    parameter: Explained, text: Any, error: BaseException | None
) -> Iterator[dict[str, Any]]:
    source, loc = parameter.source, parameter.loc
    if error is None and parameter.decode is not None:
        try:
            parameter.decode(text)
        except Exception as again:
            error = again
    if isinstance(error, RefusalsError):
        for place, code, message in error.faults:
            # A group's own name is no name that a client knows.
            yield _entry(source, (*loc, *place), code, message)
    elif isinstance(error, (ValueError, TypeError)):
        yield _entry(source, loc, *words_of(str(error)))
    elif error is None:
        yield _entry(source, loc, "value", "Invalid value")
    else:
        raise error


# --- bodies -----------------------------------------------------------------------------


def explain_body(
    parameter: Explained, error: BaseException | None, body: bytes
) -> Iterator[dict[str, Any]]:
    """The decoder stops at the first fault; this walks the type to find the others."""
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        raise _malformed(body, str(error)) from error
    if isinstance(error, RefusedError):
        yield from _explain_text(parameter, None, error)
        return
    if types.is_pydantic(parameter.type):
        yield from _explain_pydantic(error)
        return
    if not isinstance(error, msgspec.ValidationError):
        raise error or AssertionError("no error to explain")
    try:
        data = msgspec.json.decode(body)
    except msgspec.DecodeError as malformed:
        raise _malformed(body, str(malformed)) from malformed
    found = list(Collector().collect(data, parameter.type))
    if not found:
        found = [(place_of(str(error)), *words_of(str(error)))]
    for loc, code, message in found[:ERRORS_MAX]:
        yield _entry(Source.BODY, loc, code, message)


def _malformed(body: bytes, message: str) -> RequestError:
    if message.startswith("Input data was truncated"):
        message = f"JSON is malformed: it ends too early (byte {len(body)})"
    entry = _entry(Source.BODY, (), "json", message)
    return RequestError([entry], 400, f"{message}.")


def _explain_pydantic(error: BaseException | None) -> Iterator[dict[str, Any]]:
    import pydantic

    if not isinstance(error, pydantic.ValidationError):
        raise error or AssertionError("no error to explain")
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        if fault["type"] == "json_invalid":
            entry = _entry(Source.BODY, (), "json", fault["msg"])
            raise RequestError([entry], 400, f"{fault['msg']}.")
        yield _entry(Source.BODY, fault["loc"], fault["type"], fault["msg"])


Found = tuple[tuple[str | int, ...], str, str]


class Collector:
    """Every fault of decoded JSON against a type, at most ERRORS_MAX."""

    def __init__(self) -> None:
        self._found: list[Found] = []

    def collect(self, data: Any, tp: Any) -> list[Found]:
        self._walk(data, tp, ())
        return self._found

    def _add(self, loc: tuple[str | int, ...], code: str, message: str) -> None:
        if len(self._found) < ERRORS_MAX:
            self._found.append((loc, code, message))

    def _walk(self, data: Any, tp: Any, loc: tuple[str | int, ...]) -> None:
        if len(self._found) >= ERRORS_MAX:
            return
        before = len(self._found)
        tp, optional = types.without_none(tp)
        if data is None and optional:
            return
        listed, keyed = types.list_of(tp), types.dict_of(tp)
        if isinstance(data, dict) and self._is_plain_object(tp):
            self._walk_object(data, tp, loc)
        elif isinstance(data, list) and listed:
            for index, item in enumerate(data):
                self._walk(item, listed[1], (*loc, index))
        elif isinstance(data, dict) and keyed:
            for key, value in data.items():
                self._walk(value, keyed[1], (*loc, key))
        elif isinstance(data, dict):
            self._walk_union(data, tp, loc)
        if len(self._found) == before:
            self._check(data, tp, loc, optional)

    def _is_plain_object(self, tp: Any) -> bool:
        if not types.is_object(tp) or types.is_pydantic(tp):
            return False
        config = getattr(types.class_of(tp), "__struct_config__", None)
        return config is None or not (config.array_like or config.tag_field)

    def _walk_union(self, data: dict[str, Any], tp: Any, loc: tuple[str | int, ...]) -> None:
        """The only object of a union is the one that is meant."""
        objects = [part for part in types.members(tp) if self._is_plain_object(part)]
        if len(objects) == 1 and len(types.members(tp)) > 1:
            self._walk_object(data, objects[0], loc)

    def _walk_object(self, data: dict[str, Any], tp: Any, loc: tuple[str | int, ...]) -> None:
        fields = types.fields_of(tp)
        for field in fields:
            if field.encode_name in data:
                self._walk(data[field.encode_name], field.type, (*loc, field.encode_name))
            elif field.required:
                self._add((*loc, field.encode_name), "missing", "Missing")
        if types.forbids_unknown(tp):
            known = {field.encode_name for field in fields}
            for name in data:
                if name not in known:
                    self._add((*loc, name), "unknown", "Unknown name")

    def _check(self, data: Any, tp: Any, loc: tuple[str | int, ...], optional: bool) -> None:
        try:
            msgspec.convert(data, tp | None if optional else tp, str_keys=True)
        except msgspec.ValidationError as error:
            place = (*loc, *place_of(str(error)))
            self._add(place, *words_of(str(error)))
        except TypeError:
            # `X | None` of something that is no class: the decoder's own words must do.
            pass
