"""From a flat handler to the plan that the extension executes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from django.core.files.uploadedfile import UploadedFile
from django.urls.converters import get_converters
from msgspec import inspect

from quintette import _quintette
from quintette.api import answer, faults, handshake, text, types
from quintette.api.after import AfterResponse
from quintette.api.bodies import is_body_stream, json_decoder, stream_maker
from quintette.api.depends import Flat
from quintette.api.encoding import encode_json
from quintette.api.files import Upload
from quintette.api.markers import BIG_INT, MISSING, Source
from quintette.api.patterns import BUILT_IN, Pattern
from quintette.api.responses import pull
from quintette.api.results import Finish, is_undeclared, shape_of
from quintette.api.signature import Parameter, refuse
from quintette.api.websockets import messages_of
from quintette.concurrency.views import place_of

# Shared with binding/api/plan_data.h.
_ONE, _MANY, _GROUP = range(3)
_TO_STR, _TO_INT, _TO_FLOAT, _TO_BOOL, _TO_CALL = range(5)
_LOW_OPEN, _HIGH_OPEN, _EMPTY_UNSET, _GROUP_OPEN, _SLASHES = 4, 8, 16, 32, 64
_MEDIA_NONE, _MEDIA_JSON, _MEDIA_FORM, _MEDIA_ANY, _MEDIA_STREAM = range(5)
_MEDIA_NAMES = (
    "",
    "application/json",
    "application/x-www-form-urlencoded or multipart/form-data",
    "",
    "",
)

# Shared with binding/api/plan.h.
ASYNC, LOOP, THREAD = range(3)

# Of parameters that say who asks.
_WHO = ("user", "auth")

PARAMETERS_MAX = 62
_SCALARS = {str: _TO_STR, int: _TO_INT, float: _TO_FLOAT, bool: _TO_BOOL}


class _Conversion(NamedTuple):
    arity: int = _ONE
    conversion: int = _TO_STR
    flags: int = 0
    convert: Callable[..., Any] | None = None
    fields: dict[str, bool] | None = None
    low: int | float | None = None
    high: int | float | None = None
    decode: Callable[[Any], Any] | None = None
    """For the words of a refusal; not part of the plan."""


class Options(NamedTuple):
    """What a route says beside its handler."""

    status: int | None = None
    headers: answer.Fields = []
    body_max: int = 0
    middleware: bool | Sequence[str] | None = None
    websocket: handshake.Opening | None = None


OnError = Callable[[BaseException, Any], answer.Answer]


class Builder:
    """Checks a handler once, then builds a plan for each path that it is mounted under."""

    def __init__(self, function: Any, flat: Flat, pattern: Pattern, options: Options) -> None:
        self.function = function
        self.flat = flat
        self._pattern = pattern
        self._options = options
        if len(flat.parameters) > PARAMETERS_MAX:
            refuse(function, "", f"has more than {PARAMETERS_MAX} parameters")
        self.kind = ASYNC if flat.is_async else LOOP if flat.in_loop else THREAD
        self._body_type: Any = None
        self.media = self._media()
        self._conversions = [self._conversion(parameter) for parameter in flat.parameters]
        self._finish = self._make_finish()
        self._websocket = self._make_websocket()

    @property
    def streams_body(self) -> bool:
        return self.media == _MEDIA_STREAM

    @property
    def path_names(self) -> list[str]:
        """Pieces of the path, those that the mount must provide behind the route's own."""
        extra = [
            parameter.key
            for parameter in self.flat.parameters
            if parameter.source is Source.PATH and parameter.key not in self._pattern.names
        ]
        return [*self._pattern.names, *dict.fromkeys(extra)]

    def build(
        self,
        path_names: Iterable[str],
        on_error: OnError,
        guards: tuple[_quintette.Guard, ...] = (),
    ) -> _quintette.Plan:
        positions = {name: index for index, name in enumerate(path_names)}
        rows: list[tuple[Any, ...]] = []
        explained: dict[int, faults.Explained] = {}
        embedded = self._embedded()
        for slot, (parameter, conversion) in enumerate(
            zip(self.flat.parameters, self._conversions, strict=True)
        ):
            source = Source.BODY_FIELD if parameter in embedded else parameter.source
            index = _index(source, parameter, positions, slot)
            rows.append(_row(source, slot, index, parameter, conversion))
            explained[slot] = _explained(source, parameter, conversion)
        if embedded:
            slot = len(rows)
            rows.append(_body_row(slot, json_decoder(self._body_type)))
            explained[slot] = faults.Explained(Source.BODY, (), None, self._body_type)
        rows.sort(key=lambda row: row[0])
        keywords = tuple(p.name for p in self.flat.parameters if p.keyword_only)
        return _quintette.Plan(
            handler=self.flat.function,
            kind=self.kind,
            params=tuple(rows),
            positional=len(self.flat.parameters) - len(keywords),
            kwnames=keywords,
            body=self._body(),
            result=self._result(),
            reject=faults.Reject(explained, _MEDIA_NAMES[self.media]),
            on_error=on_error,
            sync=place_of(self.function),
            guards=guards,
            websocket=self._websocket,
        )

    # --- WebSockets ---

    def _make_websocket(self) -> tuple[Any, ...] | None:
        opening = self._options.websocket
        sockets = [p for p in self.flat.parameters if p.source is Source.SOCKET]
        if opening is None:
            if sockets:
                refuse(self.function, sockets[0].name, "only @api.websocket() routes have one")
            return None
        if self.kind != ASYNC:
            refuse(self.function, "", "a WebSocket's handler is `async def`")
        if not sockets:
            refuse(
                self.function, "", "a WebSocket's handler takes one: `socket: WebSocket[In, Out]`"
            )
        kinds = {messages_of(parameter.type) for parameter in sockets}
        if len(kinds) > 1:
            refuse(self.function, sockets[0].name, "differs in its messages from a dependency's")
        try:
            return handshake.compiled(opening, *kinds.pop(), json_decoder)
        except TypeError as error:
            refuse(self.function, sockets[0].name, str(error))

    # --- the body ---

    def _bodies(self) -> list[Parameter]:
        return [p for p in self.flat.parameters if p.source is Source.BODY]

    def _embedded(self) -> list[Parameter]:
        bodies = self._bodies()
        if len(bodies) > 1 or any(p.marker is not None and p.marker.embed for p in bodies):
            return bodies
        return []

    def _media(self) -> int:
        bodies = self._bodies()
        forms = [p for p in self.flat.parameters if p.source in (Source.FORM, Source.FILE)]
        if bodies and forms:
            refuse(
                self.function,
                bodies[0].name,
                f"is the body, but {forms[0].name!r} is part of a form: there is only one body",
            )
        if forms:
            return _MEDIA_FORM
        if not bodies:
            return _MEDIA_NONE
        if len(bodies) == 1 and types.strip(bodies[0].type) in (bytes, str):
            return _MEDIA_ANY
        streams = [p for p in bodies if is_body_stream(p.type)]
        if streams and len(bodies) > 1:
            refuse(self.function, streams[0].name, "takes the whole body, but is not alone")
        if streams:
            return _MEDIA_STREAM
        embedded = self._embedded()
        if embedded:
            self._body_type = _embedding(self.function, embedded)
        else:
            self._body_type = bodies[0].type
        return _MEDIA_JSON

    def _body(self) -> tuple[Any, ...]:
        big_int = copy_body = False
        if self.media == _MEDIA_JSON:
            copy_body = types.is_pydantic(self._body_type)
            if not copy_body:
                big_int, copy_body = _facts(self._body_type)
        return (self.media, self._options.body_max, big_int, copy_body, Upload)

    # --- parameters ---

    def _conversion(self, parameter: Parameter) -> _Conversion:
        try:
            return self._conversion_of(parameter)
        except TypeError as error:
            refuse(self.function, parameter.name, str(error))

    def _conversion_of(self, parameter: Parameter) -> _Conversion:
        source, tp = parameter.source, parameter.type
        if source in (Source.REQUEST, Source.AUTH, Source.SOCKET):
            return _Conversion()
        if source is Source.AFTER:
            return _Conversion(conversion=_TO_CALL, convert=AfterResponse)
        if source is Source.FILE:
            return _file_conversion(tp)
        if source is Source.BODY:
            if self.media == _MEDIA_ANY:
                is_str = types.strip(tp) is str
                return _Conversion(convert=_decode_utf8 if is_str else None)
            if self.media == _MEDIA_STREAM:
                return _Conversion(
                    conversion=_TO_CALL, convert=stream_maker(tp, self._options.body_max)
                )
            return _Conversion(conversion=_TO_CALL, convert=json_decoder(tp))
        inner, _ = types.without_none(tp)
        if types.is_object(inner):
            if source is Source.PATH:
                raise TypeError("a piece of the path is no object")
            return _group_conversion(source, inner)
        if types.list_of(inner):
            if source is Source.PATH:
                raise TypeError("a piece of the path is no list")
            convert = text.list_decoder(inner)
            return _Conversion(_MANY, _TO_CALL, convert=convert)
        conversion = _text_conversion(inner)
        if source is Source.PATH:
            return self._path_conversion(parameter, conversion)
        if source is Source.FORM and types.strip(inner) is not str:
            conversion = conversion._replace(flags=conversion.flags | _EMPTY_UNSET)
        return conversion

    def _path_conversion(self, parameter: Parameter, conversion: _Conversion) -> _Conversion:
        name = self._pattern.converter_of(parameter.key)
        if name == "path":
            return conversion._replace(flags=conversion.flags | _SLASHES)
        if name in BUILT_IN:
            return conversion
        to_python = get_converters()[name].to_python
        return _Conversion(conversion=_TO_CALL, convert=to_python, decode=to_python)

    # --- the result ---

    def _fields(self, content_type: str | None) -> answer.Fields:
        fields = self._options.headers
        if content_type and not any(name.lower() == "content-type" for name, _ in fields):
            return [("Content-Type", content_type), *fields]
        return list(fields)

    def _make_finish(self) -> Finish:
        tp = self.flat.result
        try:
            return Finish(
                tp,
                self._options.status or 200,
                self._fields("application/json"),
                self.kind == ASYNC,
            )
        except TypeError as error:
            refuse(self.function, "return", str(error))

    def _result(self) -> tuple[Any, ...]:
        tp = self.flat.result
        status = self._options.status
        is_none = not is_undeclared(tp) and types.strip(tp) in (None, type(None))
        # A declared result type says itself whether None is one of its values.
        none_is_empty = is_undeclared(tp) or is_none or status in (204, 205, 304)
        fields, none_fields = self._fields("application/json"), self._fields(None)
        return (
            status or 200,
            status or 204,
            none_is_empty,
            answer.lines_of(fields),
            answer.lines_of(none_fields),
            tuple(fields),
            tuple(none_fields),
            encode_json,
            shape_of(tp),
            self._finish,
            pull,
        )


