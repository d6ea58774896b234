"""Who may: the algebra, on every host. People are made up of a header field, without a database."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from django.http import HttpRequest
from live import MakeClient

from quintette import API, RegistrationError, _quintette, in_loop
from quintette.api.guards import GuardedRoute
from quintette.auth import (
    AllowAny,
    Allowed,
    HasPerm,
    HasScope,
    IsAuthenticated,
    IsOwner,
    IsStaff,
    IsSuperuser,
    ObjectGate,
    Permission,
    Public,
    ReadOnly,
    Scheme,
    acheck_object,
    check_object,
)
from quintette.auth.schemes import FIELD, unauthorized
from quintette.auth.users import LazyUser

log: list[str] = []


class Person:
    """As much of a user as permissions ask for."""

    is_authenticated = True
    is_active = True
    is_staff = is_superuser = False

    def __init__(self, pk: str, **attributes: Any) -> None:
        self.pk = pk
        self.perms: set[str] = set()
        self.__dict__.update(attributes)

    async def ahas_perm(self, name: str) -> bool:
        log.append(f"{self.pk} {name}")
        return self.is_active and name in self.perms


class Token:
    def __init__(self, scopes: tuple[str, ...]) -> None:
        self.scopes = scopes


PEOPLE: dict[str, tuple[Any, Any]] = {
    "ada": (None, Person("ada", perms={"atlas.add_city"})),
    "staff": (None, Person("staff", is_staff=True)),
    "root": (None, Person("root", is_superuser=True, is_staff=True)),
    "gone": (None, Person("gone", is_staff=True, is_active=False)),
    "reader": (Token(("read",)), Person("reader")),
    "writer": (Token(("read", "write")), Person("writer")),
    "machine": (Token(("read",)), None),
}


class Known(Scheme):
    """X-Who names somebody."""

    def __init__(self, *, optional: bool = True) -> None:
        self.optional = optional

    def challenges(self) -> tuple[str, ...]:
        return ("Who",)

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        return _quintette.CredentialGuard(
            kind=FIELD,
            name=b"x-who",
            authenticate=self._authenticate,
            unauthorized=unauthorized(self.challenges()),
            required=required,
        )

    def _authenticate(self, name: bytes) -> Any:
        auth, user = PEOPLE[name.decode()]
        if auth is not None and user is not None:
            return auth, _lazy(user)
        return auth, user


def _lazy(user: Person) -> LazyUser:
    async def aload() -> Person:
        log.append(f"load {user.pk}")
        await asyncio.sleep(0)
        return user

    return LazyUser(lambda: user, aload)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    log.clear()


def _who(name: str) -> dict[str, Any]:
    return {"headers": {"X-Who": name}} if name else {}


def _api(permission: Any, **options: Any) -> API:
    api = API(guards=[Known(), permission])

    @api.get("/", **options)
    async def read() -> str:
        return "read"

    @api.post("/")
    def write() -> str:
        return "written"

    return api


class Says(Permission):
    """What it was told, and that it was asked."""

    def __init__(self, answer: Any, name: str = "asked") -> None:
        self.answer = answer
        self.name = name

    @in_loop
    def allows(self, request: HttpRequest) -> bool:
        log.append(self.name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


class Later(Says):
    async def allows(self, request: HttpRequest) -> bool:
        await asyncio.sleep(0)
        return Says.allows(self, request)


class Blocking(Says):
    def allows(self, request: HttpRequest) -> bool:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return Says.allows(self, request)


READ = [
    # permission, statuses of GET by nobody, ada, staff, root, gone, reader, machine
    (IsAuthenticated, 401, 200, 200, 200, 200, 200, 200),
    (ReadOnly, 200, 200, 200, 200, 200, 200, 200),
    (~ReadOnly, 401, 403, 403, 403, 403, 403, 403),
    (IsStaff, 401, 403, 200, 200, 403, 403, 403),
    (IsSuperuser, 401, 403, 403, 200, 403, 403, 403),
    (HasScope("read"), 401, 403, 403, 403, 403, 200, 200),
    (HasScope("read", "write"), 401, 403, 403, 403, 403, 403, 403),
    (IsStaff & HasScope("read"), 401, 403, 403, 403, 403, 403, 403),
    (IsStaff | HasScope("read"), 401, 403, 200, 200, 403, 200, 200),
    (~IsStaff & IsAuthenticated, 401, 200, 403, 403, 200, 200, 200),
    (~(IsStaff | HasScope("read")), 200, 200, 403, 403, 200, 403, 403),
    (~(IsStaff & IsSuperuser), 200, 200, 200, 403, 200, 200, 200),
    (~~IsStaff, 401, 403, 200, 200, 403, 403, 403),
    (AllowAny, 200, 200, 200, 200, 200, 200, 200),
    (AllowAny & IsStaff, 401, 403, 200, 200, 403, 403, 403),
    (IsStaff & AllowAny, 401, 403, 200, 200, 403, 403, 403),
    (~AllowAny | IsStaff, 401, 403, 200, 200, 403, 403, 403),
    (~AllowAny, 401, 403, 403, 403, 403, 403, 403),
    (IsStaff | AllowAny, 200, 200, 200, 200, 200, 200, 200),
    (IsAuthenticated & (IsStaff | ReadOnly), 401, 200, 200, 200, 200, 200, 200),
]
NAMES = ["", "ada", "staff", "root", "gone", "reader", "machine"]


@pytest.mark.parametrize("row", READ, ids=range(len(READ)))
def test_who_may_read(connect: MakeClient, row: tuple[Any, ...]) -> None:
    permission, *expected = row
    client = connect(_api(permission))
    assert [client.get("/", **_who(name)).status_code for name in NAMES] == expected


def test_the_methods_that_change_something(connect: MakeClient) -> None:
    client = connect(_api(ReadOnly | IsStaff))
    assert [client.post("/", **_who(name)).status_code for name in ("", "ada", "staff")] == [
        401,
        403,
        200,
    ]


def test_nobody_is_told_how_to_say_who_they_are(connect: MakeClient) -> None:
    client = connect(_api(IsAuthenticated))
    response = client.get("/")
    assert response.headers["WWW-Authenticate"] == "Who"
    assert response.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401}
    response = connect(_api(IsStaff)).get("/", **_who("ada"))
    assert response.json()["status"] == 403
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("says", [Says, Later, Blocking])
@pytest.mark.parametrize(
    ("answer", "status"),
    [(True, 200), (False, 403), (None, 500), (1, 500), ("no", 500), (ValueError("x"), 500)],
    ids=str,
)
def test_what_a_permission_may_say(
    connect: MakeClient, says: type[Says], answer: Any, status: int
) -> None:
    """Nothing but True allows; whatever is no answer is no allowance."""
    client = connect(_api(says(answer)))
    assert client.get("/", **_who("ada")).status_code == status
    assert client.get("/", **_who("ada")).status_code == status
    # Negated, an exception is none the less an exception.
    assert connect(_api(~says(answer))).get("/", **_who("ada")).status_code == (
        {200: 403, 403: 200}.get(status, 500)
    )


@pytest.mark.parametrize("says", [Says, Later, Blocking])
def test_no_further_than_needed(connect: MakeClient, says: type[Says]) -> None:
    t, f = says(True, "t"), says(False, "f")
    rows: list[tuple[Permission, str, int]] = [
        (t | f, "t", 200),
        (f & t, "f", 403),
        (f | t, "f t", 200),
        (t & f, "t f", 403),
        (t & f | t, "t f t", 200),
        ((t | f) & f, "t f", 403),
        (~(t & f) & t, "t f t", 200),
        (ReadOnly | f, "", 200),
        (~ReadOnly & t, "", 403),
    ]
    for permission, expected, status in rows:
        log.clear()
        response = connect(_api(permission)).get("/", **_who("ada"))
        assert (" ".join(log), response.status_code) == (expected, status)


def test_has_perm_asks_the_user(connect: MakeClient) -> None:
    client = connect(_api(HasPerm("atlas.add_city")))
    assert client.get("/", **_who("ada")).status_code == 200
    assert client.get("/", **_who("staff")).status_code == 403
    assert log == ["ada atlas.add_city", "staff atlas.add_city"]


def test_the_user_of_a_token_is_not_loaded_for_what_the_token_says(connect: MakeClient) -> None:
    client = connect(_api(IsAuthenticated & HasScope("read") & ~HasScope("write")))
    assert client.get("/", **_who("reader")).status_code == 200
    assert client.get("/", **_who("writer")).status_code == 403
    assert log == []


def test_levels_add_up(connect: MakeClient) -> None:
    """A route's own permission does not loosen that of the API."""
    api = API(guards=[Known(), IsStaff])

    @api.get("/", guards=[AllowAny])
    async def read() -> str:
        return "read"

    client = connect(api)
    assert client.get("/", **_who("ada")).status_code == 403
    assert client.get("/", **_who("staff")).status_code == 200


