"""Calls that block, in a function that runs on the event loop and in those that it calls."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from quintette.checks import blockers
from quintette.checks.names import UNKNOWN, Scope, dotted
from quintette.checks.sources import Function, Sources, is_own

# How far calls are followed.
DEPTH_MAX = 6


@dataclass(frozen=True)
class Blocking:
    file: str
    line: int
    what: str
    """As it is called: ``time.sleep()``."""
    hint: str
    path: tuple[str, ...]
    """Dotted names, from the function that was asked about to the one that has the call."""


class Finder:
    """Looks at each function once, whoever calls it."""

    def __init__(self) -> None:
        self.sources = Sources()
        self.found: list[Blocking] = []
        self._seen: set[tuple[Any, type | None]] = set()

    def examine(self, function: Any, owner: type | None = None, path: tuple[str, ...] = ()) -> None:
        function = _function_of(function)
        if function is None or len(path) >= DEPTH_MAX or not is_own(function.__code__):
            return
        key = (function.__code__, owner)
        tree = self.sources.tree_of(function)
        if key in self._seen or tree is None:
            return
        self._seen.add(key)
        if self._is_allowed(function, tree):
            return
        name = f"{function.__module__}.{function.__qualname__}"
        visitor = _Visitor(self, function, Scope(function, tree, owner), (*path, name))
        for statement in tree.body:
            visitor.visit(statement)

    def examine_made(self, factory: Any) -> None:
        """The asynchronous functions that a function makes: a middleware's factory, say."""
        function = _function_of(inspect.unwrap(factory))
        if function is None or not is_own(function.__code__):
            return
        tree = self.sources.tree_of(function)
        if tree is None or self._is_allowed(function, tree):
            return
        name = f"{function.__module__}.{function.__qualname__}"
        scope = Scope(function, tree, None)
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef) and node is not tree:
                visitor = _Visitor(self, function, scope, (f"{name}.{node.name}",))
                for statement in node.body:
                    visitor.visit(statement)

    def _is_allowed(self, function: FunctionType, tree: Function) -> bool:
        """The comment may stand at any line of what comes before the body."""
        first = function.__code__.co_firstlineno
        lines = range(first, max(tree.body[0].lineno, first + 1))
        return self.sources.allows(function.__code__.co_filename, *lines)


class _Visitor(ast.NodeVisitor):
    def __init__(
        self, finder: Finder, function: FunctionType, scope: Scope, path: tuple[str, ...]
    ) -> None:
        self._finder = finder
        self._file = function.__code__.co_filename
        self._scope = scope
        self._path = path
        self._inner: dict[str, Function] = {}
        self._awaited: set[int] = set()

    # --- what runs later, or elsewhere

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inner[node.name] = node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inner[node.name] = node

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Not called here."""

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Its methods are not called here."""

    # --- what waits without blocking

    def visit_Await(self, node: ast.Await) -> None:
        self._awaited.add(id(node.value))
        self.generic_visit(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self._awaited.update(id(item.context_expr) for item in node.items)
        self.generic_visit(node)

    # --- what may block

    def visit_For(self, node: ast.For) -> None:
        self._look_at_iteration(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if not node.is_async:
            self._look_at_iteration(node.iter)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._look_at_call(node)
        self.generic_visit(node)

    def _look_at_iteration(self, node: ast.expr) -> None:
        if self._is_query(node):
            self._report(node, f"for ... in {_text(node)}", "Use `async for`.")

    def _look_at_call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name) and function.id in self._inner:
            inner = self._inner.pop(function.id)
            for statement in inner.body:
                self.visit(statement)
            return
        if isinstance(function, ast.Attribute) and self._scope.is_self(function.value):
            self._follow(self._scope.method(function), self._scope.owner)
            return
        target = self._scope.value(function)
        hint = None if id(node) in self._awaited else self._hint(node, function, target)
        if hint:
            self._report(node, f"{_text(function)}()", hint)
        elif target is not UNKNOWN:
            self._follow(target, None)

    def _hint(self, node: ast.Call, function: ast.expr, target: Any) -> str | None:
        if isinstance(function, ast.Call):
            maker = dotted(self._scope.value(function.func))
            known = maker in {"asgiref.sync.async_to_sync", "asgiref.sync.AsyncToSync"}
            return blockers.AWAIT if known else None
        if target is not UNKNOWN:
            hint = blockers.of_object(target) or blockers.of_function(dotted(target))
            if hint:
                return hint
        if isinstance(function, ast.Attribute):
            return self._hint_of_method(function)
        if isinstance(function, ast.Name) and function.id in blockers.CONSUMERS and node.args:
            is_builtin = dotted(target) == function.id
            return "Use `async for`." if is_builtin and self._is_query(node.args[0]) else None
        return None

    def _hint_of_method(self, function: ast.Attribute) -> str | None:
        if self._is_query(function.value):
            return blockers.of_query(function.attr)
        owner = self._scope.value(function.value)
        return None if owner is UNKNOWN else blockers.of_method(owner, function.attr)

    def _is_query(self, node: ast.expr) -> bool:
        """A manager, a query set, or what their methods make of them."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr in blockers.CHAINS and self._is_query(node.func.value)
        return blockers.is_query(self._scope.value(node))

    def _follow(self, target: Any, owner: type | None) -> None:
        self._finder.examine(target, owner, self._path)

    def _report(self, node: ast.expr, what: str, hint: str) -> None:
        last = node.end_lineno or node.lineno
        if self._finder.sources.allows(self._file, *range(node.lineno, last + 1)):
            return
        self._finder.found.append(Blocking(self._file, node.lineno, what, hint, self._path))


def _function_of(value: Any) -> FunctionType | None:
    """The code that a call of it runs first, where that is Python's."""
    if isinstance(value, MethodType):
        return _function_of(value.__func__)
    if isinstance(value, partial):
        return _function_of(value.func)
    if isinstance(value, FunctionType):
        return value
    if type(value).__qualname__ == "_lru_cache_wrapper":
        return _function_of(value.__wrapped__)
    return None


def _text(node: ast.expr) -> str:
    """On one line, without the arguments of calls."""
    if isinstance(node, ast.Attribute):
        return f"{_text(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return f"{_text(node.func)}({'...' if node.args or node.keywords else ''})"
    return ast.unparse(node)
