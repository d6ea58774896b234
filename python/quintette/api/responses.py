"""Responses that say more than a value: a status, fields, another type of content."""

from __future__ import annotations

import hashlib
import inspect
import mimetypes
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.utils.http import content_disposition_header

from quintette.api import answer
from quintette.api.encoding import encode_json

Headers = Mapping[str, str] | Iterable[tuple[str, str]] | None


class Response:
    """What the classes below share. Any of them may be returned from any handler."""

    content_type: str | None = None

    def __init__(
        self,
        content: Any = None,
        *,
        status: int = 200,
        headers: Headers = None,
        content_type: str | None = None,
    ) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"a response's status is between 200 and 599, not {status}")
        self.content = content
        self.status = status
        self._fields = answer.checked_fields(headers)
        if content_type is not None:
            self.content_type = content_type
        self._jar: HttpResponse | None = None

    def set_cookie(self, key: str, value: str = "", **attributes: Any) -> None:
        """As ``HttpResponse.set_cookie``."""
        self._cookies().set_cookie(key, value, **attributes)

    def delete_cookie(self, key: str, **attributes: Any) -> None:
        """As ``HttpResponse.delete_cookie``."""
        self._cookies().delete_cookie(key, **attributes)

    def _cookies(self) -> HttpResponse:
        if self._jar is None:
            self._jar = HttpResponse()
        return self._jar

    def fields(self) -> answer.Fields:
        fields = list(self._fields)
        if self.content_type and not any(name.lower() == "content-type" for name, _ in fields):
            fields.insert(0, ("Content-Type", self.content_type))
        if self._jar is not None:
            fields.extend(
                ("Set-Cookie", morsel.OutputString()) for morsel in self._jar.cookies.values()
            )
        return fields

    def answer(self) -> answer.Answer:
        return answer.BODY, self.status, self.fields(), self.body()

    def body(self) -> bytes:
        content = self.content
        if content is None:
            return b""
        return content if isinstance(content, bytes) else str(content).encode()


class Answered(Response):
    """What an asynchronous exception handler has made already."""

    def __init__(self, made: answer.Answer) -> None:
        super().__init__()
        self._made = made

    def answer(self) -> answer.Answer:
        return self._made


class JSON(Response):
    """Any value, encoded as it is: a declared result type does not filter it."""

    content_type = "application/json"

    def body(self) -> bytes:
        return encode_json(self.content)


class HTML(Response):
    """A page, or a piece of one, as text."""

    content_type = "text/html; charset=utf-8"


class Text(Response):
    """Plain text, UTF-8."""

    content_type = "text/plain; charset=utf-8"


class Redirect(Response):
    """302, or 308 with ``permanent``, which like 307 keeps the method."""

    def __init__(
        self, url: str, *, status: int = 302, permanent: bool = False, headers: Headers = None
    ) -> None:
        super().__init__(status=308 if permanent else status, headers=headers)
        location = quote(url, safe="/#%[]=:;$&()+,!?*@'~")
        self._fields.append(("Location", location))


# Shared with include/q5/static_file.h.
_TAG_MAX = 36


class SendFile(Response):
    """A file, by its path or opened in binary mode; the server closes it. One on disk answers
    conditional requests and a ``Range``, like a static file."""

    def __init__(
        self,
        file: str | os.PathLike[str] | IO[bytes],
        *,
        filename: str | None = None,
        as_attachment: bool = False,
        status: int = 200,
        headers: Headers = None,
        content_type: str | None = None,
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.file: IO[bytes] = (
            Path(file).open("rb")  # noqa: SIM115
            if isinstance(file, (str, os.PathLike))
            else file
        )
        name = filename or os.path.basename(getattr(self.file, "name", "") or "")
        guessed = mimetypes.guess_type(name)[0] if name else None
        self.content_type = content_type or guessed or "application/octet-stream"
        disposition = content_disposition_header(as_attachment, name)
        if disposition and (as_attachment or filename):
            self._fields.append(("Content-Disposition", disposition))

    def answer(self) -> answer.Answer:
        try:
            info = os.fstat(self.file.fileno())
        except (OSError, AttributeError):  # not on disk: io.BytesIO and the like
            with self.file:
                return answer.BODY, self.status, self.fields(), self.file.read()
        offset = self.file.tell()
        size = info.st_size - offset
        fields = self.fields()
        given = {name.lower(): value for name, value in fields}
        tag = given.get("etag") or _tag_of(info, offset)
        if "etag" not in given:
            fields.append(("ETag", tag))
        if "last-modified" not in given:
            fields.append(("Last-Modified", formatdate(info.st_mtime, usegmt=True)))
        made = answer.FILE, self.status, fields, self.file, offset, size, _Closer(self.file)
        if self.status != 200 or len(tag) > _TAG_MAX:
            return made
        return *made, tag.encode("latin-1"), int(info.st_mtime)


def _tag_of(info: os.stat_result, offset: int) -> str:
    state = f"{info.st_dev} {info.st_ino} {info.st_size} {info.st_mtime_ns} {offset}"
    return f'"{hashlib.blake2b(state.encode(), digest_size=12).hexdigest()}"'


class _Closer:
    """Closing a file does not block: it needs no thread."""

    def __init__(self, file: IO[bytes]) -> None:
        self.close = self.close_on_loop = file.close


class Stream(Response):
    """Pieces of a body (``bytes``, ``str`` or anything JSON), from a sync or async iterable, sent
    as they come."""

    content_type = "application/octet-stream"

    def answer(self) -> answer.Answer:
        source = self.content
        closer = source if hasattr(source, "close") and not inspect.isasyncgen(source) else None
        if isinstance(source, AsyncIterable):
            pieces: Any = _encode_async(source)
            return answer.STREAM, self.status, self.fields(), pieces, True, closer
        return answer.STREAM, self.status, self.fields(), map(_piece, source), False, closer


_END = object()


async def pull(source: Iterable[Any]) -> AsyncIterator[Any]:
    """Runs a synchronous iterator in a thread, piece by piece."""
    iterator = iter(source)
    step: Any = sync_to_async(next)
    while (piece := await step(iterator, _END)) is not _END:
        yield piece


def _piece(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode()
    return msgspec.json.encode(item) + b"\n"


async def _encode_async(source: AsyncIterable[Any]) -> Any:
    async for item in source:
        yield _piece(item)