def test_a_public_route_lifts_what_is_around_it(connect: MakeClient) -> None:
    api = API(guards=[Known(optional=False), IsStaff])

    @api.get("/public", guards=[Public()])
    async def public() -> str:
        return "read"

    @api.get("/own", guards=[Known(), ReadOnly])
    async def own() -> str:
        return "read"

    client = connect(api)
    assert client.get("/public").status_code == 200
    assert client.get("/own").status_code == 401
    assert client.get("/own", **_who("staff")).status_code == 200


# --- objects ----------------------------------------------------------------------------


class Thing:
    def __init__(self, owner: Any) -> None:
        self.owner = owner


THINGS = {name: Thing(PEOPLE[name][1]) for name in ("ada", "staff", "reader")} | {"": Thing(None)}


def _things(permission: Any, check: bool = True) -> API:
    api = API(guards=[Known(), permission])

    @api.get("/async")
    async def a(request: HttpRequest, of: str = "") -> str:
        return "" if not check else "seen" if await acheck_object(request, THINGS[of]) else ""

    @api.get("/thread")
    def t(request: HttpRequest, of: str = "") -> str:
        return "" if not check else "seen" if check_object(request, THINGS[of]) else ""

    return api


OBJECTS = [
    # permission, who asks, whose thing, status
    (IsOwner, "ada", "ada", 200),
    (IsOwner, "ada", "staff", 403),
    (IsOwner, "ada", "", 403),
    (IsOwner, "", "ada", 401),
    (IsOwner, "gone", "ada", 403),
    (IsOwner, "reader", "reader", 200),
    (IsOwner, "machine", "", 403),
    (IsStaff | IsOwner, "staff", "ada", 200),
    (IsStaff | IsOwner, "ada", "staff", 403),
    (IsOwner | IsStaff, "staff", "ada", 200),
    (IsOwner & IsStaff, "ada", "ada", 403),
    (IsOwner & IsStaff, "staff", "staff", 200),
    (~IsOwner, "ada", "ada", 403),
    (~IsOwner, "ada", "staff", 200),
    (~(IsOwner | IsStaff), "ada", "staff", 200),
    (~(IsOwner | IsStaff), "staff", "ada", 403),
    # What holds of the object does not replace what must hold of the request.
    (HasScope("write") & IsOwner, "reader", "reader", 403),
    (HasScope("write") | IsOwner, "reader", "ada", 403),
    (HasPerm("atlas.add_city") & ~IsOwner, "ada", "staff", 200),
]


