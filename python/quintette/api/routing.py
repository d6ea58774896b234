"""Routers and the API: how handlers are registered."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django.urls import URLPattern, path

from quintette import _quintette, lifespan
from quintette.api import answer, patterns
from quintette.api import types as api_types
from quintette.api.depends import Flat, flatten
from quintette.api.encoding import encode_json
from quintette.api.errors import RegistrationError, answer_to
from quintette.api.guards import Guard, GuardedRoute, checked, combined, compiled
from quintette.api.handshake import Opening
from quintette.api.markers import Dependency, Source
from quintette.api.patterns import Pattern, PatternError
from quintette.api.plans import Builder, OnError, Options
from quintette.api.responses import Answered, Headers
from quintette.api.results import Finish, aevaluated
from quintette.api.signature import is_async, place_of, refuse
from quintette.api.streams import loop_runs
from quintette.api.view import METHODS, Endpoint
from quintette.traffic.project import project_guards

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Route:
    """A handler under a path, relative to its router."""

    function: Callable[..., Any]
    methods: tuple[str, ...]
    pattern: Pattern
    name: str
    flat: Flat
    options: Options
    depends: tuple[Dependency, ...]
    scope: dict[str, Any] | None
    guards: tuple[Guard, ...] = ()
    tags: tuple[str, ...] = ()
    summary: str = ""
    description: str = ""
    deprecated: bool = False


@dataclass
class Mounted:
    """A route under its whole path within an API."""

    route: Route
    pattern: Pattern
    builder: Builder
    tags: tuple[str, ...]
    guards: tuple[Guard, ...]
    """Of the route and of all that it is in."""
    middleware: bool | Sequence[str] | None = None
    """Of the route, else of the API."""

    @property
    def takes_request(self) -> bool:
        return any(item.source is Source.REQUEST for item in self.builder.flat.parameters)

    @property
    def takes_user(self) -> bool:
        return any(item.source is Source.AUTH for item in self.builder.flat.parameters)

    def plan(
        self, path_names: Iterable[str], on_error: OnError, around: Sequence[Guard] = ()
    ) -> _quintette.Plan:
        """A new plan, with guards of whoever serves it beside its own."""
        route = self.route
        own = combined(project_guards(self.middleware), (*around, *self.guards))
        guards = (*own, *self._implied())
        guarded = GuardedRoute(
            route.function,
            route.methods,
            self.pattern.django,
            route.name,
            self.takes_request,
            guards,
            self.takes_user,
            self.builder.streams_body,
        )
        return self.builder.build(path_names, on_error, compiled(guards, guarded))

    def _implied(self) -> tuple[Guard, ...]:
        """Guards without which the handler's parameters could not be filled in."""
        if not self.takes_user:
            return ()
        from quintette.auth.current import guards_for

        return guards_for(self.builder.flat.parameters)


@dataclass
class _Inclusion:
    router: Router
    prefix: Pattern
    tags: tuple[str, ...] = field(default=())
    guards: tuple[Guard, ...] = ()


class RouteOptions(TypedDict, total=False):
    """What every decorator takes beside the path."""

    name: str | None
    """For ``reverse()``; by default the function's."""
    status: int | None
    headers: Headers
    body_max: int
    """Bytes; 0: the project's ``BODY_MAX_BYTES``."""
    tags: Sequence[str]
    depends: Sequence[Any]
    guards: Sequence[Any]
    """Of ``quintette.Guard``; beside those of the router and API."""
    middleware: bool | Sequence[str] | None
    """See ``API``; None: as the API says."""
    summary: str | None
    description: str | None
    deprecated: bool


