"""request_started, request_finished and response.close() in C, against what Django's own do."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import signals
from django.core.cache import caches, close_caches
from django.core.handlers.base import reset_urlconf
from django.db import close_old_connections, connection, connections, reset_queries
from django.dispatch import Signal
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.test import RequestFactory, override_settings
from django.urls import (
    clear_script_prefix,
    clear_url_caches,
    get_script_prefix,
    get_urlconf,
    path,
    set_urlconf,
)

from quintette import _quintette
from quintette.db.scope import Storage
from quintette.server import parts
from quintette.server.handler import SyncHandler

Close = Callable[[HttpResponseBase], object]


@pytest.fixture(params=["in C", "Django's"])
def close(request: pytest.FixtureRequest) -> Close:
    """The table below holds for both."""
    return _quintette.close_response if request.param == "in C" else HttpResponseBase.close


@pytest.fixture
def handler() -> Iterator[SyncHandler]:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{get_script_prefix()} {get_urlconf()}")

    module = types.ModuleType("urls_of_signals")
    module.urlpatterns = [path("", view)]  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    with override_settings(ROOT_URLCONF=module.__name__):
        clear_url_caches()
        yield SyncHandler()
    clear_url_caches()
    set_urlconf(None)
    clear_script_prefix()


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was called of the one connection's two methods. Django's test client may have changed
    the order of the receivers before."""
    for receiver in (reset_queries, close_old_connections):
        signals.request_started.disconnect(receiver)
        signals.request_started.connect(receiver)
    connection.ensure_connection()
    calls: list[str] = []

    class Log:
        def clear(self) -> None:
            calls.append("reset")

    wrapper = connections["default"]
    monkeypatch.setattr(wrapper, "queries_log", Log())
    monkeypatch.setattr(
        wrapper, "close_if_unusable_or_obsolete", lambda: calls.append("close"), raising=False
    )
    return calls


# --- which parts are done in C


def test_djangos_receivers_are_known() -> None:
    # A change in Django would otherwise show as lost speed alone.
    assert not _quintette.has_other_receivers(signals.request_started)
    assert not _quintette.has_other_receivers(signals.request_finished)


@pytest.mark.parametrize("options", [{"dispatch_uid": "x"}, {"sender": SyncHandler}, {}])
def test_another_receiver_is_noticed(options: Any) -> None:
    def receiver(**kwargs: Any) -> None: ...

    for signal in (signals.request_started, signals.request_finished):
        for function in (receiver, close_caches):
            signal.connect(function, **options)
            own = function is close_caches and not options
            assert _quintette.has_other_receivers(signal) is not own
            signal.disconnect(None if "dispatch_uid" in options else function, **options)
            if own and signal is signals.request_finished:
                signal.connect(function)
            assert not _quintette.has_other_receivers(signal)


def test_every_part_is_as_known(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}
    monkeypatch.setattr(_quintette, "set_django", taken.update)
    parts.hand_over()
    # Once an engine of ours is loaded, as by other tests of this process, its storage is there.
    scoped = isinstance(connections._connections, Storage)  # type: ignore[attr-defined]
    unknown = ["connections_storage" if scoped else "connections_here"]
    assert [name for name, part in taken.items() if part is None] == unknown