def _index(source: Source, parameter: Parameter, positions: dict[str, int], slot: int) -> int:
    if source is Source.PATH:
        return positions[parameter.key]
    if source is Source.AUTH:
        return _WHO.index(parameter.key)
    return slot


# --- rows -------------------------------------------------------------------------------


def _row(
    source: Source, slot: int, index: int, parameter: Parameter, conversion: _Conversion
) -> tuple[Any, ...]:
    default = parameter.default
    required = default is MISSING
    is_factory = isinstance(default, (list, dict, set, bytearray))
    key = parameter.key.lower() if source is Source.HEADER else parameter.key
    return (
        int(source),
        conversion.arity,
        conversion.conversion if source is not Source.BODY_FIELD else _TO_STR,
        conversion.flags,
        slot,
        index,
        key.encode(),
        conversion.convert if source is not Source.BODY_FIELD else None,
        conversion.fields,
        parameter.name if source is Source.BODY_FIELD else None,
        required,
        None if required else (_copier(default) if is_factory else default),
        is_factory,
        conversion.low,
        conversion.high,
    )


def _body_row(slot: int, convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    return (
        int(Source.BODY), _ONE, _TO_CALL, 0, slot, slot, b"", convert, None, None, True, None,
        False, None, None,
    )  # fmt: skip


def _copier(default: Any) -> Callable[[], Any]:
    return lambda: copy.copy(default)


def _explained(source: Source, parameter: Parameter, conversion: _Conversion) -> faults.Explained:
    if conversion.arity == _GROUP or source is Source.BODY:
        return faults.Explained(source, (), conversion.decode, parameter.type)
    return faults.Explained(source, (parameter.key,), conversion.decode, parameter.type)


# --- conversions ------------------------------------------------------------------------


def _text_conversion(tp: Any) -> _Conversion:
    inner, metadata = types.split(tp)
    decode = text.decoder(tp)
    metas = [meta for meta in metadata if isinstance(meta, msgspec.Meta)]
    simple = _SCALARS.get(inner) if isinstance(inner, type) else None
    if simple is None or any(_is_beyond(meta) for meta in metas):
        return _Conversion(conversion=_TO_CALL, convert=decode, decode=decode)
    bounds: dict[str, Any] = {}
    for meta in metas:
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length"):
            value = getattr(meta, name)
            if value is not None:
                bounds[name] = value
    if simple == _TO_STR:
        low, high = bounds.get("min_length"), bounds.get("max_length")
        return _Conversion(low=low, high=high, decode=decode)
    if simple == _TO_INT:
        return _int_conversion(bounds, decode)
    if simple == _TO_FLOAT:
        return _float_conversion(bounds, decode)
    return _Conversion(conversion=simple, decode=decode)


def _is_beyond(meta: msgspec.Meta) -> bool:
    """It asks for more than the extension checks by itself."""
    return (
        meta.pattern is not None
        or meta.multiple_of is not None
        or meta.tz is not None
        or meta.extra == {BIG_INT: True}
    )


def _int_conversion(bounds: dict[str, Any], decode: Callable[[str], Any]) -> _Conversion:
    """msgspec takes whole numbers only, so that an open bound is the next number."""
    lows = [int(bounds["ge"])] if "ge" in bounds else []
    highs = [int(bounds["le"])] if "le" in bounds else []
    if "gt" in bounds:
        lows.append(int(bounds["gt"]) + 1)
    if "lt" in bounds:
        highs.append(int(bounds["lt"]) - 1)
    return _Conversion(
        conversion=_TO_INT,
        low=max(lows, default=None),
        high=min(highs, default=None),
        decode=decode,
    )


def _float_conversion(bounds: dict[str, Any], decode: Callable[[str], Any]) -> _Conversion:
    if {"ge", "gt"} <= bounds.keys() or {"le", "lt"} <= bounds.keys():
        return _Conversion(conversion=_TO_CALL, convert=decode, decode=decode)
    flags = (_LOW_OPEN if "gt" in bounds else 0) | (_HIGH_OPEN if "lt" in bounds else 0)
    return _Conversion(
        conversion=_TO_FLOAT,
        flags=flags,
        low=bounds.get("ge", bounds.get("gt")),
        high=bounds.get("le", bounds.get("lt")),
        decode=decode,
    )


def _group_conversion(source: Source, tp: Any) -> _Conversion:
    fields = []
    for item in types.fields_of(tp):
        key = item.encode_name
        if source is Source.HEADER:
            key = key.replace("_", "-").lower()
        try:
            fields.append(text.GroupField(item, key))
        except TypeError as error:
            raise TypeError(f"field {item.name!r}: {error}") from None
    convert = text.group_decoder(tp, fields, empty_unset=source is Source.FORM)
    is_open = types.forbids_unknown(tp) and source in (Source.QUERY, Source.FORM)
    return _Conversion(
        _GROUP,
        _TO_CALL,
        _GROUP_OPEN if is_open else 0,
        convert,
        {field.key: field.many for field in fields},
    )


def _file_conversion(tp: Any) -> _Conversion:
    inner, _ = types.without_none(tp)
    listed = types.list_of(inner)
    item = types.strip(listed[1] if listed else inner)
    if item is not bytes and not (isinstance(item, type) and issubclass(item, UploadedFile)):
        raise TypeError("a file is an UploadedFile or bytes")
    if not listed:
        return _Conversion(conversion=_TO_CALL, convert=_read if item is bytes else _same)
    container = listed[0]
    if item is bytes:
        return _Conversion(
            _MANY, _TO_CALL, convert=lambda uploads: container(_read(one) for one in uploads)
        )
    return _Conversion(_MANY, _TO_CALL, convert=container)


def _read(upload: UploadedFile[bytes]) -> bytes:
    with upload:
        content: bytes = upload.read()
        return content


def _same(value: Any) -> Any:
    return value


def _decode_utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise text.RefusedError("Not valid UTF-8") from None


# --- bodies -----------------------------------------------------------------------------


def _embedding(function: Any, parameters: list[Parameter]) -> Any:
    fields: list[Any] = []
    for parameter in parameters:
        if types.is_pydantic(parameter.type):
            refuse(function, parameter.name, "pydantic models cannot be members of a body")
        item: tuple[Any, ...] = (parameter.name, parameter.type)
        if parameter.default is not MISSING:
            default = parameter.default
            if isinstance(default, (list, dict, set, bytearray)):
                item = (*item, msgspec.field(default_factory=_copier(default), name=parameter.key))
            else:
                item = (*item, msgspec.field(default=default, name=parameter.key))
        else:
            item = (*item, msgspec.field(name=parameter.key))
        fields.append(item)
    return msgspec.defstruct("Body", fields, kw_only=True)


def _facts(tp: Any) -> tuple[bool, bool]:
    """Whether integers may be of any size, and whether the decoder keeps views of the text."""
    big_int = copy_body = False
    for info in types.walk_info(tp):
        if isinstance(info, inspect.DecimalType) or (
            isinstance(info, inspect.Metadata) and info.extra == {BIG_INT: True}
        ):
            big_int = True
        elif isinstance(info, (inspect.RawType, inspect.CustomType)):
            copy_body = True
    return big_int, copy_body
