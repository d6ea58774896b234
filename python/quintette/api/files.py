"""Files of a multipart form, as they come out of the parser: ``UploadedFile`` in the end."""

from __future__ import annotations

import io
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import (
    InMemoryUploadedFile,
    TemporaryUploadedFile,
    UploadedFile,
)
from django.http.multipartparser import MultiPartParser


class Upload:
    """Collects one file; past FILE_UPLOAD_MAX_MEMORY_SIZE it moves to disk."""

    def __init__(self, field: bytes, name: bytes, content_type: bytes) -> None:
        self._field = field.decode("utf-8", "replace")
        # Strips directories and what else a file name must not hold.
        sanitised = MultiPartParser.sanitize_file_name(None, name.decode("utf-8", "replace"))  # type: ignore[arg-type]
        self._name = sanitised or "file"
        self._type, self._charset, self._extra = _content_type(content_type)
        self._memory_max = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        self._file: Any = io.BytesIO()
        self._size = 0
        self._on_disk = False

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if not self._on_disk and self._size > self._memory_max:
            start = self._file.getvalue()
            self._file = TemporaryUploadedFile(
                self._name, self._type, 0, self._charset, self._extra
            )
            self._file.write(start)
            self._on_disk = True
        self._file.write(data)

    def finish(self) -> UploadedFile[bytes]:
        self._file.seek(0)
        if self._on_disk:
            self._file.size = self._size
            upload: UploadedFile[bytes] = self._file
            return upload
        return InMemoryUploadedFile(
            self._file,
            self._field,
            self._name,
            self._type,
            self._size,
            self._charset,
            self._extra,
        )


def _content_type(value: bytes) -> tuple[str, str | None, dict[str, bytes]]:
    main, _, rest = value.decode("latin-1").partition(";")
    extra = {}
    for item in rest.split(";"):
        name, equals, parameter = item.strip().partition("=")
        if equals:
            extra[name.lower()] = parameter.strip('"').encode("latin-1")
    charset = extra.pop("charset", None)
    return (
        main.strip().lower() or "application/octet-stream",
        charset.decode("latin-1") if charset else None,
        extra,
    )
