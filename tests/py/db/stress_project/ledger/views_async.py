"""The same as views_sync.py, with the asynchronous ORM."""

import asyncio
from contextlib import suppress
from functools import partial

from django.db import IntegrityError, transaction
from django.http import HttpRequest, JsonResponse

from ledger import job as jobs
from ledger.job import Job, PlannedError
from ledger.models import Account, Entry, Note


async def transfer(request: HttpRequest) -> JsonResponse:
    job = Job.of(request)
    job.look(await request.auser())
    await Note.objects.acreate(marker=job.marker, kind="began")
    if job.kind == "timeout":
        await _time_out(job)
    if job.kind == "gather":
        await _read(job)
    async with transaction.atomic():
        await _move(request, job)
        if job.kind == "savepoint":
            await _break_savepoint(job)
        if job.kind == "gather":
            await _read(job)
        if job.kind == "fail":
            raise PlannedError
        if job.kind == "terminate":
            await jobs.own_end().aget()
    await request.session.aset("marker", job.marker)
    job.look(await request.auser(), transaction=(await jobs.stamped().aget())[0] or "")
    return JsonResponse({"seen": job.seen})


async def _move(request: HttpRequest, job: Job) -> None:
    await job.stamp().aget()
    _marker, pid = await jobs.stamped().aget()
    accounts = {account.pk: account async for account in job.accounts()}
    await Entry.objects.abulk_create(job.move(accounts))
    await jobs.pause(job.pause).aget()
    for account in accounts.values():
        await account.asave(update_fields=["balance"])
    note = partial(Note.objects.create, marker=job.marker, kind="committed")
    transaction.on_commit(note)
    stamp, pid_now = await jobs.stamped().aget()
    job.look(await request.auser(), transaction=stamp, is_same_server=pid == pid_now)


async def _break_savepoint(job: Job) -> None:
    with suppress(IntegrityError):
        async with transaction.atomic():
            await Note.objects.acreate(marker=job.marker, kind="undone")
            await Account.objects.acreate(pk=job.source, balance=0)
    await _touch()


async def _touch() -> None:
    """See views_sync.py."""
    await Note.objects.aexists()


async def _time_out(job: Job) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(jobs.TIMEOUT_SECONDS), transaction.atomic():
            await Note.objects.acreate(marker=job.marker, kind="undone")
            await jobs.pause(jobs.LONG_SECONDS).aget()


async def _read(job: Job) -> None:
    numbers = range(jobs.READS)
    rows = await asyncio.gather(*(job.echo(number).aget() for number in numbers))
    assert [row[0] for row in rows] == [f"{job.marker}:{number}" for number in numbers]
