"""Dependencies: a handler and what it depends on become one function with a flat signature.

All of it happens at import time. Code is generated, from names of our own only, so that a request
runs what a careful programmer would have written by hand: calls, ``await`` where it is due, and
``with`` around what yields.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async

from quintette.api.markers import MISSING, Dependency
from quintette.api.results import aevaluated, evaluated
from quintette.api.signature import Parameter, Signature, is_async, is_in_loop, read, refuse
from quintette.api.streams import Held, HeldInThread, is_streamed

_DEPTH_MAX = 32


@dataclass
class Flat:
    """A handler without dependencies, or the wrapper that stands for one with them."""

    function: Callable[..., Any]
    parameters: list[Parameter]
    """In the order of the function's."""
    result: Any
    is_async: bool
    in_loop: bool


@dataclass
class _Node:
    """A call: its arguments are flat parameters or results of other nodes."""

    call: Callable[..., Any]
    arguments: list[tuple[str, str]]
    """(keyword, variable)."""
    variable: str

    @property
    def yields(self) -> bool:
        function = inspect.unwrap(self.call)
        return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)

    @property
    def is_async(self) -> bool:
        return is_async(self.call) or inspect.isasyncgenfunction(inspect.unwrap(self.call))


@dataclass
class _Flattening:
    path_names: frozenset[str]
    methods: frozenset[str]
    scope: dict[str, Any] | None = None
    parameters: list[Parameter] = field(default_factory=list)
    nodes: list[_Node] = field(default_factory=list)
    cache: dict[Any, str] = field(default_factory=dict)

    def arguments_of(self, signature: Signature, within: tuple[Any, ...]) -> list[tuple[str, str]]:
        own = {parameter.name: parameter for parameter in signature.parameters}
        arguments = []
        for name in signature.order:
            if name in own:
                arguments.append((name, f"p{len(self.parameters)}"))
                self.parameters.append(own[name])
            else:
                dependency = signature.dependencies[name]
                variable = self.add(dependency, within, signature.function, name)
                arguments.append((name, variable))
        return arguments

    def add(self, dependency: Dependency, within: tuple[Any, ...], function: Any, name: str) -> str:
        call = dependency.call
        assert call is not None
        if call in within or len(within) > _DEPTH_MAX:
            refuse(function, name, "depends on itself")
        if dependency.use_cache and call in self.cache:
            return self.cache[call]
        signature = read(call, self.path_names, self.methods, self.scope)
        arguments = self.arguments_of(signature, (*within, call))
        variable = f"d{len(self.nodes)}"
        self.nodes.append(_Node(call, arguments, variable))
        if dependency.use_cache:
            self.cache[call] = variable
        return variable


def flatten(
    function: Callable[..., Any],
    path_names: frozenset[str],
    methods: frozenset[str],
    extra: Sequence[Dependency] = (),
    scope: dict[str, Any] | None = None,
) -> Flat:
    signature = read(function, path_names, methods, scope)
    handler_is_async = is_async(function)
    # Such a call runs nothing of the handler yet.
    is_async_stream = inspect.isasyncgenfunction(inspect.unwrap(function))
    is_stream = is_async_stream or inspect.isgeneratorfunction(inspect.unwrap(function))
    if is_stream and not is_streamed(signature.result):
        refuse(
            function,
            "",
            "a handler that yields: declare EventStream[...] or JSONLines[...] as its result, or "
            "return Stream(...) of a generator",
        )
    if not signature.dependencies and not extra:
        parameters = sorted(signature.parameters, key=lambda parameter: parameter.keyword_only)
        in_loop = is_async_stream or is_in_loop(function)
        return Flat(function, parameters, signature.result, handler_is_async, in_loop)
    flattening = _Flattening(path_names, methods, scope)
    for dependency in extra:
        flattening.add(dependency, (), function, "")
    handler = _Node(function, flattening.arguments_of(signature, ()), "result")
    wrapper_is_async = (
        handler_is_async or is_async_stream or any(node.is_async for node in flattening.nodes)
    )
    wrapper = _compile(flattening, handler, wrapper_is_async, is_stream)
    parameters = [
        Parameter(p.name, p.source, p.type, p.default, p.marker, keyword_only=False)
        for p in flattening.parameters
    ]
    runs_in_loop = is_in_loop(function) and all(is_in_loop(node.call) for node in flattening.nodes)
    return Flat(wrapper, parameters, signature.result, wrapper_is_async, runs_in_loop)


