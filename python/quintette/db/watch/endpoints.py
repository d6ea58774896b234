"""What ``manage.py explain`` is given: a path, the name of a URL, of a view or of a query."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.conf import settings
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils.module_loading import import_string

from quintette.db.compiled import CompiledQuery
from quintette.db.compiled.signature import read


class NotFoundError(Exception):
    """Its text says what was looked for, and why there is nothing."""


class Target(NamedTuple):
    method: str
    path: str


def find(name: str, method: str, args: dict[str, str]) -> Target | CompiledQuery[Any, Any]:
    """Raises NotFoundError."""
    first, _, rest = name.partition(" ")
    if name.startswith("/") or rest.lstrip().startswith("/"):
        if args:
            raise NotFoundError("--arg goes with names; of a path it is a part")
        if name.startswith("/"):
            return Target(method.upper() or "GET", name)
        return Target(first.upper(), rest.strip())
    problem = ""
    if "." in name:
        try:
            thing = import_string(name)
        except ImportError as error:
            problem = f"; {error}"
        else:
            if isinstance(thing, CompiledQuery):
                return thing
            return _of_view(name, thing, method, args)
    try:
        return _of_url(name, method, args)
    except NoReverseMatch as error:
        raise NotFoundError(
            f"{name!r} is no path, and no view, query or URL has that name: {error}{problem}"
        ) from error


def value_for(query: CompiledQuery[Any, Any], name: str, text: str) -> Any:
    """Of a compiled query's parameter: texts as they are, but null where they may be None, and the
    rest as JSON."""
    declared, _ = read(inspect.unwrap(query))
    parameter = next((one for one in declared if one.name == name), None)
    if parameter is not None and parameter.kind is str and not parameter.many:
        return None if parameter.optional and text == "null" else text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def session_of(username: str) -> dict[str, str]:
    """The cookie of a new session, in the open transaction if sessions are in the database."""
    from importlib import import_module

    from django.contrib.auth import (
        BACKEND_SESSION_KEY,
        HASH_SESSION_KEY,
        SESSION_KEY,
        get_user_model,
    )

    model: Any = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: username}).first()
    if user is None:
        raise NotFoundError(f"there is no user {username!r}")
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = user._meta.pk.value_to_string(user)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return {settings.SESSION_COOKIE_NAME: store.session_key}


# --- names ------------------------------------------------------------------------------


def _of_url(name: str, method: str, args: dict[str, str]) -> Target:
    """A name of the URLconf; arguments that the path does not take are the query string."""
    possibilities: list[set[str]] = [set(args)]
    namespace, _, last = name.rpartition(":")
    resolver: Any = get_resolver()
    names: set[str]
    for part in filter(None, namespace.split(":")):
        resolver = resolver.namespace_dict[part][1] if part in resolver.namespace_dict else resolver
    for routes, *_ in resolver.reverse_dict.getlist(last):
        possibilities += [set(params) for _, params in routes]
    for names in sorted(possibilities, key=len, reverse=True):
        inside = {key: value for key, value in args.items() if key in names}
        try:
            path = reverse(name, kwargs=inside)
        except NoReverseMatch:
            continue
        return _target(path, method or "GET", args, names)
    raise NoReverseMatch(f"there is no URL {name!r} with these arguments: {sorted(args)}")


def _of_view(name: str, view: Any, method: str, args: dict[str, str]) -> Target:
    """The first of the URLconf that leads to this view, or typed handler."""
    for pattern, names, methods in _routes(get_resolver(), "/", view):
        if set(names) <= set(args):
            path = pattern
            for each, text in names.items():
                path = path.replace(text, args[each])
            return _target(path, method or methods[0], args, set(names))
    raise NotFoundError(f"no URL leads to {name} with these arguments: {sorted(args)}")


def _target(path: str, method: str, args: dict[str, str], inside: set[str]) -> Target:
    query = {key: value for key, value in args.items() if key not in inside}
    return Target(method.upper(), f"{path}?{urlencode(query)}" if query else path)


def _routes(
    resolver: URLResolver, prefix: str, view: Any
) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """Paths with their parameters (name -> its text in the path) and methods."""
    for item in resolver.url_patterns:
        text = str(item.pattern).removeprefix("^") if prefix == "/" else str(item.pattern)
        if isinstance(item, URLResolver):
            yield from _routes(item, prefix + text, view)
        elif isinstance(item, URLPattern):
            methods = _methods_of(item.callback, view)
            if methods:
                yield prefix + text, _parameters(prefix + text), methods


def _methods_of(callback: Any, view: Any) -> list[str]:
    endpoint = getattr(callback, "quintette_endpoint", None)
    if endpoint is not None:
        return [
            method
            for method, served in endpoint.routes.items()
            if inspect.unwrap(served.builder.function) is inspect.unwrap(view)
        ]
    same = callback is view or getattr(callback, "view_class", None) is view
    return ["GET"] if same else []


def _parameters(path: str) -> dict[str, str]:
    parts = [part.partition(">")[0] for part in path.split("<")[1:]]
    return {part.rpartition(":")[2]: f"<{part}>" for part in parts}
