"""Django's request over the server's: every attribute is made on first touch.

``_quintette.Request`` holds the head and body as they were received; ``HttpRequest`` gives the
methods. What Django's handlers set eagerly in ``__init__`` is a ``cached_property`` here: the
first access stores it in the instance, and assignment works as on any attribute.
"""

# HttpRequest declares plain attributes where there are descriptors here.
# mypy: disable-error-code="override, assignment, no-any-return"

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy, deepcopy
from functools import partial
from io import BytesIO, RawIOBase
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, QueryDict, parse_cookie
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils.datastructures import MultiValueDict
from django.utils.functional import cached_property

from quintette import _quintette
from quintette.auth.users import LazyUser, auser
from quintette.http import lazy

_wire_method = _quintette.Request.method.__get__
_wire_path = _quintette.Request.path.__get__
_wire_request_id = _quintette.Request.request_id.__get__
_wire_scheme = _quintette.Request.scheme.__get__


class _Overridable:
    """A property that the instance may have a value for."""

    def __init__(self, get: Callable[[Any], Any]) -> None:
        self._get = get

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self._get(instance)


# Bytes of a spooled body that are read ahead.
_READ_AHEAD = 64 * 1024


class _NoInput(RawIOBase):
    """wsgi.input of requests without a body. Has no state, so one serves them all."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return 0

    def close(self) -> None:
        pass


_NO_INPUT = _NoInput()


class Request(_quintette.Request, HttpRequest):
    """A ``django.http.HttpRequest`` for one request that Quintette's server received."""

    _read_started = False

    __repr__ = HttpRequest.__repr__

    def __copy__(self) -> Request:
        # One META for both, whichever of them asks for it first.
        self.META  # noqa: B018
        return _quintette.Request.__copy__(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Request:
        other = copy(self)
        memo[id(self)] = other
        attributes = self.__dict__.copy()
        stream = attributes.pop("_stream", None)
        if stream is not None:
            # META may hold it as well.
            del other._stream
            other._stream.seek(stream.tell())
            memo[id(stream)] = other._stream
        other.__dict__.update(deepcopy(attributes, memo))
        return other

    # --- of middleware

    session = lazy.Lazy(lazy.SESSION, lazy.session)
    user = lazy.Lazy(lazy.USER, lazy.user)
    _messages = lazy.Lazy(lazy.MESSAGES, lazy.messages)

    # --- request line

    @cached_property
    def method(self) -> str:
        return _wire_method(self).upper()

    @cached_property
    def request_id(self) -> str:
        """Empty where ``QUINTETTE["REQUEST_ID_HEADER"]`` is None."""
        return _wire_request_id(self)

    @cached_property
    def path_info(self) -> str:
        return self._wire_path_info()

    @cached_property
    def path(self) -> str:
        path = self._wire_path_info()
        prefix = self.script_name.rstrip("/")
        return f"{prefix}/{path.removeprefix('/')}" if prefix else path

    @cached_property
    def script_name(self) -> str:
        return settings.FORCE_SCRIPT_NAME or ""

    def _wire_path_info(self) -> str:
        path = _wire_path(self) or "/"
        prefix = self.script_name.rstrip("/")
        # A proxy may have taken the prefix away or left it: both are understood.
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path[len(prefix) :] or "/"
        return path

    scheme = HttpRequest.scheme

    def _get_scheme(self) -> str:
        return _wire_scheme(self)

    # --- head

    @cached_property
    def META(self) -> dict[str, Any]:  # noqa: N802
        meta = _quintette.Request.environ(self)
        meta["SCRIPT_NAME"] = self.script_name
        meta["PATH_INFO"] = self._wire_path_info()
        meta["wsgi.url_scheme"] = _wire_scheme(self)
        meta["wsgi.multithread"] = True
        meta["wsgi.multiprocess"] = True
        if self.body_len:
            # A chunked body has been received as a whole: say its length as CGI wants (RFC 3875,
            # 4.1.2), since Django's and others' parsers read nothing without it.
            meta.setdefault("CONTENT_LENGTH", str(self.body_len))
            meta["wsgi.input"] = self._stream
        else:
            meta["wsgi.input"] = _NO_INPUT
        if self._lazy & lazy.CSRF:
            self.__dict__["META"] = meta
            lazy.finish_meta(self)
        return meta

    @property
    def environ(self) -> dict[str, Any]:
        """META, under the name that WSGI code knows it by."""
        return self.META

    @cached_property
    def GET(self) -> QueryDict:  # noqa: N802
        meta = self.__dict__.get("META")
        query = self.query_string if meta is None else meta["QUERY_STRING"].encode("latin-1")
        return QueryDict(query, encoding=self._encoding)

    @cached_property
    def COOKIES(self) -> dict[str, str]:  # noqa: N802
        raw = self.META.get("HTTP_COOKIE", "")
        if raw.isascii() and raw == self.field("cookie"):
            return self.cookies()
        # Sent more than once, changed by middleware, or UTF-8, which WSGI servers have allowed.
        return parse_cookie(raw.encode("latin-1").decode(errors="replace"))

    # --- who asks

    def _get_auser(self) -> Any:
        user = self.__dict__.get("user")
        if self._lazy & lazy.USER and type(user) is not LazyUser:
            return lazy.auser(self)
        if user is None:
            raise AttributeError("auser")
        return partial(auser, self)

    # Django's own login functions put another one into the instance.
    auser = _Overridable(_get_auser)

    # --- media type and encoding

    @cached_property
    def content_type(self) -> str:
        self._read_content_type()
        return self.__dict__["content_type"]

    @cached_property
    def content_params(self) -> dict[str, str]:
        self._read_content_type()
        return self.__dict__["content_params"]

    @cached_property
    def _encoding(self) -> str | None:
        self._read_content_type()
        return self.__dict__["_encoding"]

    def _read_content_type(self) -> None:
        # These stay should the field be malformed (BadRequest), so that the page about the
        # error can be made from this same request.
        self.__dict__.setdefault("_encoding", None)
        self.__dict__.setdefault("content_type", "")
        self.__dict__.setdefault("content_params", {})
        if self.field("content-type") is not None or "META" in self.__dict__:
            # django-stubs does not know it.
            self._set_content_type_params(self.META)  # type: ignore[attr-defined]

    def _set_encoding(self, value: str | None) -> None:
        if "content_type" not in self.__dict__:
            # Now, or else the field's charset would replace `value` later.
            self._read_content_type()
        self._encoding = value
        self.__dict__.pop("GET", None)
        self.__dict__.pop("_post", None)

    encoding = property(lambda self: self._encoding, _set_encoding)

    # --- body

    @cached_property
    def _stream(self) -> IO[bytes]:
        fd = self.body_fd()
        return BytesIO(self.body_bytes()) if fd < 0 else os.fdopen(fd, "rb", _READ_AHEAD)

    @property
    def body(self) -> bytes:
        body = self.__dict__.get("_body")
        if body is not None:
            return body
        if self._read_started:
            raise RawPostDataException(
                "You cannot access body after reading from request's data stream"
            )
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if limit is not None and self.body_len > limit:
            raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
        # What was taken from wsgi.input is gone; all of a stream in memory is given without a copy.
        stream = self.__dict__.get("_stream")
        try:
            body = self.body_bytes() if stream is None else stream.read()
        except OSError as error:
            raise UnreadablePostError(*error.args) from error
        self._body = body
        self._stream = BytesIO(body)
        return body

    def _get_post(self) -> QueryDict:
        if "_post" not in self.__dict__:
            self._load_post_and_files()
        return self._post

    def _set_post(self, post: QueryDict) -> None:
        self._post = post

    POST = property(_get_post, _set_post)

    @property
    def FILES(self) -> MultiValueDict[str, Any]:  # noqa: N802
        if "_files" not in self.__dict__:
            self._load_post_and_files()
        files: MultiValueDict[str, Any] = self.__dict__["_files"]
        return files

    def close(self) -> None:
        HttpRequest.close(self)
        stream = self.__dict__.get("_stream")
        if stream is not None:
            stream.close()
