"""The plain views' paths."""

from __future__ import annotations

from django.urls import path

from bench.apps.site import views

urlpatterns = [
    path("plain", views.plain),
    path("hello", views.hello),
    path("page-1k", views.page_1k),
    path("page-10k", views.page_10k),
    path("upload", views.upload),
]
