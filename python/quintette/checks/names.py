"""What an expression of a function means, as far as that can be told without running it."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from types import FunctionType, ModuleType
from typing import Any, Final

from django.db.models import Model
from django.db.models.manager import ManagerDescriptor

from quintette.checks.sources import Function


class Unknown:
    """Of another type than anything that an expression may be."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


class Scope:
    """The names of one function. ``owner`` is the class whose method it is, where that is known."""

    def __init__(self, function: FunctionType, tree: Function, owner: type | None) -> None:
        self._function = function
        self._locals = _assigned(tree)
        self._imports = _imported(tree)
        first = [*tree.args.posonlyargs, *tree.args.args][:1]
        self._self = first[0].arg if owner is not None and first else ""
        self.owner = owner
        self._cells = dict(
            zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        )

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return _attribute(self.value(node.value), node.attr)
        return UNKNOWN

    def is_self(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and bool(self._self) and node.id == self._self

    def method(self, node: ast.Attribute) -> Any:
        """What ``self.name`` is, on the class."""
        found = inspect.getattr_static(self.owner, node.attr, UNKNOWN)
        return found.__func__ if isinstance(found, staticmethod | classmethod) else found

    def _name(self, name: str) -> Any:
        if name in self._imports:
            return _import(*self._imports[name])
        if name in self._locals:
            return UNKNOWN
        if name in self._cells:
            try:
                return self._cells[name].cell_contents
            except ValueError:  # not yet filled
                return UNKNOWN
        scope = self._function.__globals__
        return scope[name] if name in scope else getattr(builtins, name, UNKNOWN)


def dotted(value: Any) -> str:
    """``time.sleep``: the module and name under which a function or class was made."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return ""
    module = {"posix": "os", "nt": "os", "_socket": "socket"}.get(module, module)
    return name if module == "builtins" else f"{module}.{name}"


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, Unknown):
        return UNKNOWN
    if isinstance(owner, ModuleType):
        return vars(owner).get(name, UNKNOWN)
    if isinstance(owner, type):
        found = inspect.getattr_static(owner, name, UNKNOWN)
        if isinstance(found, ManagerDescriptor) and issubclass(owner, Model):
            return UNKNOWN if owner._meta.abstract else getattr(owner, name)
        return found.__func__ if isinstance(found, staticmethod | classmethod) else found
    # Of an object: only what it holds, without asking it.
    return getattr(owner, "__dict__", {}).get(name, UNKNOWN)


def _import(module: str, name: str) -> Any:
    """What an import in the function gave or will give, if its module is loaded."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return UNKNOWN
    if not name:
        return loaded
    return vars(loaded).get(name, sys.modules.get(f"{module}.{name}", UNKNOWN))


def _imported(tree: Function) -> dict[str, tuple[str, str]]:
    """Local names: the module, and the name in it or "" for the module itself."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or module] = (module, "")
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
    return found


def _assigned(tree: Function) -> set[str]:
    """Parameters, and whatever is bound in it."""
    arguments = tree.args
    names = {
        one.arg
        for one in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            *filter(None, (arguments.vararg, arguments.kwarg)),
        )
    }
    declared: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler):
            names.update(filter(None, [node.name]))
        elif isinstance(node, Function | ast.ClassDef) and node is not tree:
            names.add(node.name)
        elif isinstance(node, ast.Global):
            declared.update(node.names)
    return names - declared
