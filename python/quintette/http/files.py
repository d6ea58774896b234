"""Which files the kernel may send without Python reading them."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from typing import Any

from django.core.files import File
from django.db.models.fields.files import FieldFile, ImageFieldFile

# Wrappers whose read() is that of the file inside. Exact types: a subclass may decrypt.
_WRAPPERS = {File, FieldFile, ImageFieldFile, tempfile._TemporaryFileWrapper}
_BUFFERED = {io.BufferedReader, io.BufferedRandom}
_DEPTH_MAX = 4


def sendable(response: Any) -> tuple[int, int, int] | None:
    """Descriptor, offset and length, if a FileResponse's file is a plain file on disk.

    None when its bytes only come out of its read(): a GzipFile, for one, has a fileno(), but
    that is the compressed file's.
    """
    file = response.file_to_stream
    raw = _raw_file(file)
    if raw is None or raw.closed:
        return None
    fd = raw.fileno()
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        return None
    offset = file.tell()
    length = max(0, info.st_size - offset)
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal():
        length = min(length, int(declared))
    return fd, offset, length


def _raw_file(file: Any) -> io.FileIO | None:
    for _ in range(_DEPTH_MAX):
        if type(file) in _WRAPPERS:
            file = file.file
        elif type(file) in _BUFFERED:
            file = file.raw
        else:
            break
    return file if type(file) is io.FileIO else None
