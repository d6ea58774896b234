"""What a client does with a coded body, by the libraries that every browser's decoders are."""

from __future__ import annotations

import ctypes
import ctypes.util
import gzip

ROOM = 4 << 20


def _library(name: str) -> ctypes.CDLL:
    found = ctypes.util.find_library(name)
    assert found, f"{name} is not installed"
    return ctypes.CDLL(found)


def _zstd(data: bytes) -> bytes:
    decompress = _library("zstd").ZSTD_decompress
    decompress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(ROOM)
    size = decompress(out, ctypes.c_size_t(ROOM), data, ctypes.c_size_t(len(data)))
    assert size <= ROOM, "not zstd"
    return ctypes.string_at(out, size)


def _br(data: bytes) -> bytes:
    out = ctypes.create_string_buffer(ROOM)
    size = ctypes.c_size_t(ROOM)
    done = _library("brotlidec").BrotliDecoderDecompress(
        ctypes.c_size_t(len(data)), data, ctypes.byref(size), out
    )
    assert done == 1, "not br"
    return ctypes.string_at(out, size.value)


def decoded(content: bytes, coding: str | None) -> bytes:
    if coding is None:
        return content
    return {"gzip": gzip.decompress, "br": _br, "zstd": _zstd}[coding](content)
