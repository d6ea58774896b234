"""Static and media files: from Django's finders in development, by the server in production."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.handlers.exception import response_for_exception
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from quintette.conf import Settings
from quintette.server.handler import SyncHandler

# URL prefix, folder, options of the server.
Mount = tuple[str, str, dict[str, Any]]


class StaticFilesSyncHandler(SyncHandler):
    """Below STATIC_URL, what the staticfiles finders find; the project's views elsewhere."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(self._base_url):
            return super().get_response(request)
        from django.contrib.staticfiles.views import serve

        path = url2pathname(request.path.removeprefix(self._base_url))
        try:
            response: Any = serve(request, path, insecure=True)
        except (Http404, SuspiciousOperation) as error:
            response = response_for_exception(request, error)
        response._resource_closers.append(request.close)
        return cast("HttpResponseBase", response)


def development_url(*, insecure: bool = False) -> str | None:
    """STATIC_URL's path when files are to come from the finders, else None."""
    if not (django_settings.DEBUG or insecure):
        return None
    if not apps.is_installed("django.contrib.staticfiles"):
        return None
    return _local_path(django_settings.STATIC_URL)


def mounts(settings: Settings) -> list[Mount]:
    """What the server itself serves."""
    found = []
    root = django_settings.STATIC_ROOT
    wanted = settings.serve_static
    if wanted is None:
        wanted = not django_settings.DEBUG and bool(root) and Path(root).is_dir()
    if wanted:
        options = {"cache_control": settings.static_cache_control}
        found.append(_mount("STATIC", root, options))
    if settings.serve_media:
        found.append(_mount("MEDIA", django_settings.MEDIA_ROOT, {}))
    return found


def _mount(kind: str, root: Any, options: dict[str, Any]) -> Mount:
    switch = f"QUINTETTE['SERVE_{kind}'] is on, but"
    if not root:
        raise ImproperlyConfigured(f"{switch} {kind}_ROOT is not set.")
    folder = Path(root)
    if not folder.is_dir():
        hint = " Run manage.py collectstatic." if kind == "STATIC" else ""
        raise ImproperlyConfigured(f"{switch} {kind}_ROOT ({folder}) is no folder.{hint}")
    url = getattr(django_settings, f"{kind}_URL")
    path = _local_path(url)
    if path is None:
        raise ImproperlyConfigured(f"{switch} {kind}_URL ({url!r}) is no path of this server.")
    return path, str(folder.resolve()), options


def _local_path(url: str | None) -> str | None:
    parts = urlsplit(url or "")
    if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
        return None
    return parts.path if parts.path.endswith("/") else f"{parts.path}/"
