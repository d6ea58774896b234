"""What of Django and asgiref the extension carries out itself.

Some of it is private, so each piece is looked at before it is handed over: a piece that is not what
is known here (another version, or somebody's patch: an APM agent, say) is handed over as None, and
the extension then calls Django's public function in its place.
"""

from __future__ import annotations

import sys
import threading
from typing import Any
from uuid import UUID

import django.core.cache
import django.core.handlers.base
import django.db
from asgiref.local import Local
from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.core import signals
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import response_for_exception
from django.dispatch import Signal
from django.http import HttpRequest
from django.http.response import FileResponse, HttpResponseBase, ResponseHeaders
from django.middleware import gzip
from django.middleware import http as http_middleware
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.urls import Resolver404, resolvers
from django.urls import base as urls_base
from django.utils import cache, text
from django.utils.connection import BaseConnectionHandler
from django.utils.translation.trans_real import DjangoTranslation

from quintette import _quintette
from quintette.http.files import sendable
from quintette.http.request import Request
from quintette.server import languages, urls
from quintette.server.local import variable_of
from quintette.server.own import own, own_method

# Files that the kernel cannot send are read in pieces of this size, as Django's ASGI handler does.
FILE_BLOCK_SIZE = 64 * 1024


def hand_over() -> None:
    """Called when the handlers are imported. A second call does no harm."""
    groups = (_signal_parts, _local_parts, _response_parts, _handler_parts, _url_parts)
    _quintette.set_django({name: part for group in groups for name, part in group().items()})


def _signal_parts() -> dict[str, Any]:
    receivers = {
        "reset_queries": django.db,
        "close_old_connections": django.db,
        "close_caches": django.core.cache,
        "reset_urlconf": django.core.handlers.base,
    }
    return {
        **{name: own(module, name, getattr(module, name)) for name, module in receivers.items()},
        "request_started": signals.request_started,
        "request_finished": signals.request_finished,
        "signal_class": Signal,
        "signal_send": own_method(Signal, "send"),
        "signal_live": own_method(Signal, "_live_receivers"),
    }


def _local_parts() -> dict[str, Any]:
    knows_all = own_method(BaseConnectionHandler, "all") is not None
    urlconfs, storage_class = variable_of(urls_base._urlconfs)  # type: ignore[attr-defined]
    prefixes, _ = variable_of(urls_base._prefixes)  # type: ignore[attr-defined]
    caches: Any = django.core.cache.caches
    connections: Any = django.db.connections
    cached, _ = variable_of(caches._connections) if knows_all else (None, None)
    return {
        "settings": settings,
        "set_urlconf": urls_base.set_urlconf,
        "set_script_prefix": urls_base.set_script_prefix,
        "urlconfs": urlconfs,
        "prefixes": prefixes,
        "storage_class": storage_class,
        "connections": connections,
        "connections_local": connections._connections,
        "connections_storage": _thread_storage(connections._connections) if knows_all else None,
        "connections_here": _here(connections._connections) if knows_all else None,
        "caches": caches,
        "caches_local": caches._connections,
        "caches_storage": cached,
        **_language_parts(),
    }


def _language_parts() -> dict[str, Any]:
    return {
        "languages_known": languages.known,
        "language_asked": languages.asked,
        "language_default": languages.default,
        "language_in_path": languages.in_path,
        "catalogue_class": DjangoTranslation,
        "prefix_patterns_used": is_language_prefix_patterns_used,
    }


def _here(storage: Any) -> Any:
    """Of the storage that our database engines put in place."""
    scope = sys.modules.get("quintette.db.scope")
    return storage.here if scope is not None and type(storage) is scope.Storage else None


def _response_parts() -> dict[str, Any]:
    return {
        "response_class": HttpResponseBase,
        "response_close": own_method(HttpResponseBase, "close"),
        "response_get": own_method(HttpResponseBase, "get"),
        "response_has_header": own_method(HttpResponseBase, "has_header"),
        "response_setdefault": own_method(HttpResponseBase, "setdefault"),
        "response_headers_class": ResponseHeaders,
        "response_for_exception": response_for_exception,
        "get_host": own_method(HttpRequest, "get_host"),
        "xframe_options_value": own_method(XFrameOptionsMiddleware, "get_xframe_options_value"),
        **_conditional_parts(),
        "random_filename": _random_filename(),
        "file_response_class": FileResponse,
        "sendable": sendable,
    }


def _conditional_parts() -> dict[str, Any]:
    """Of ConditionalGetMiddleware, if it works with Django's own functions."""
    names = vars(http_middleware)
    known = (
        own(cache, "get_conditional_response", names["get_conditional_response"])
        and own(cache, "set_response_etag", names["set_response_etag"])
    )  # fmt: skip
    return {
        "needs_etag": own_method(http_middleware.ConditionalGetMiddleware, "needs_etag"),
        "md5": vars(cache)["md5"] if known else None,
        "not_modified": own(cache, "_not_modified", getattr(cache, "_not_modified", None))
        if known
        else None,
    }


def _random_filename() -> Any:
    """Where GZipMiddleware has the names from, if it compresses with Django's own function."""
    names = vars(gzip)
    known = (
        own(text, "compress_string", names["compress_string"])
        and own(cache, "patch_vary_headers", names["patch_vary_headers"])
    )  # fmt: skip
    function = getattr(text, "_get_random_filename", None)
    return own(text, "_get_random_filename", function) if known else None


def _handler_parts() -> dict[str, Any]:
    base: Any = django.core.handlers.base
    return {
        "base_handler": BaseHandler,
        **{
            f"handler_{name}": own_method(BaseHandler, name)
            for name in (
                "get_response",
                "_get_response",
                "resolve_request",
                "make_view_atomic",
                "check_response",
                "process_exception_by_middleware",
            )
        },
        "iscoroutinefunction": base.iscoroutinefunction,
        "async_to_sync": base.async_to_sync,
        "log_response": base.log_response,
        "file_block_size": FILE_BLOCK_SIZE,
    }


def _url_parts() -> dict[str, Any]:
    known = own(resolvers, "get_resolver", resolvers.get_resolver)
    return {
        "get_resolver": resolvers.get_resolver,
        "cached_resolver": getattr(resolvers, "_get_cached_resolver", None) if known else None,
        "resolver404": Resolver404,
        "url_resolver_class": resolvers.URLResolver,
        "url_pattern_class": resolvers.URLPattern,
        "route_class": resolvers.RoutePattern,
        "regex_class": resolvers.RegexPattern,
        "url_resolver_resolve": own_method(resolvers.URLResolver, "resolve"),
        "url_pattern_resolve": own_method(resolvers.URLPattern, "resolve"),
        "route_match": own_method(resolvers.RoutePattern, "match"),
        "regex_match": own_method(resolvers.RegexPattern, "match"),
        "uuid_class": UUID,
        "describe_urls": urls.describe,
        "resolver_match": urls.resolver_match,
        "path_info": vars(Request)["path_info"],
    }


def _thread_storage(local: Any) -> threading.local | None:
    """Where a thread-critical Local keeps its values in threads without an event loop."""
    critical = getattr(local, "_thread_critical", type(local).__name__ == "_ThreadCriticalLocal")
    storage = getattr(local, "_storage", None)
    known = isinstance(local, Local) and critical and type(storage) is threading.local
    return storage if known else None