def test_a_replaced_method_is_called(handler: SyncHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    # As tracing agents do it.
    calls = []
    original = Signal._live_receivers

    def live(self: Signal, sender: Any) -> Any:
        calls.append(self)
        return original(self, sender)

    monkeypatch.setattr(Signal, "_live_receivers", live)
    _quintette.close_response(handler(RequestFactory().get("/")))
    assert calls == [signals.request_started, signals.request_finished]


# --- what they do


def test_connections_are_reset_and_closed(handler: SyncHandler, spy: list[str]) -> None:
    response = handler(RequestFactory().get("/"))
    assert spy == ["reset", "close"]
    _quintette.close_response(response)
    assert spy == ["reset", "close", "close"]


def test_a_disconnected_receiver_does_nothing(handler: SyncHandler, spy: list[str]) -> None:
    # Django's test client does so, to keep the connection of a test.
    signals.request_started.disconnect(close_old_connections)
    signals.request_finished.disconnect(close_old_connections)
    try:
        _quintette.close_response(handler(RequestFactory().get("/")))
    finally:
        signals.request_started.connect(close_old_connections)
        signals.request_finished.connect(close_old_connections)
    assert spy == ["reset"]


def test_order_of_receivers_is_that_of_connecting(handler: SyncHandler, spy: list[str]) -> None:
    signals.request_started.disconnect(reset_queries)
    signals.request_started.connect(reset_queries)
    handler(RequestFactory().get("/"))
    signals.request_started.disconnect(close_old_connections)
    signals.request_started.connect(close_old_connections)
    assert spy == ["close", "reset"]


def test_an_error_of_a_connection_is_the_callers(
    handler: SyncHandler, spy: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("gone")

    monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", fail)
    with pytest.raises(OSError, match="gone"):
        handler(RequestFactory().get("/"))


def test_receivers_get_what_django_gives_them(handler: SyncHandler) -> None:
    seen = []

    def receiver(**kwargs: Any) -> None:
        seen.append(kwargs)

    request = RequestFactory().get("/")
    signals.request_started.connect(receiver)
    signals.request_finished.connect(receiver)
    try:
        _quintette.close_response(handler(request))
    finally:
        signals.request_started.disconnect(receiver)
        signals.request_finished.disconnect(receiver)
    assert seen == [
        {
            "signal": signals.request_started,
            "sender": SyncHandler,
            "environ": request.environ,
        },
        {"signal": signals.request_finished, "sender": SyncHandler},
    ]


def test_a_receiver_that_raises(handler: SyncHandler, spy: list[str]) -> None:
    def receiver(**kwargs: Any) -> None:
        raise LookupError

    signals.request_started.connect(receiver)
    try:
        with pytest.raises(LookupError):
            handler(RequestFactory().get("/"))
    finally:
        signals.request_started.disconnect(receiver)
    assert spy == ["reset", "close"]


def test_urlconf_is_set_and_reset(handler: SyncHandler) -> None:
    for _ in range(3):
        response = handler(RequestFactory().get("/"))
        assert response.content == b"/ urls_of_signals"  # type: ignore[attr-defined]
        assert get_urlconf() == "urls_of_signals"
        _quintette.close_response(response)
        assert get_urlconf() is None


def test_urlconf_stays_where_its_receiver_is_disconnected(handler: SyncHandler) -> None:
    signals.request_finished.disconnect(reset_urlconf)
    try:
        _quintette.close_response(handler(RequestFactory().get("/")))
        assert get_urlconf() == "urls_of_signals"
    finally:
        signals.request_finished.connect(reset_urlconf)


@pytest.mark.parametrize("prefix", ["/app", "/app/"])
def test_script_prefix_of_an_earlier_request_is_gone(handler: SyncHandler, prefix: str) -> None:
    with override_settings(FORCE_SCRIPT_NAME=prefix):
        response: Any = handler(RequestFactory().get("/"))
    assert response.content.startswith(b"/app/ ")
    response = handler(RequestFactory().get("/"))
    assert response.content.startswith(b"/ ")


def test_caches_are_closed(close: Close, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(caches["default"], "close", lambda: closed.append(1), raising=False)
    close(HttpResponse())
    assert closed == [1]


def test_the_context_of_another_thread_is_not_ours(handler: SyncHandler) -> None:
    import contextvars
    import threading

    set_urlconf("of this thread")
    seen: list[Any] = []
    context = contextvars.copy_context()

    def request() -> None:
        # Closing the request must not stumble over the other thread's value.
        _quintette.close_response(handler(RequestFactory().get("/")))
        seen.append(get_urlconf())

    thread = threading.Thread(target=context.run, args=[request])
    thread.start()
    thread.join()
    assert seen == [None]
    assert get_urlconf() == "of this thread"


# --- closing


def test_closing(close: Close) -> None:
    order: list[Any] = []
    response: Any = HttpResponse()

    def late() -> None:
        order.append("late")

    def first() -> None:
        order.append("first")
        response._resource_closers.append(late)
        raise ValueError

    response._resource_closers += [first, lambda: order.append(response.closed)]
    close(response)
    assert order == ["first", False, "late"]
    assert (response.closed, response._resource_closers) == (True, [])


def test_closing_is_cut_by_what_is_no_exception(close: Close) -> None:
    response: Any = HttpResponse()
    closers = response._resource_closers

    def leave() -> None:
        raise SystemExit

    closers += [leave, leave]
    with pytest.raises(SystemExit):
        close(response)
    assert (response.closed, len(closers)) == (False, 2)


def test_own_close_is_called() -> None:
    calls = []

    class Own(HttpResponse):
        def close(self) -> None:
            calls.append("class")
            super().close()

    response = Own()
    _quintette.close_response(response)
    response = HttpResponse()
    response.close = lambda: calls.append("instance")  # type: ignore[method-assign]
    _quintette.close_response(response)
    assert (calls, response.closed) == (["class", "instance"], False)


def test_a_file_is_closed(close: Close) -> None:
    file = open(__file__, "rb")  # noqa: SIM115
    close(FileResponse(file))
    assert file.closed


def test_memory_stays(handler: SyncHandler) -> None:
    import gc

    def rounds(n: int) -> int:
        for _ in range(n):
            _quintette.close_response(handler(RequestFactory().get("/")))
        gc.collect()
        return len(gc.get_objects()) + sys.getallocatedblocks()

    rounds(200)
    before = rounds(2000)
    assert rounds(2000) - before < 200