@pytest.mark.parametrize("place", ["async", "thread"])
@pytest.mark.parametrize("row", OBJECTS, ids=range(len(OBJECTS)))
def test_objects(connect: MakeClient, place: str, row: tuple[Any, ...]) -> None:
    permission, who, of, status = row
    client = connect(_things(permission))
    response = client.get(f"/{place}", params={"of": of}, **_who(who))
    assert response.status_code == status
    assert (response.text == '"seen"') == (status == 200)


@pytest.mark.parametrize("place", ["async", "thread"])
def test_an_object_that_nobody_looked_at(connect: MakeClient, place: str) -> None:
    """The answer is held back where the permission depends on what was not looked at."""
    client = connect(_things(IsStaff | IsOwner, check=False))
    assert client.get(f"/{place}", **_who("ada")).status_code == 500
    assert client.get(f"/{place}", **_who("staff")).status_code == 200


@pytest.mark.parametrize("place", ["async", "thread"])
def test_a_check_where_nothing_is_about_objects(connect: MakeClient, place: str) -> None:
    client = connect(_things(IsAuthenticated))
    assert client.get(f"/{place}", **_who("ada")).status_code == 500


def test_a_gate(connect: MakeClient) -> None:
    api = API(guards=[Known()])

    @api.get("/async")
    async def a(gate: Annotated[ObjectGate, Allowed(IsOwner | IsStaff)], of: str = "") -> str:
        return "seen" if await gate.acheck(THINGS[of]) else ""

    @api.get("/thread")
    def t(gate: Annotated[ObjectGate, Allowed(IsOwner("owner"))], of: str = "") -> str:
        return "seen" if gate.check(THINGS[of]) else ""

    client = connect(api)
    for path in ("/async", "/thread"):
        codes = [
            client.get(path, params={"of": of}, **_who(who)).status_code
            for who, of in (("ada", "ada"), ("ada", "staff"), ("", "ada"))
        ]
        assert codes == [200, 403, 401]


# --- declarations -----------------------------------------------------------------------


def test_a_permission_needs_to_know_who_asks() -> None:
    for guards in ([IsAuthenticated], [Public(), IsAuthenticated]):
        api = API(guards=guards)

        @api.get("/")
        async def read() -> str:
            return "read"

        with pytest.raises(RegistrationError, match="says who asks"):
            api.urls  # noqa: B018


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (HasScope, "needs scopes"),
        (lambda: HasScope("a b"), "without spaces"),
        (lambda: HasPerm("add_city"), "app.codename"),
        (HasPerm, "app.codename"),
        (lambda: IsStaff & 1, "no permission"),
        (lambda: IsStaff() | "x", "no permission"),
    ],
)
def test_wrong_declarations(make: Any, message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        make()


def test_a_permission_that_says_nothing() -> None:
    class Empty(Permission):
        pass

    with pytest.raises(RegistrationError, match="says neither"):
        _api(Empty).urls  # noqa: B018


def test_too_long_a_permission() -> None:
    permission: Permission = IsStaff()
    for _ in range(64):
        permission = permission | IsStaff
    with pytest.raises(RegistrationError, match="64 parts"):
        _api(permission).urls  # noqa: B018


def test_annotations_stay_what_they_are() -> None:
    assert (Permission | None) == (Permission | None)
    assert isinstance(None, Permission | None)
