"""``manage.py serve``."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from typing import Any

import msgspec
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from quintette.conf import COUNT_MAX, DAY_SECONDS, Settings, get_settings
from quintette.server.address import Address, AddressError, listen, parse_address


class Command(BaseCommand):
    help = (
        "Serves the project over HTTP: for development, where it restarts when code changes, "
        "and in production, behind a proxy that does TLS."
    )
    # They are run in the process that loads the project, at each of its starts.
    requires_system_checks: list[str] = []
    suppressed_base_arguments = {"--verbosity"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "addrport",
            nargs="?",
            metavar="ADDRESS:PORT",
            help="where to listen: 8000, 0.0.0.0:8000, [::1]:8000 (default: 127.0.0.1:8000)",
        )
        parser.add_argument(
            "-6", "--ipv6", action="store_true", help="listen on ::1 when no address is given"
        )
        parser.add_argument(
            "--explain",
            action="store_true",
            help="print what runs natively, what does not and why; serve nothing",
        )
        parser.add_argument("--skip-checks", action="store_true", help="skip system checks")
        group = parser.add_argument_group("processes")
        group.add_argument(
            "--workers",
            type=_count_or_auto,
            metavar="N",
            help="worker processes; auto: one per CPU (default: QUINTETTE['WORKERS'], 1)",
        )
        group.add_argument(
            "--threads",
            type=_count,
            metavar="N",
            help="threads per worker for synchronous views (default: QUINTETTE['THREADS'])",
        )
        group.add_argument(
            "--drain-seconds",
            type=_seconds,
            metavar="SECONDS",
            help="what requests in flight get when the server stops "
            "(default: QUINTETTE['DRAIN_SECONDS'], 30)",
        )
        group.add_argument(
            "--reload",
            action="store_true",
            default=None,
            dest="reload",
            help="restart when code changes (default: with DEBUG and one worker)",
        )
        group.add_argument(
            "--noreload", "--no-reload", action="store_false", default=None, dest="reload"
        )
        group = parser.add_argument_group("logs")
        group.add_argument(
            "--access-log",
            action=BooleanOptionalAction,
            default=None,
            help="one line per request (default: QUINTETTE['ACCESS_LOG'], on)",
        )
        group.add_argument(
            "--log-format",
            choices=["auto", "text", "json"],
            help="auto: text on a terminal, else JSON (default: QUINTETTE['LOG_FORMAT'], auto)",
        )
        group.add_argument(
            "--metrics",
            metavar="ADDRESS:PORT",
            help="answer /metrics there, to whoever can connect (see also QUINTETTE['METRICS'])",
        )
        group = parser.add_argument_group("static files")
        group.add_argument(
            "--nostatic",
            action="store_true",
            help="do not serve STATIC_URL from the finders when DEBUG is on",
        )
        group.add_argument(
            "--insecure-static",
            action="store_true",
            help="serve STATIC_URL from the finders although DEBUG is off",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        serve = self._prepare(options)
        if options["explain"]:
            serve.explain()
            return
        if not django_settings.DEBUG and not django_settings.ALLOWED_HOSTS:
            raise CommandError(
                "ALLOWED_HOSTS is empty and DEBUG is off: every request would be refused. "
                'Set ALLOWED_HOSTS, say to ["example.com"].'
            )
        code = serve.run()
        if code:
            sys.exit(code)

    def _prepare(self, options: dict[str, Any]) -> _Serve:
        from quintette.server.logs import configure

        if options["no_color"]:
            os.environ["DJANGO_COLORS"] = "nocolor"
        if options["force_color"]:
            os.environ["FORCE_COLOR"] = "1"
        try:
            settings = _merge(get_settings(), options)
            address = parse_address(options["addrport"], ipv6=options["ipv6"])
        except (AddressError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        configure(settings.log_format)
        return _Serve(self, settings, address, options)

    @classmethod
    def survive(cls, argv: list[str]) -> bool:
        """The project does not load. Whether a reloader was wanted, and has run: its child shows
        the mistake, and another one starts once something has changed."""
        from quintette.server.reloader import ChildSide

        if ChildSide.exists():
            return False
        command = cls()
        parser = command.create_parser(argv[0], argv[1])
        options = vars(parser.parse_args(argv[2:]))
        serve = command._prepare(options)
        if options["explain"] or not serve.wants_reload():
            return False
        serve.run()
        return True


class _Serve:
    """One run of the command, in whichever of its processes this is."""

    def __init__(
        self, command: Command, settings: Settings, address: Address, options: dict[str, Any]
    ) -> None:
        self._command = command
        self._settings = settings
        self._address = address
        self._options = options

    def run(self) -> int:
        from quintette.server.reloader import ChildSide, Reloader

        side = ChildSide.from_environment()
        if side is not None:
            return self._run_child(side)
        if not self.wants_reload():
            return self._run_workers(self._settings.worker_count())
        _address, [fd] = self._listen(1)
        return Reloader(fd).run()

    def explain(self) -> None:
        from quintette.server.explain import explain

        for line in explain(self._load()):
            self._command.stdout.write(line)

    def wants_reload(self) -> bool:
        single = self._settings.worker_count() == 1
        if self._options["reload"] and not single:
            raise CommandError("--reload works with one worker; leave one of the two out.")
        if self._options["reload"] is None:
            return single and django_settings.DEBUG
        return bool(self._options["reload"])

    def _run_workers(self, workers: int) -> int:
        from quintette.server.runner import prepare_fork
        from quintette.server.supervisor import Supervisor

        # The address first: that it is taken is known at once, and cheaply.
        address, fds = self._listen(workers)
        application = self._load()
        prepare_fork()

        def run_worker(fd: int, on_ready: Any, life: int) -> None:
            self._serve(application, fd, on_ready, parent_fd=life)

        metrics = application.metrics
        supervisor = Supervisor(
            fds,
            run_worker,
            drain_seconds=self._settings.drain_seconds,
            on_exit=metrics.release if metrics is not None else lambda pid: None,
        )
        return supervisor.run(lambda: self._greet(address, application, reload=False))

    def _run_child(self, side: Any) -> int:
        from quintette.server import reloader
        from quintette.server.address import address_of

        began = time.monotonic()
        fd, again = map(int, os.environ.pop(reloader.LISTEN_VARIABLE).split())
        application = self._load()
        address = address_of(fd, self._address)

        def ready() -> None:
            if again:
                reloader.logger.info("Serving again after %.1f s", time.monotonic() - began)
            else:
                self._greet(address, application, reload=True)

        settings = msgspec.structs.replace(self._settings, drain_seconds=reloader.DRAIN_SECONDS)
        self._serve(
            dataclasses.replace(application, settings=settings), fd, ready, setup=side.setup
        )
        return 0

    def _serve(self, application: Any, fd: int, on_ready: Any, **more: Any) -> None:
        from quintette.server.logs import access_style
        from quintette.server.runner import Worker, prepare_process

        style = access_style(self._settings.log_format, enabled=self._settings.access_log)
        prepare_process()
        Worker(application, [fd], style).run(on_ready, **more)

    def _listen(self, count: int) -> tuple[Address, list[int]]:
        try:
            return listen(self._address, count, self._settings.backlog)
        except AddressError as error:
            raise CommandError(str(error)) from error

    def _listen_metrics(self) -> int:
        """All workers accept on it: whichever does answers for all."""
        place = self._options["metrics"]
        if place is None or self._options["explain"]:
            return -1
        if self.wants_reload():
            raise CommandError("--metrics does not go with --reload.")
        try:
            _address, [fd] = listen(parse_address(place), 1, self._settings.backlog)
        except AddressError as error:
            raise CommandError(f"--metrics: {error}") from error
        return fd

    def _load(self) -> Any:
        """Everything that can fail: checks, URLconf, middleware, routes."""
        from quintette.server import static
        from quintette.server.descriptors import make_room
        from quintette.server.runner import load_application

        if not self._options["skip_checks"]:
            self._command.check()
        static_url = None
        if not self._options["nostatic"]:
            static_url = static.development_url(insecure=self._options["insecure_static"])
        try:
            return load_application(
                make_room(self._settings), static_url=static_url, metrics_fd=self._listen_metrics()
            )
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error

    def _greet(self, address: Address, application: Any, *, reload: bool) -> None:
        from quintette.server.banner import Banner, one_line
        from quintette.server.logs import logger, wants_json

        workers, threads = self._settings.worker_count(), self._settings.thread_count()
        if wants_json(self._settings.log_format, sys.stderr):
            logger.info("%s", one_line(address), extra={"url": address.url, "workers": workers})
            return
        banner = Banner(sys.stderr)
        banner.show(address, workers=workers, threads=threads, reload=reload)
        banner.routes(application.report)


def _merge(settings: Settings, options: dict[str, Any]) -> Settings:
    """What the command line says wins over the settings."""
    names = ("workers", "threads", "drain_seconds", "access_log", "log_format")
    given = {name: options[name] for name in names if options[name] is not None}
    return msgspec.structs.replace(settings, **given)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= COUNT_MAX:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {COUNT_MAX}")
    return int(text)


def _count_or_auto(text: str) -> int | str:
    return text if text == "auto" else _count(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= DAY_SECONDS:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to {DAY_SECONDS}")
    return seconds
