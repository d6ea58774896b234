"""The extension, as far as Python code here uses it."""

from collections.abc import Callable
from typing import Any

# --- typed API: plan.c, router.c, call.c

class Plan:
    """What C does for one typed route; the tuples are laid out in api/plans.py."""

    def __new__(
        cls,
        handler: Callable[..., Any],
        kind: int,
        params: tuple[tuple[Any, ...], ...],
        positional: int,
        kwnames: tuple[str, ...],
        body: tuple[Any, ...],
        result: tuple[Any, ...],
        reject: Callable[[list[Any], bytes], Any],
        on_error: Callable[[BaseException, Any], tuple[Any, ...]],
    ) -> Plan: ...
    @property
    def handler(self) -> Callable[..., Any]: ...
    @property
    def kind(self) -> int: ...
    @property
    def body_max(self) -> int: ...
    @property
    def accepts_body(self) -> bool: ...

class Router:
    def __new__(cls) -> Router: ...
    def __len__(self) -> int: ...
    def add(self, method: str | None, pattern: str, route: Any, /) -> None: ...
    def add_converter(self, name: str, accepts: Callable[[str], bool], /) -> None: ...
    def match(self, method: str, path: bytes, /) -> tuple[Any, tuple[bytes, ...]] | None: ...

class Call:
    def __new__(
        cls,
        plan: Plan,
        method: str,
        target: bytes,
        fields: list[tuple[bytes, bytes]],
        body: bytes | bytearray | memoryview,
        request: Any,
        params: tuple[bytes, ...],
    ) -> Call: ...
    @property
    def kind(self) -> int: ...
    def invoke(self) -> Any: ...
    def encode(self, result: Any, /) -> tuple[Any, ...]: ...
    def fail(self, exception: BaseException, /) -> tuple[Any, ...]: ...

# --- the rest is still to be described

def __getattr__(name: str) -> Any: ...
