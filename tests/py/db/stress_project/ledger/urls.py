import asyncio

import msgspec
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest, JsonResponse
from django.urls import path

from ledger import views_async, views_sync
from quintette.db import pool
from quintette.db.compiled import pools as compiled


async def report(request: HttpRequest) -> JsonResponse:
    """What is still in use; the report's own task is not counted."""
    stats = pool.stats().get("default", pool.PoolStats())
    tasks = len(asyncio.all_tasks()) - 1
    found = compiled.stats().get("default")
    # Those of compiled queries, by which request.auser() loads users.
    others = 0 if found is None else found.connections + found.connecting
    return JsonResponse({"pool": msgspec.to_builtins(stats), "others": others, "tasks": tasks})


def markers(request: HttpRequest) -> JsonResponse:
    """User -> the marker in their session."""
    names = {str(user.pk): user.username for user in User.objects.all()}
    found = [session.get_decoded() for session in Session.objects.all()]
    return JsonResponse({names[data[SESSION_KEY]]: data.get("marker", "") for data in found})


urlpatterns = [
    path("sync", views_sync.transfer),
    path("async", views_async.transfer),
    path("report", report),
    path("markers", markers),
]
