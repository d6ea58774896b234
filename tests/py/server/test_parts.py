"""The parts of the serving command that need no process."""

from __future__ import annotations

import io
import json
import logging
import sys
import types
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path, register_converter
from msgspec.structs import fields

from quintette import API, _quintette
from quintette.conf import Settings, SettingsError, parse
from quintette.server import banner, child, reloader
from quintette.server.address import Address, AddressError, parse_address
from quintette.server.logs import JSONFormatter, TerminalFormatter
from quintette.server.views import find_placed_views

# --- addresses


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (None, "127.0.0.1", 8000),
        ("", "127.0.0.1", 8000),
        ("9000", "127.0.0.1", 9000),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("0:80", "0.0.0.0", 80),
        ("[::1]:8000", "::1", 8000),
        ("[fe80::1%eth0]:8000", "fe80::1%eth0", 8000),
        ("localhost:8000", "localhost", 8000),
        ("my-host.example:1", "my-host.example", 1),
    ],
)
def test_addresses(text: str | None, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["x", ":8000", "::1:8000", "host:", "1.2.3.4:99999", "a b:1", "-x:1", "8000/", "²:1"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_ipv6() -> None:
    assert parse_address("8000", ipv6=True) == Address("::1", 8000)
    assert parse_address(None, ipv6=True).url == "http://[::1]:8000/"
    with pytest.raises(AddressError, match="is not an IPv6 address"):
        parse_address("127.0.0.1:8000", ipv6=True)


# --- settings


def test_defaults() -> None:
    settings = parse({})
    assert settings == Settings()
    assert settings.worker_count() == 1
    assert 5 <= settings.thread_count() <= 32
    assert set(settings.limits()) >= {"body_max", "head_timeout_msec", "connections_max"}
    assert settings.limits()["keep_alive_msec"] == 15_000


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "QUINTETTE must be a dict, not list."),
        ({"WORKER": 1}, "unknown key 'WORKER'. Did you mean 'WORKERS'?"),
        ({"workers": 1}, "Did you mean 'WORKERS'?"),
        ({"XYZZY": 1}, "unknown key 'XYZZY'."),
        ({1: 1}, "unknown key 1."),
        ({"WORKERS": 0}, "QUINTETTE['WORKERS']: expected int >= 1 (it is 0)."),
        ({"WORKERS": True}, "QUINTETTE['WORKERS']"),
        ({"HEAD_FIELDS": 129}, "expected int <= 128 (it is 129)"),
        ({"KEEP_ALIVE_SECONDS": "15"}, "expected float, got str"),
        ({"LOG_FORMAT": "xml"}, "QUINTETTE['LOG_FORMAT']: expected one of 'auto', 'text', 'json'"),
        ({"WORKERS": "many"}, "QUINTETTE['WORKERS']: expected int or 'auto' (it is 'many')"),
        ({"WORKERS": 1.5}, "QUINTETTE['WORKERS']: expected int or 'auto' (it is 1.5)"),
        ({"WORKERS": 1025}, "QUINTETTE['WORKERS']: expected int <= 1024 (it is 1025)"),
        ({"THREADS": 1025}, "QUINTETTE['THREADS']: expected int <= 1024"),
        ({"SERVE_STATIC": "no"}, "QUINTETTE['SERVE_STATIC']: expected bool | None, got str"),
        ({"DRAIN_SECONDS": float("inf")}, "expected float <= 86400"),
        ({"REQUEST_ID_HEADER": "content-Length"}, "QUINTETTE['REQUEST_ID_HEADER']"),
        ({"REQUEST_ID_HEADER": "X: y"}, "QUINTETTE['REQUEST_ID_HEADER']"),
        ({"REQUEST_ID_HEADER": ""}, "QUINTETTE['REQUEST_ID_HEADER']"),
        ({"STATIC_CACHE_CONTROL": "no-cache\r\nX: y"}, "QUINTETTE['STATIC_CACHE_CONTROL']"),
    ],
)
def test_settings_that_are_wrong(value: object, words: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        parse(value)
    assert words in str(caught.value)


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse({"WORKER": 1, "THREADS": 0, "BACKLOG": 5, "TRUSTED_PROXIES": ["unix", 7]})
    assert caught.value.faults == [
        "QUINTETTE has an unknown key 'WORKER'. Did you mean 'WORKERS'?",
        "QUINTETTE['THREADS']: expected int >= 1 (it is 0).",
        "QUINTETTE['TRUSTED_PROXIES'][1]: expected str, got int.",
    ]


@pytest.mark.parametrize(
    "name", [field.encode_name for field in fields(Settings) if field.type not in (bool, str)]
)
def test_what_the_server_cannot_take_is_refused(name: str) -> None:
    """A number is refused here, by its key, or the server in C takes it."""
    for number in (2**15, 2**16, 2**20, 2**24, 2**30, 2**31, 2**32, 2**63 - 1, 2**63, 2**70):
        try:
            settings = parse({name: number})
        except ImproperlyConfigured as error:
            assert f"QUINTETTE[{name!r}]" in str(error)  # noqa: PT017
        else:
            _quintette.ThreadPool(settings.thread_count())
            _quintette.Server(limits=settings.limits()).close()


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    for name in Settings.__struct_encode_fields__:
        assert f"`{name}`" in text


# --- logs


def record(message: str, level: int = logging.WARNING, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("a.b", level, "f", 1, message, None, None)
    vars(made).update(extra)
    return made


def test_json_lines() -> None:
    line = JSONFormatter().format(record('two\nlines "x"', status_code=404, request=object()))
    assert "\n" not in line
    parsed = json.loads(line)
    assert parsed["message"] == 'two\nlines "x"'
    assert (parsed["level"], parsed["logger"], parsed["status_code"]) == ("warning", "a.b", 404)
    assert "request" not in parsed


def test_terminal_lines_cannot_drive_the_terminal() -> None:
    for colour in (False, True):
        line = TerminalFormatter(colour=colour).format(record("Not Found: /\x1b[2J\x9b5n\r é"))
        assert line.endswith(r"Not Found: /\x1b[2J\x9b5n\r é")


def test_tracebacks_are_in_both() -> None:
    try:
        raise ValueError("the reason")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    assert "ValueError: the reason" in json.loads(JSONFormatter().format(made))["exception"]
    assert "ValueError: the reason" in TerminalFormatter(colour=False).format(made)


# --- banner


def test_warnings() -> None:
    from django.test import override_settings

    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert len(banner.warnings(Address("0.0.0.0", 8000))) == 2
        assert banner.warnings(Address("127.0.0.1", 8000)) == []
    with override_settings(DEBUG=False):
        assert banner.warnings(Address("0.0.0.0", 8000)) == []


def test_long_lists_are_cut() -> None:
    stream = io.StringIO()
    banner.Banner(stream).routes(banner.Report(routes=1, kept=[f"/r{i}" for i in range(20)]))
    assert "1 route run in C" in stream.getvalue()
    assert "/r7" in stream.getvalue()
    assert "/r8" not in stream.getvalue()
    assert "and 12 more" in stream.getvalue()


# --- asynchronous views


class FourDigits:
    regex = "[0-9]{4}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return f"{value:04}"


def sync(request: HttpRequest, **kwargs: object) -> HttpResponse:
    return HttpResponse()


async def asynchronous(request: HttpRequest, **kwargs: object) -> HttpResponse:
    return HttpResponse()


def test_async_views_are_found() -> None:
    register_converter(FourDigits, "four")
    inner = [path("v", asynchronous), path("s", sync)]
    module = types.ModuleType("urls_of_parts")
    module.urlpatterns = [  # type: ignore[attr-defined]
        path("", asynchronous),
        path("sync/<slug:x>", sync),
        path("n/<int:n>/", asynchronous),
        path("sub/", include(inner)),
        re_path("^re/", include(inner)),
        re_path("^x$", asynchronous),
        path("y/<four:y>", asynchronous),
        path("sync/fixed", asynchronous),
        path("sub/s", asynchronous),
        path("<path:rest>", asynchronous),
        path("a<b", asynchronous),
    ]
    sys.modules[module.__name__] = module
    found = {view.path: view.problem for view in find_placed_views(module.__name__)}
    assert [p for p, problem in found.items() if not problem] == ["/", "/n/<int:n>/", "/sub/v"]
    assert "RegexPattern is matched in Python" in found["/^re/v"]
    assert "RegexPattern is matched in Python" in found["/^x$"]
    assert "'four' is matched in Python" in found["/y/<four:y>"]
    assert "another view comes first" in found["/sync/fixed"]
    assert "another view comes first" in found["/sub/s"]
    assert "/sync/<slug:x> comes first" in found["/<path:rest>"]


def test_handlers_of_one_path_are_one_view() -> None:
    api = API()

    @api.get("/things")
    async def things() -> None: ...

    @api.post("/things")
    async def create() -> None: ...

    module = types.ModuleType("urls_of_one_path")
    module.urlpatterns = [path("", api.urls)]  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    found = [(view.path, view.problem) for view in find_placed_views(module.__name__)]
    assert found == [("/things", "")]


# --- reloading


def test_changes() -> None:
    assert reloader.changes({"a": 1, "b": 1, "gone": 1}, {"a": 1, "b": 2, "new": 1}) == ["b", "new"]


def test_files_of_errors(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")

    def fail() -> None:
        try:
            compile(broken.read_text(), str(broken), "exec")
        except SyntaxError as error:
            raise RuntimeError from error

    with pytest.raises(RuntimeError) as caught:
        fail()
    assert {str(broken), __file__} <= child.files_of(caught.value)
