"""Login by OpenID Connect, against a provider of our own, and attacks on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("authlib")
pytest.importorskip("requests")

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.test.utils import override_settings
from django.urls import path
from joserfc.jwk import ECKey
from oidc_provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider

from quintette import API
from quintette.auth import CurrentUser, SessionAuth
from quintette.auth.oidc import OIDCLogin, Provider

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    made = OpenIDProvider()
    yield made
    made.close()


@pytest.fixture
def site(provider: OpenIDProvider, users: Any) -> Iterator[Any]:
    """Serves a login by the provider; gives a function that changes how."""
    urlconf = ModuleType("oidc_urls")
    sys.modules["oidc_urls"] = urlconf

    def serve(**options: Any) -> None:
        api = API(guards=[SessionAuth()])

        @api.get("/me")
        async def me(user: CurrentUser[Any]) -> str:
            return str(user.get_username())

        one = Provider("own", provider.issuer, CLIENT_ID, CLIENT_SECRET)
        two = Provider("two", provider.issuer, CLIENT_ID, CLIENT_SECRET)
        login = OIDCLogin(one, two, **options)
        urlconf.urlpatterns = [path("in/", login.urls), path("", api.urls)]  # type: ignore[attr-defined]
        # The resolver is cached by the URLconf's name.
        from django.urls import clear_url_caches

        clear_url_caches()

    serve()
    with override_settings(
        ROOT_URLCONF="oidc_urls", MIDDLEWARE=MIDDLEWARE, LOGIN_REDIRECT_URL="/home/"
    ):
        yield serve


def _begin(client: Client, query: str = "", name: str = "own") -> str:
    response = client.get(f"/in/login/{name}/{query}")
    assert response.status_code == 302
    return str(response["Location"])


def _me(client: Client) -> str | None:
    response = client.get("/me")
    return response.json() if response.status_code == 200 else None


def test_a_login(site: Any, provider: OpenIDProvider) -> None:
    client = Client()
    location = _begin(client)
    query = parse_qs(urlsplit(location).query)
    assert location.startswith(f"{provider.issuer}/authorize?")
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://testserver/in/callback/own/"]
    assert query["scope"] == ["openid email profile"]
    assert len(query["state"][0]) >= 20
    assert len(query["nonce"][0]) >= 20
    answer = provider.authorize(location, email="a@example.org", email_verified=True)
    response = client.get(f"/in/callback/own/?{answer}")
    assert (response.status_code, response["Location"]) == (302, "/home/")
    assert _me(client) == "own.248289761001"
    user: Any = get_user_model().objects.get(username="own.248289761001")
    assert user.email == "a@example.org"
    assert not user.has_usable_password()
    # The same user again.
    other = Client()
    other.get(f"/in/callback/own/?{provider.authorize(_begin(other))}")
    assert _me(other) == "own.248289761001"
    assert get_user_model().objects.filter(username__startswith="own.").count() == 1


def test_a_state_is_good_for_once(site: Any, provider: OpenIDProvider) -> None:
    client = Client()
    answer = provider.authorize(_begin(client))
    assert client.get(f"/in/callback/own/?{answer}").status_code == 302
    assert client.get(f"/in/callback/own/?{answer}").status_code == 403


def test_session_fixation(site: Any, provider: OpenIDProvider) -> None:
    """Neither the first login nor one of the same user goes on with a key that others know."""
    client = Client()
    planted = _planted(client, provider)
    keys = {planted}
    for _ in range(2):
        answer = provider.authorize(_begin(client))
        client.get(f"/in/callback/own/?{answer}")
        key = client.cookies[settings.SESSION_COOKIE_NAME].value
        assert key not in keys
        keys.add(key)
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = planted
    assert _me(thief) is None


def _planted(client: Client, provider: OpenIDProvider) -> str:
    _begin(client)
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("another nonce", {"nonce": "x"}),
    ("no nonce", {"nonce": None}),
    ("another audience", {"aud": "somebody else"}),
    ("no audience", {"aud": None}),
    ("another issuer", {"iss": "https://evil.example"}),
    ("no issuer", {"iss": None}),
    ("no subject", {"sub": None}),
    ("expired", {"exp": 1}),
    ("no expiry", {"exp": None}),
    ("issued in the future", {"iat": 4102444800}),
    ("no signature", {"alg": "none"}),
    ("another key", {"sign_by": ECKey.generate_key("P-256", {"kid": "1"})}),
    ("another audience beside, authorised for it", {"aud": [CLIENT_ID, "x"], "azp": "x"}),
]


@pytest.mark.parametrize("row", WRONG, ids=[row[0] for row in WRONG])
def test_tokens_that_are_refused(site: Any, provider: OpenIDProvider, row: Any) -> None:
    client = Client()
    answer = provider.authorize(_begin(client), **row[1])
    assert client.get(f"/in/callback/own/?{answer}").status_code == 403
    assert _me(client) is None
    assert not get_user_model().objects.filter(username__startswith="own.").exists()


def test_a_signature_by_the_clients_secret(site: Any, provider: OpenIDProvider) -> None:
    client = Client()
    answer = provider.authorize(_begin(client), alg="HS256", sign_by=provider.shared_key())
    assert client.get(f"/in/callback/own/?{answer}").status_code == 403


def test_an_answer_without_an_id_token(site: Any, provider: OpenIDProvider) -> None:
    client = Client()
    answer = provider.authorize(_begin(client))
    provider.codes["code-0"]["id_token"] = ""
    assert client.get(f"/in/callback/own/?{answer}").status_code == 403


@pytest.mark.parametrize(
    "change", ["state=x", "state=", "", "error=access_denied", "iss=https://x"]
)
def test_callbacks_that_are_refused(site: Any, provider: OpenIDProvider, change: str) -> None:
    client = Client()
    answer = provider.authorize(_begin(client))
    query = change if not change.startswith("iss") else f"{answer}&{change}"
    if change.startswith("state"):
        query = f"code=code-0&{change}"
    assert client.get(f"/in/callback/own/?{query}").status_code == 403
    assert "/token" not in provider.asked


def test_login_csrf(site: Any, provider: OpenIDProvider) -> None:
    """The attacker's answer does not log the victim's browser in as the attacker."""
    attacker, victim = Client(), Client()
    answer = provider.authorize(_begin(attacker))
    _begin(victim)
    assert victim.get(f"/in/callback/own/?{answer}").status_code == 403
    assert _me(victim) is None


def test_mix_up(site: Any, provider: OpenIDProvider) -> None:
    """A state belongs to the provider that it was made for."""
    client = Client()
    answer = provider.authorize(_begin(client, name="two"))
    assert client.get(f"/in/callback/own/?{answer}").status_code == 403


def test_a_login_takes_so_long_at_most(
    site: Any, provider: OpenIDProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quintette.auth.oidc.LOGIN_SECONDS", -1)
    client = Client()
    answer = provider.authorize(_begin(client))
    assert client.get(f"/in/callback/own/?{answer}").status_code == 403


def test_logins_that_are_begun_are_bounded(site: Any, provider: OpenIDProvider) -> None:
    client = Client()
    locations = [_begin(client) for _ in range(8)]
    kept = [key for key in client.session.keys() if key.startswith("_state_own_")]  # noqa: SIM118
    assert len(kept) == 5
    answers = [provider.authorize(location) for location in locations]
    assert client.get(f"/in/callback/own/?{answers[0]}").status_code == 403
    assert client.get(f"/in/callback/own/?{answers[-1]}").status_code == 302


NEXT = [
    ("/there?x=1", "/there?x=1"),
    ("http://testserver/there", "http://testserver/there"),
    ("https://evil.example/", "/home/"),
    ("//evil.example/", "/home/"),
    ("///evil.example", "/home/"),
    ("\\\\evil.example", "/home/"),
    ("/\\evil.example", "/home/"),
    ("javascript:alert(1)", "/home/"),
    ("http:///evil.example", "/home/"),
    ("", "/home/"),
]


@pytest.mark.parametrize(("wanted", "got"), NEXT)
def test_where_the_login_goes_on(
    site: Any, provider: OpenIDProvider, wanted: str, got: str
) -> None:
    client = Client()
    response = client.get("/in/login/own/", {"next": wanted})
    answer = provider.authorize(response["Location"])
    assert client.get(f"/in/callback/own/?{answer}")["Location"] == got


def test_the_projects_own_users(site: Any, provider: OpenIDProvider, users: Any) -> None:
    def find(name: str, claims: dict[str, Any], request: Any) -> Any:
        return users.get(claims["preferred_username"])

    site(user=find)
    for name, status in (("ada", 302), ("stranger", 403), ("cy", 403)):
        client = Client()
        answer = provider.authorize(_begin(client), preferred_username=name)
        assert client.get(f"/in/callback/own/?{answer}").status_code == status
        assert _me(client) == ("ada" if name == "ada" else None)


def test_a_user_who_has_signed_up_before(site: Any, provider: OpenIDProvider) -> None:
    """Whoever knows the password would share the account."""
    get_user_model().objects.create_user("own.248289761001", password="known")
    client = Client()
    answer = provider.authorize(_begin(client))
    assert client.get(f"/in/callback/own/?{answer}").status_code == 403


@pytest.mark.parametrize("subject", ["a" * 255, "é", "a b", "\x00", "../x"])
def test_unusual_subjects(site: Any, provider: OpenIDProvider, subject: str) -> None:
    names = set()
    for one in (subject, subject, subject + "x"):
        client = Client()
        client.get(f"/in/callback/own/?{provider.authorize(_begin(client), sub=one)}")
        names.add(_me(client))
    assert len(names) == 2
    assert None not in names


def test_an_address_that_was_not_verified(site: Any, provider: OpenIDProvider) -> None:
    client = Client()
    answer = provider.authorize(_begin(client), email="root@example.org", email_verified=False)
    client.get(f"/in/callback/own/?{answer}")
    user: Any = get_user_model().objects.get(username="own.248289761001")
    assert user.email == ""


def test_logout(site: Any, provider: OpenIDProvider) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get(f"/in/callback/own/?{provider.authorize(_begin(client))}")
    assert client.get("/in/logout/").status_code == 405
    assert client.post("/in/logout/").status_code == 403, "another site must not log anybody out"
    assert _me(client) is not None
    token = client.cookies[settings.CSRF_COOKIE_NAME].value
    response = client.post("/in/logout/", headers={"X-CSRFToken": token})
    query = parse_qs(urlsplit(response["Location"]).query)
    assert response["Location"].startswith(f"{provider.issuer}/logout?")
    assert query == {"client_id": [CLIENT_ID], "post_logout_redirect_uri": ["http://testserver/"]}
    assert _me(client) is None


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": "https://evil.example"}, {"id_token_signing_alg_values_supported": ["HS256"]}],
    ids=json.dumps,
)
def test_a_provider_that_is_none(
    site: Any, provider: OpenIDProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    assert Client().get("/in/login/own/").status_code == 502


def test_a_provider_that_does_not_answer(site: Any, provider: OpenIDProvider) -> None:
    provider.close()
    assert Client().get("/in/login/own/").status_code == 502
    assert Client().get("/in/login/nobody/").status_code == 404


@pytest.mark.parametrize(
    "make",
    [
        lambda: Provider("own", "http://id.example", "x"),
        lambda: Provider("own", "ftp://localhost", "x"),
        lambda: Provider("Own!", "https://id.example", "x"),
        lambda: Provider("own", "https://id.example", "x", scopes=("email",)),
        lambda: OIDCLogin(),  # noqa: PLW0108
        lambda: OIDCLogin(*[Provider("own", "https://id.example", "x")] * 2),
    ],
)
def test_wrong_declarations(make: Any) -> None:
    with pytest.raises(ImproperlyConfigured):
        make()
