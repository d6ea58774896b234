"""Mistakes in declarations: one error each, which names what is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from quintette import API, Compress, Depends, Path, RegistrationError, Router, Throttle
from quintette.api.after import AfterResponse
from quintette.api.cached import Cached
from quintette.auth import (
    JWT,
    APIKeyAuth,
    CurrentUser,
    HasPerm,
    IsAuthenticated,
    IsOwner,
    IsStaff,
    Public,
    ReadOnly,
)
from quintette.conf import get_settings
from quintette.lifespan import Hooks
from quintette.testing import TestClient

# Whatever the annotations say.
_api: Any = API
_throttle: Any = Throttle
_compress: Any = Compress
_router: Any = Router
_authenticated: Any = IsAuthenticated
_staff: Any = IsStaff


async def handler() -> int:
    return 1


async def for_user(user: CurrentUser[Any]) -> int:
    return 1


DECLARATIONS = [
    (lambda: _api(guards=JWT()), "a list of guards is needed"),
    (lambda: _api(guards="JWT"), "a list of guards is needed"),
    (lambda: _api(guards=[Throttle]), r"Throttle stands for Throttle\(\): .*'rate'"),
    (lambda: _api(guards=[JWT(), APIKeyAuth()]), r"not JWT, APIKeyAuth: AnyOf"),
    (lambda: _api(guards=[Public(), JWT()]), r"not Public, JWT: AnyOf"),
    (lambda: _api(guards=[_authenticated and _staff]), r"with &, \| and ~"),
    (lambda: _api(guards=[_staff or _authenticated]), r"with &, \| and ~"),
    (lambda: _api(guards=[not _staff]), r"with &, \| and ~"),
    (lambda: _throttle("1/s", store="redis"), r"store='redis'\): a store"),
    (lambda: _compress(["br"]), r"min_size is a number of bytes, not \['br'\]"),
    (lambda: _router().include(3, "/x"), "3 is no Router"),
    (lambda: _router().get(handler), r"handler \(.*test_mistakes.py:\d+\) stands where the path"),
    (lambda: _router().get("/", status="201")(handler), "handler.*a status is .* not '201'"),
    (lambda: _router().get("/", body_max="1M")(handler), "handler.*a number of bytes, not '1M'"),
    (lambda: _api().exception_handler(3), "3 is no class of exceptions"),
    (lambda: _api().exception_handler(handler), "handler .* is no class of exceptions"),
    (lambda: _api().exception_handler(), "say which exceptions"),
    (lambda: JWT("secret"), "a secret for HS256 has 32 bytes at least"),
    (lambda: JWT("keys/private.pem", algorithm="ES256"), "for ES256: it is no PEM .* not its path"),
]


@pytest.mark.parametrize(("declare", "said"), DECLARATIONS)
def test_is_refused_where_it_is_written(declare: Any, said: str) -> None:
    with pytest.raises(RegistrationError, match=said):
        declare()


@pytest.mark.parametrize(
    ("function", "guards", "said"),
    [
        (handler, [IsAuthenticated], "need a guard that says who asks"),
        (handler, [JWT(), Cached(60), IsOwner()], "Cached ask nobody"),
        (for_user, [JWT(), Cached(60)], "by_user=True"),
    ],
)
def test_is_refused_with_the_handlers_place(function: Any, guards: Any, said: str) -> None:
    api = API(guards=guards)
    api.get("/")(function)
    with pytest.raises(RegistrationError, match=rf"{function.__name__} \(.*\.py:\d+\).*{said}"):
        api.urls  # noqa: B018


def test_a_path_parameter_of_no_path() -> None:
    api = API()

    @api.get("/")
    def root(tenant: str = Path()) -> str:
        return tenant

    with pytest.raises(RegistrationError, match=r"root.*'tenant': is marked Path\(\), and not in"):
        TestClient(api).get("/")


def test_what_is_no_function() -> None:
    async def begins() -> Any:
        yield 1

    with pytest.raises(TypeError, match="3 is no function"):
        Hooks().on_startup(3)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="yields: declare it with lifespan"):
        Hooks().on_shutdown(begins)
    with pytest.raises(TypeError, match=r"after\(3\): a function is needed"):
        AfterResponse()(3)  # type: ignore[arg-type]
    with pytest.raises(RegistrationError, match="3: has no signature"):
        API().get("/")(_depending(3))


def _depending(call: Any) -> Any:
    value = Depends(call)

    def depends(value: Any = value) -> None: ...

    return depends


def test_a_duration_is_seconds() -> None:
    assert Cached(timedelta(minutes=1))._seconds == 60


@pytest.mark.parametrize("url", ["localhost:6379", "http://cache", ""])
def test_a_redis_without_a_scheme(url: str) -> None:
    pytest.importorskip("redis")
    from quintette.traffic import Redis

    with pytest.raises(RegistrationError, match="a URL begins with redis://"):
        Redis(url)


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        (IsAuthenticated & (ReadOnly | IsStaff), "IsAuthenticated & (ReadOnly | IsStaff)"),
        (~(ReadOnly & IsStaff) | IsOwner(), "~(ReadOnly & IsStaff) | IsOwner('owner')"),
        (IsStaff & ReadOnly & HasPerm("a.b", "a.c"), "IsStaff & ReadOnly & HasPerm('a.b', 'a.c')"),
    ],
)
def test_permissions_read_as_they_are_written(permission: Any, text: str) -> None:
    assert repr(permission) == text


@override_settings(QUINTETTE={"WORKER": 2})
def test_commands_show_wrong_settings_without_a_traceback() -> None:
    from django.core.management import CommandError

    with pytest.raises(CommandError, match="Did you mean 'WORKERS'"):
        get_settings()
