"""The attack list, against a real server with sessions, tokens, caches and keys all at once.

What concerns addresses, hosts and header fields is in test_traffic_attacks.py; each piece's own
table (signatures, credentials, caches, ...) stands beside its other tests.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from projects import Project, Served

SECRET = b"0123456789abcdef0123456789abcdef"

SETTINGS = """
import tempfile
ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = False
INSTALLED_APPS += [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages",
]
DATABASES = {"default": {"ENGINE": "quintette.db.sqlite3", "NAME": HERE / "db.sqlite3"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CSRF_TRUSTED_ORIGINS = ["https://*.trusted.example"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
"""

URLS = f"""
from django.contrib.auth import authenticate, get_user_model, login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path
from quintette import API, Cached, Idempotent
from quintette.auth import CurrentUser, JWT, SessionAuth

User = get_user_model()
made = []
api = API()
tokens = API(guards=[JWT(key={SECRET!r}, issuer="us", audience="api")], app_name="tokens")

@tokens.get("who")
async def who(request: HttpRequest) -> str:
    return request.auth["sub"]

@api.route("me", methods=["GET", "POST"])
async def me(request: HttpRequest) -> str:
    return (await request.auser()).get_username()

@api.post("pay", guards=[SessionAuth(), Idempotent()])
async def pay(user: CurrentUser[User], request: HttpRequest) -> dict:
    made.append(user.username)
    return {{"who": user.username, "count": len(made)}}

@api.get("news", guards=[Cached(60, vary=())])
async def news(request: HttpRequest) -> dict:
    return {{"for": (await request.auser()).get_username(), "host": request.get_host()}}

@api.get("account/<path:rest>", guards=[SessionAuth(), Cached(60, by_user=True)])
async def account(user: CurrentUser[User], rest: str) -> dict:
    return {{"who": user.username}}

def sign_in(request):
    user = authenticate(request, username=request.GET["u"], password="pw")
    login(request, user)
    return HttpResponse(request.session.session_key)

def token(request):
    return HttpResponse(get_token(request))

def plain(request):
    return HttpResponse(request.user.get_username())

def seen(request):
    request.session["seen"] = 1
    return HttpResponse(request.session.session_key or "")

urlpatterns = [
    path("", api.urls), path("jwt/", tokens.urls), path("sign-in", sign_in), path("token", token),
    path("plain", plain), path("seen", seen),
]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    project = Project(tmp_path_factory.mktemp("attacked"))
    project.append("settings.py", SETTINGS)
    project.write("urls.py", URLS)
    make = (
        "import django; django.setup();"
        "from django.core.management import call_command; call_command('migrate', verbosity=0);"
        "from django.contrib.auth import get_user_model as m;"
        "[m().objects.create_user(n, password='pw') for n in ('ada', 'mallory')]"
    )
    subprocess.run(
        [project.command()[0], "-c", make],
        cwd=project.folder,
        env={**project.environment(), "DJANGO_SETTINGS_MODULE": "settings"},
        check=True,
        timeout=60,
    )
    served = Served(project)
    served.wait_for_url()
    yield served
    served.stop()


class Browser:
    """Keeps cookies as they are set, and sends them to whoever asks for the request."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str, **headers: str) -> tuple[int, str]:
        connection = self._served.connect()
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(
            method, path, headers={**({"Cookie": cookie} if cookie else {}), **fields}
        )
        response = connection.getresponse()
        body = response.read().decode()
        for value in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(value).items():
                self.cookies[name] = morsel.value
        self.headers = response.headers
        connection.close()
        return response.status, body

    def sign_in(self, name: str) -> str:
        status, key = self.send("GET", f"/sign-in?u={name}")
        assert status == 200
        self.token = self.send("GET", "/token")[1]
        return key


@pytest.fixture
def browser(served: Served) -> Browser:
    return Browser(served)


# --- tokens: RFC 8725 -------------------------------------------------------------------


def _part(raw: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(raw).encode()).rstrip(b"=").decode()


# The suite may take long: a token that is refused must not be so because it has expired meanwhile.
def _token(header: dict[str, Any], secret: bytes = SECRET, **changes: Any) -> str:
    claims = {"sub": "ada", "iss": "us", "aud": "api", "exp": int(time.time()) + 86_400, **changes}
    text = f"{_part(header)}.{_part(claims)}"
    signature = hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


HS256 = {"alg": "HS256", "typ": "JWT"}
TOKENS = {
    "none": _token({"alg": "none"}).rpartition(".")[0] + ".",
    "None, with a signature": _token({"alg": "None"}),
    "no algorithm": _token({"typ": "JWT"}),
    "another algorithm": _token({"alg": "HS512"}),
    "a public key's": _token({"alg": "RS256"}),
    "an unknown crit": _token({**HS256, "crit": ["b64"], "b64": False}),
    "an empty crit": _token({**HS256, "crit": []}),
    "its own key": _token({**HS256, "jwk": {"kty": "oct", "k": "AAAA"}}, secret=b"\0\0\0"),
    "a key elsewhere": _token({**HS256, "jku": "http://127.0.0.1/keys"}, secret=b"x" * 32),
    "a foreign signature": _token(HS256, secret=b"y" * 32),
    "another audience": _token(HS256, aud="admin"),
    "another issuer": _token(HS256, iss="them"),
    "expired": _token(HS256, exp=int(time.time()) - 3600),
    "cut off": _token(HS256)[:-4],
}


@pytest.mark.parametrize("name", TOKENS)
def test_tokens(browser: Browser, name: str) -> None:
    status, _ = browser.send("GET", "/jwt/who", Authorization=f"Bearer {TOKENS[name]}")
    assert status == 401
    assert browser.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_good_token(browser: Browser) -> None:
    assert browser.send("GET", "/jwt/who", Authorization=f"Bearer {_token(HS256)}") == (
        200,
        '"ada"',
    )


# --- CSRF -------------------------------------------------------------------------------

ORIGINS = [
    ("http://evil.example", 403),
    ("null", 403),
    ("https://127.0.0.1", 403),  # another scheme is another origin
    ("http://127.0.0.1.evil.example", 403),
    ("https://trusted.example.evil.example", 403),
    ("https://a.trusted.example", 200),  # CSRF_TRUSTED_ORIGINS
    ("http://a.trusted.example", 403),
    ("https://eviltrusted.example", 403),
]


@pytest.mark.parametrize("path", ["/me", "/plain"])
@pytest.mark.parametrize(("origin", "status"), ORIGINS)
def test_other_origins(browser: Browser, path: str, origin: str, status: int) -> None:
    """Even with the token, which a sub-domain may have put into a cookie of its own."""
    browser.sign_in("ada")
    found, body = browser.send("POST", path, Origin=origin, X_CSRFToken=browser.token)
    assert found == status, body
    assert ("ada" in body) == (status == 200)


@pytest.mark.parametrize("path", ["/me", "/plain"])
def test_a_session_without_the_token(browser: Browser, path: str) -> None:
    browser.sign_in("ada")
    assert browser.send("POST", path)[0] == 403
    assert browser.send("POST", path, X_CSRFToken="x" * 64)[0] == 403
    assert browser.send("POST", path, X_CSRFToken=browser.token)[0] == 200


# --- cookies ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/me", "/plain"])
def test_a_tossed_csrf_cookie(browser: Browser, path: str) -> None:
    """A sub-domain sets a cookie of the same name: whichever of the two comes first, a token of the
    attacker's choice is no proof where the Origin is another."""
    browser.sign_in("ada")
    mine, session = "a" * 32, browser.cookies["sessionid"]
    own = browser.cookies["csrftoken"]
    for cookie in (f"csrftoken={mine}; csrftoken={own}", f"csrftoken={own}; csrftoken={mine}"):
        status, _ = browser.send(
            "POST",
            path,
            Cookie=f"sessionid={session}; {cookie}",
            X_CSRFToken=mine,
            Origin="http://sub.evil.example",
        )
        assert status == 403


@pytest.mark.parametrize("path", ["/me", "/plain"])
def test_a_tossed_session_cookie(browser: Browser, served: Served, path: str) -> None:
    """Both faces of the server believe the same one of two cookies."""
    browser.sign_in("ada")
    other = Browser(served)
    other.sign_in("mallory")
    ada, mallory = browser.cookies["sessionid"], other.cookies["sessionid"]
    cookie = f"sessionid={ada}; sessionid={mallory}"
    assert "mallory" in Browser(served).send("GET", path, Cookie=cookie)[1]


def test_session_fixation(browser: Browser) -> None:
    """A session from before the login is another one afterwards, and the old key is nobody's."""
    browser.send("GET", "/seen")
    before = browser.cookies["sessionid"]
    assert browser.sign_in("ada") != before
    assert browser.send("GET", "/me")[1] == '"ada"'
    browser.cookies = {"sessionid": before}
    assert browser.send("GET", "/me")[1] == '""'


def test_a_chosen_session_key(browser: Browser) -> None:
    """A key that no session has begins none of that name."""
    browser.cookies["sessionid"] = "z" * 32
    browser.send("GET", "/seen")
    assert browser.cookies["sessionid"] != "z" * 32


# --- kept answers -----------------------------------------------------------------------


def test_idempotency_keys_belong_to_users(browser: Browser, served: Served) -> None:
    answers = []
    for name in ("ada", "mallory"):
        one = Browser(served)
        one.sign_in(name)
        fields = {"X_CSRFToken": one.token, "Idempotency_Key": "the-same-key"}
        answers += [one.send("POST", "/pay", **fields) for _ in range(2)]
    assert [json.loads(body)["who"] for _, body in answers] == ["ada"] * 2 + ["mallory"] * 2
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    # Without the session, or its proof, there is nothing to be replayed.
    assert browser.send("POST", "/pay", Idempotency_Key="the-same-key")[0] in (401, 403)


def test_cache_deception(browser: Browser, served: Served) -> None:
    """A path that looks like a style sheet is still the account of who asks."""
    browser.sign_in("ada")
    for path in ("/account/x.css", "/account/x.css?v=1", "/account/%2e%2e/news.js"):
        assert browser.send("GET", path) == (200, '{"who":"ada"}')
        assert "public" not in browser.headers.get("Cache-Control", "")
        assert Browser(served).send("GET", path)[0] == 401
        other = Browser(served)
        other.sign_in("mallory")
        assert other.send("GET", path)[1] == '{"who":"mallory"}'


@pytest.mark.parametrize(
    "fields",
    [
        {"X_Forwarded_Host": "evil.example"},
        {"X_Original_URL": "/account/x"},
        {"X_HTTP_Method_Override": "POST"},
        {"X_Forwarded_Scheme": "nothttps"},
    ],
)
def test_cache_poisoning(browser: Browser, served: Served, fields: dict[str, str]) -> None:
    """What is not part of the key changes nothing of what is kept."""
    clean = browser.send("GET", "/news?poison=1")
    Browser(served).send("GET", "/news?poison=2", **fields)
    status, body = browser.send("GET", "/news?poison=2")
    assert (status, body) == clean
    assert "evil" not in body


def test_a_session_is_not_kept_for_others(browser: Browser, served: Served) -> None:
    """A handler that looks at the user behind Cached() is not answered from another one's visit."""
    browser.sign_in("ada")
    assert json.loads(browser.send("GET", "/news?mine=1")[1])["for"] == "ada"
    assert json.loads(Browser(served).send("GET", "/news?mine=1")[1])["for"] == ""


def test_a_body_cannot_name_another_host(browser: Browser) -> None:
    assert browser.send("GET", "/plain", Host="evil.example")[0] == 400
    assert browser.send("GET", "/me", Host="evil.example")[0] == 400