class Router:
    """Routes under a common prefix, to be included in an API or another router."""

    def __init__(
        self,
        prefix: str = "",
        *,
        tags: Sequence[str] = (),
        depends: Sequence[Any] = (),
        guards: Sequence[Any] = (),
    ) -> None:
        self._guards = checked(guards)
        self._prefix = _parse(prefix)
        self._tags = tuple(tags)
        self._depends = _dependencies(depends)
        self._routes: list[Route | _Inclusion] = []
        self._sealed = False

    def include(
        self,
        router: Router,
        prefix: str = "",
        *,
        tags: Sequence[str] = (),
        guards: Sequence[Any] = (),
    ) -> None:
        """Takes over all routes of another router, those included that it is still to get."""
        self._check_open(f"include({router!r})")
        if router is self or isinstance(router, API):
            raise RegistrationError("an API is mounted in a URLconf, only routers are included")
        if not isinstance(router, Router):
            raise RegistrationError(f"{router!r} is no Router")
        self._routes.append(_Inclusion(router, _parse(prefix), tuple(tags), checked(guards)))

    def route(
        self,
        path: str,
        *,
        methods: Iterable[str],
        name: str | None = None,
        status: int | None = None,
        headers: Headers = None,
        body_max: int = 0,
        tags: Sequence[str] = (),
        depends: Sequence[Any] = (),
        guards: Sequence[Any] = (),
        middleware: bool | Sequence[str] | None = None,
        summary: str | None = None,
        description: str | None = None,
        deprecated: bool = False,
        websocket: Opening | None = None,
    ) -> Callable[[F], F]:
        """Registers the decorated function, which stays as it is."""
        if not isinstance(path, str):
            raise RegistrationError(
                f'{_named(path)} stands where the path is needed: write @api.get("/path")'
            )
        verbs = tuple(dict.fromkeys(method.upper() for method in methods))

        def register(function: F) -> F:
            self._check_open(place_of(function))
            _check_route(function, verbs, status, body_max)
            summary_, description_ = _documentation(function)
            scope = _scope_of(sys._getframe(1))
            try:
                pattern = patterns.parse(path)
                names = frozenset(pattern.names)
                extra = (*self._depends, *_dependencies(depends))
                flat = flatten(function, names, frozenset(verbs), extra, scope)
                pattern = pattern.infer(_path_types(flat))
                fields = answer.checked_fields(headers)
                if websocket is not None:
                    websocket.check()
            except (PatternError, ValueError) as error:
                raise RegistrationError(f"{place_of(function)}: {error}") from error
            options = Options(status, fields, body_max, middleware, websocket)
            _check_path(function, flat, pattern)
            Builder(function, flat, pattern, options)  # for its errors
            self._routes.append(
                Route(
                    function,
                    verbs,
                    pattern,
                    name or function.__name__,
                    flat,
                    options,
                    extra,
                    scope,
                    checked(guards),
                    tuple(tags),
                    summary if summary is not None else summary_,
                    description if description is not None else description_,
                    deprecated,
                )
            )
            return function

        return register

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of GET requests, which also answers HEAD."""
        return self.route(path, methods=("GET",), **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of POST requests."""
        return self.route(path, methods=("POST",), **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of PUT requests."""
        return self.route(path, methods=("PUT",), **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of PATCH requests."""
        return self.route(path, methods=("PATCH",), **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of DELETE requests."""
        return self.route(path, methods=("DELETE",), **options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of HEAD requests."""
        return self.route(path, methods=("HEAD",), **options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of OPTIONS requests."""
        return self.route(path, methods=("OPTIONS",), **options)

    def trace(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Registers a handler of TRACE requests."""
        return self.route(path, methods=("TRACE",), **options)

    def query(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """The QUERY method: safe as GET, with a body."""
        return self.route(path, methods=("QUERY",), **options)

    def websocket(
        self,
        path: str,
        *,
        origins: Sequence[str] = (),
        subprotocols: Sequence[str] = (),
        compression: bool | Literal["context"] = True,
        **options: Unpack[RouteOptions],
    ) -> Callable[[F], F]:
        """A WebSocket, under ``manage.py serve``. Pages of the same host may open it, and those of
        ``origins`` and ``CSRF_TRUSTED_ORIGINS``; ``"*"`` is any. Of ``subprotocols`` the first that
        the client offers is agreed on. ``compression="context"`` keeps what messages had from one
        to the next, which makes them smaller and each connection some 40 to 70 KB larger."""
        opening = Opening(tuple(origins), tuple(subprotocols), compression)
        return self.route(path, methods=("GET",), websocket=opening, **options)

    def _check_open(self, what: str) -> None:
        if self._sealed:
            raise RegistrationError(
                f"{what}: the API is in a URLconf already; import the module that registers this "
                f"before `api.urls` is read"
            )

    def _collect(
        self,
        prefix: Pattern,
        tags: tuple[str, ...],
        depends: tuple[Dependency, ...],
        guards: tuple[Guard, ...],
    ) -> Iterable[Mounted]:
        self._sealed = True
        guards = combined(guards, self._guards)
        prefix = prefix + self._prefix
        tags = (*tags, *self._tags)
        for item in self._routes:
            if isinstance(item, _Inclusion):
                yield from item.router._collect(
                    prefix + item.prefix,
                    (*tags, *item.tags),
                    (*depends, *self._depends),
                    combined(guards, item.guards),
                )
                continue
            pattern = prefix + item.pattern
            flat = item.flat
            if depends or prefix.names:
                # Dependencies of including routers run first; names of prefixes are the path's.
                flat = flatten(
                    item.function,
                    frozenset(pattern.names),
                    frozenset(item.methods),
                    (*depends, *item.depends),
                    item.scope,
                )
            pattern = pattern.infer(_path_types(flat))
            _check_path(item.function, flat, pattern)
            builder = Builder(item.function, flat, pattern, item.options)
            all_tags = tuple(dict.fromkeys((*tags, *item.tags)))
            yield Mounted(item, pattern, builder, all_tags, combined(guards, item.guards))


ExceptionHandler = Callable[..., Any]


class API(Router):
    """A typed API: ``path("api/", api.urls)`` is all that a project needs to say."""

    def __init__(
        self,
        title: str = "API",
        version: str = "1",
        *,
        description: str = "",
        prefix: str = "",
        tags: Sequence[str] = (),
        depends: Sequence[Any] = (),
        guards: Sequence[Any] = (),
        app_name: str | None = None,
        namespace: str | None = None,
        middleware: bool | Sequence[str] | None = None,
    ) -> None:
        """``middleware`` says which of the project's ``MIDDLEWARE`` the routes are behind under
        ``serve``. None: all but what is about pages (compression, conditional requests, broken
        links), and where the handler does not take the request, what is about requests. True: all;
        False: none; or the dotted names of some. Django's own runs in C; a route that is to be
        behind other middleware is answered through Django's handler. Other servers run all."""
        super().__init__(prefix, tags=tags, depends=depends, guards=guards)
        if namespace and not app_name:
            raise RegistrationError("a namespace needs an app_name, as in Django's include()")
        self.title = title
        self.version = version
        self.description = description
        self.middleware = middleware
        self.app_name = app_name
        self.namespace = namespace
        self._handlers: dict[type[BaseException], ExceptionHandler] = {}
        self._finish = Finish(Any, 200, [("Content-Type", "application/json")], is_async=False)
        hooks = lifespan.Hooks()
        self.hooks = hooks
        self.on_startup = hooks.on_startup
        self.on_shutdown = hooks.on_shutdown
        self.lifespan = hooks.lifespan
        self._mounted: list[Mounted] | None = None
        self._urls: list[URLPattern] | None = None

    def __repr__(self) -> str:
        return f"API({self.title!r}, {self.version!r})"

    def exception_handler(self, *exceptions: type[Exception]) -> Callable[[F], F]:
        """The decorated function, given the request and the exception, makes the answer. It may be
        asynchronous; a plain one runs where the exception was raised."""
        given: tuple[Any, ...] = exceptions  # whatever the annotation says
        for exception in given:
            if not (isinstance(exception, type) and issubclass(exception, BaseException)):
                raise RegistrationError(f"{_named(exception)} is no class of exceptions")
        if not exceptions:
            raise RegistrationError("exception_handler() of nothing: say which exceptions")

        def register(function: F) -> F:
            for exception in exceptions:
                self._handlers[exception] = function
            return function

        return register

    @property
    def routes(self) -> list[Mounted]:
        """All routes with their whole paths; nothing can be registered any more."""
        if self._mounted is None:
            self._mounted = list(self._collect(Pattern(()), (), (), ()))
            for mounted in self._mounted:
                own = mounted.route.options.middleware
                mounted.middleware = self.middleware if own is None else own
        return self._mounted

    @property
    def urls(self) -> tuple[list[URLPattern], str | None, str | None]:
        """For ``path()``."""
        lifespan.mount(self.hooks)
        if self._urls is None:
            self._urls = list(_url_patterns(self))
        return self._urls, self.app_name, self.namespace

    def on_error(self, error: BaseException, request: HttpRequest | None) -> answer.Answer:
        for cls in type(error).__mro__:
            handler = self._handlers.get(cls)
            if handler is not None:
                return self._ask(handler, error, request)
        return answer_to(error, request)

    def _ask(
        self, handler: ExceptionHandler, error: BaseException, request: HttpRequest | None
    ) -> answer.Answer:
        if not is_async(handler):
            try:
                return self._answer(handler(request, error))
            except Exception as another:
                return answer_to(another, request)
        if loop_runs():
            return answer.AWAIT, self._ask_async(handler, error, request)
        return async_to_sync(self._ask_async)(handler, error, request).answer()

    async def _ask_async(
        self, handler: ExceptionHandler, error: BaseException, request: HttpRequest | None
    ) -> Answered:
        try:
            return Answered(self._answer(await aevaluated(await handler(request, error))))
        except Exception as another:
            return Answered(answer_to(another, request))

    def _answer(self, result: Any) -> answer.Answer:
        if result is None:
            return answer.BODY, 204, [], None
        made = self._finish(result)
        if made[0] != answer.VALUE:
            return made
        return answer.BODY, 200, [("Content-Type", "application/json")], encode_json(made[1])


def _scope_of(frame: types.FrameType) -> dict[str, Any] | None:
    """Names of the function in which a handler is defined; a module's are known anyway."""
    return None if frame.f_locals is frame.f_globals else dict(frame.f_locals)


# --- checks -----------------------------------------------------------------------------


def _named(item: Any) -> str:
    return place_of(item) if callable(item) else repr(item)


def _parse(prefix: str) -> Pattern:
    try:
        return patterns.parse(prefix.rstrip("/"))
    except PatternError as error:
        raise RegistrationError(str(error)) from error


def _dependencies(depends: Sequence[Any]) -> tuple[Dependency, ...]:
    for item in depends:
        if not isinstance(item, Dependency) or item.call is None:
            raise RegistrationError(f"{item!r} is no Depends(function)")
    return tuple(depends)


def _check_route(function: Any, methods: tuple[str, ...], status: Any, body_max: Any) -> None:
    if not callable(function) or isinstance(function, type):
        raise RegistrationError(f"{function!r} is no function")
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        refuse(function, "", f"unknown method {', '.join(unknown) or '(none)'}")
    if status is not None and not (isinstance(status, int) and 200 <= status <= 599):
        refuse(function, "", f"a status is between 200 and 599, not {status!r}")
    if not isinstance(body_max, int) or body_max < 0:
        refuse(function, "", f"body_max is a number of bytes, not {body_max!r}")


def _path_types(flat: Flat) -> dict[str, Any]:
    return {
        parameter.key: api_types.strip(parameter.type)
        for parameter in flat.parameters
        if parameter.source is Source.PATH
    }


def _check_path(function: Any, flat: Flat, pattern: Pattern) -> None:
    taken = {parameter.key for parameter in flat.parameters}
    for name in pattern.names:
        if name not in taken:
            refuse(function, name, f"is in the path {pattern.django!r}, but nobody takes it")


def _documentation(function: Any) -> tuple[str, str]:
    text = inspect.getdoc(function) or ""
    summary, _, description = text.partition("\n")
    return summary.strip().rstrip("."), description.strip()


# --- URLs -------------------------------------------------------------------------------


def _url_patterns(api: API) -> Iterable[URLPattern]:
    """One URL pattern per path and name, narrow ones first, so that Django's resolver, which takes
    the first that matches, decides as the router in C does."""
    endpoints: dict[str, Endpoint] = {}
    entries: dict[tuple[str, str], tuple[Endpoint, Mounted]] = {}
    for mounted in api.routes:
        shape = mounted.pattern.shape
        endpoint = endpoints.setdefault(shape, Endpoint(mounted.pattern))
        for method in mounted.route.methods:
            if method in endpoint.routes:
                other = endpoint.routes[method].builder.function
                refuse(
                    mounted.route.function,
                    "",
                    f"{method} {mounted.pattern.django!r} is answered by {place_of(other)} already",
                )
            endpoint.add(method, mounted, api.on_error)
        entries.setdefault((mounted.pattern.django, mounted.route.name), (endpoint, mounted))
    urls: list[tuple[Endpoint, URLPattern]] = []
    for endpoint, mounted in sorted(entries.values(), key=lambda entry: entry[1].pattern.order):
        view = endpoint.view(mounted.pattern)
        url = path(mounted.pattern.django, view, name=mounted.route.name)
        for narrower, _ in urls:
            if narrower is not endpoint:
                narrower.wider.append(url)
        urls.append((endpoint, url))
    return [url for _, url in urls]