def _compile(
    flattening: _Flattening, handler: _Node, wrapper_is_async: bool, is_stream: bool
) -> Callable[..., Any]:
    names = ", ".join(f"p{index}" for index in range(len(flattening.parameters)))
    stacked = any(node.yields for node in flattening.nodes)
    scope: dict[str, Any] = {
        "ExitStack": contextlib.ExitStack,
        "AsyncExitStack": contextlib.AsyncExitStack,
    }
    lines = [f"{'async ' if wrapper_is_async else ''}def wrapper({names}):"]
    indent = "    "
    if stacked:
        lines.append(
            f"{indent}async with AsyncExitStack() as stack:"
            if wrapper_is_async
            else f"{indent}with ExitStack() as stack:"
        )
        indent *= 2
    for index, node in enumerate(flattening.nodes):
        lines.append(
            f"{indent}{node.variable} = {_call(node, f'f{index}', scope, wrapper_is_async)}"
        )
    called = (
        _call_plainly(handler, "handler", scope)
        if is_stream
        else _call(handler, "handler", scope, wrapper_is_async)
    )
    lines.append(f"{indent}{handler.variable} = {called}")
    if stacked and is_stream:
        scope["Held"] = Held if wrapper_is_async else HeldInThread
        lines.append(f"{indent}return Held(stack.pop_all(), {handler.variable})")
    elif stacked:
        scope["evaluated"] = aevaluated if wrapper_is_async else evaluated
        wait = "await " if wrapper_is_async else ""
        lines.append(f"{indent}return {wait}evaluated({handler.variable})")
    else:
        lines.append(f"{indent}return {handler.variable}")
    exec(compile("\n".join(lines), "<quintette dependencies>", "exec"), scope)
    wrapper: Callable[..., Any] = scope["wrapper"]
    wrapper.__name__ = getattr(handler.call, "__name__", "wrapper")
    wrapper.__qualname__ = getattr(handler.call, "__qualname__", wrapper.__name__)
    wrapper.__module__ = handler.call.__module__
    return wrapper


def _call_plainly(node: _Node, name: str, scope: dict[str, Any]) -> str:
    scope[name] = node.call
    return f"{name}({', '.join(f'{keyword}={variable}' for keyword, variable in node.arguments)})"


def _call(node: _Node, name: str, scope: dict[str, Any], awaits: bool) -> str:
    arguments = ", ".join(f"{keyword}={variable}" for keyword, variable in node.arguments)
    inline = not awaits or is_in_loop(node.call)
    if node.yields and node.is_async:
        scope[name] = contextlib.asynccontextmanager(node.call)
        return f"await stack.enter_async_context({name}({arguments}))"
    if node.yields:
        manager = contextlib.contextmanager(node.call)
        scope[name] = manager if inline else _threaded(manager)
        enter = "stack.enter_context" if inline else "await stack.enter_async_context"
        return f"{enter}({name}({arguments}))"
    if node.is_async:
        scope[name] = node.call
        return f"await {name}({arguments})"
    scope[name] = node.call if inline else sync_to_async(node.call)
    return f"{name}({arguments})" if inline else f"await {name}({arguments})"


def _threaded(
    manager: Callable[..., contextlib.AbstractContextManager[Any]],
) -> Callable[..., contextlib.AbstractAsyncContextManager[Any]]:
    """A synchronous dependency of an asynchronous handler: entered and left in a thread."""

    class Threaded:
        def __init__(self, **arguments: Any) -> None:
            self._inner = manager(**arguments)

        async def __aenter__(self) -> Any:
            return await sync_to_async(self._inner.__enter__)()

        async def __aexit__(self, *exc_info: object) -> bool | None:
            return await sync_to_async(self._inner.__exit__)(*exc_info)  # type: ignore[arg-type]

    return Threaded


__all__ = ["MISSING", "Flat", "flatten"]
