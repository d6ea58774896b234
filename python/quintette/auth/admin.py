"""Logins and revoked tokens in Django's admin: to be looked at and ended, never written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from quintette.auth.models import Login, RevokedToken
from quintette.auth.tokens import revoke_login


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Login)
class LoginAdmin(_ReadOnly):
    list_display = ("id", "user", "created_at", "expires_at", "revoked_at")
    list_filter = ("created_at", "revoked_at")
    list_select_related = ("user",)
    fields = ("id", "user", "created_at", "expires_at", "revoked_at")
    actions = ("revoke",)

    @admin.action(description="Revoke selected logins", permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Login]) -> None:
        for login in queryset:
            revoke_login(login)


@admin.register(RevokedToken)
class RevokedTokenAdmin(_ReadOnly):
    list_display = ("token_id", "revoked_at", "expires_at")
    search_fields = ("token_id",)
