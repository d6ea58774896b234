"""As any synchronous Django view: in greenlet mode, waiting switches."""

from contextlib import suppress
from functools import partial

from django.db import IntegrityError, OperationalError, transaction
from django.http import HttpRequest, JsonResponse

from ledger import job as jobs
from ledger.job import Job, PlannedError
from ledger.models import Account, Entry, Note


def transfer(request: HttpRequest) -> JsonResponse:
    job = Job.of(request)
    job.look(request.user)
    Note.objects.create(marker=job.marker, kind="began")
    if job.kind == "timeout":
        _time_out(job)
    if job.kind == "gather":
        _read(job)
    with transaction.atomic():
        _move(request, job)
        if job.kind == "savepoint":
            _break_savepoint(job)
        if job.kind == "fail":
            raise PlannedError
        if job.kind == "terminate":
            jobs.own_end().get()
    request.session["marker"] = job.marker
    job.look(request.user, transaction=jobs.stamped().get()[0] or "")
    return JsonResponse({"seen": job.seen})


def _move(request: HttpRequest, job: Job) -> None:
    job.stamp().get()
    _marker, pid = jobs.stamped().get()
    accounts = {account.pk: account for account in job.accounts()}
    Entry.objects.bulk_create(job.move(accounts))
    jobs.pause(job.pause).get()
    for account in accounts.values():
        account.save(update_fields=["balance"])
    note = partial(Note.objects.create, marker=job.marker, kind="committed")
    transaction.on_commit(note)
    stamp, pid_now = jobs.stamped().get()
    job.look(request.user, transaction=stamp, is_same_server=pid == pid_now)


def _break_savepoint(job: Job) -> None:
    with suppress(IntegrityError), transaction.atomic():
        Note.objects.create(marker=job.marker, kind="undone")
        Account.objects.create(pk=job.source, balance=0)
    _touch()


def _touch() -> None:
    """If the server went away while the savepoint was rolled back, Django only notes that the
    transaction is broken: a block that ends without another query is rolled back in silence."""
    Note.objects.exists()


def _time_out(job: Job) -> None:
    with suppress(OperationalError), transaction.atomic():
        Note.objects.create(marker=job.marker, kind="undone")
        jobs.statement_timeout().get()
        jobs.pause(jobs.LONG_SECONDS).get()


def _read(job: Job) -> None:
    for number in range(jobs.READS):
        assert job.echo(number).get()[0] == f"{job.marker}:{number}"
