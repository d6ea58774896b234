"""manage.py explain."""

import io
import re
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, transaction
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from watch_app.models import COUNT, City, Tag

from quintette import API, compiled
from quintette.concurrency import engines
from quintette.db.compiled import CompiledQuery
from quintette.db.watch.endpoints import NotFoundError, Target, find, value_for

api = API()
using = ""  # the database of this test


def _by_name(alias):
    @compiled
    def by_name(name: str | None, limit: int = 3):
        found = City.objects.using(alias).order_by("id")
        return found.filter(name=name)[:limit] if name is not None else found[:limit]

    return by_name


watch_sqlite, watch_postgresql = _by_name("watch_sqlite"), _by_name("watch_postgresql")


@api.get("/cities")
def cities(name: str = "city 1") -> list[str]:
    return [city.country.name for city in City.objects.using(using).exclude(name=name)]


@api.get("/one/{pk}")
async def one(pk: int) -> str:
    return (await City.objects.using(using).aget(pk=pk)).name


@api.post("/tags")
def add_tag(word: str) -> int:
    return Tag.objects.using(using).create(word=word).pk


@api.get("/compiled")
async def compiled_cities(name: str = "city 1") -> list[str]:
    return globals()[using].json(name)


@api.post("/async-tags")
async def add_tag_asynchronously(word: str) -> int:
    tag = Tag(word=word)
    await tag.asave(using=using)
    return tag.pk


@api.post("/in-transaction")
async def add_tag_in_transaction(word: str) -> int:
    async with transaction.atomic(using=using):
        tag = Tag(word=word)
        await tag.asave(using=using)
    return tag.pk


def failing(alias):
    """A statement that only the database refuses."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT nothing FROM watch_app_tag")


def refused(request):
    Tag.objects.using(using).count()
    with suppress(DatabaseError):
        failing(using)
    return HttpResponse("refused")


def write_durably(request):
    with transaction.atomic(using=using, durable=True):
        return HttpResponse(Tag.objects.using(using).create(word="x").pk)


async def asynchronous(request):
    return HttpResponse(await Tag.objects.using(using).acount())


def broken(request):
    Tag.objects.using(using).count()
    raise ValueError("broken")


def in_sql(request):
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM watch_app_tag WHERE word LIKE 'a%'")
        cursor.executemany("UPDATE watch_app_tag SET word = %s WHERE id = %s", [("a", 1), ("b", 2)])
    return HttpResponse("done")


def add_tag_in_django(request):
    return HttpResponse(Tag.objects.using(using).create(word="x").pk)


def page(request, number):
    return HttpResponse(City.objects.using(using).filter(pk=number).exists())


urlpatterns = [
    path("broken/", broken),
    path("refused/", refused),
    path("durable/", write_durably),
    path("in-sql/", in_sql),
    path("async/", asynchronous),
    path("tags/", add_tag_in_django),
    path("page/<int:number>/", page, name="page"),
    path("api/", api.urls),
]


@pytest.fixture(autouse=True)
def project(alias, monkeypatch):
    monkeypatch.setitem(globals(), "using", alias)
    with override_settings(ROOT_URLCONF=__name__):
        yield
    connections[alias].close()


def explain(*args):
    out = io.StringIO()
    call_command("explain", *args, stdout=out, no_color=True)
    return out.getvalue()


def test_path():
    text = explain("/api/cities?name=none")
    first, _, rest = text.partition("\n")
    assert first.startswith(f"GET /api/cities?name=none -> 200: {COUNT + 1} queries in ")
    assert "\n1. " in rest
    assert "test_watch_explain.py:" in rest
    assert "parameters: 'none'" in rest
    assert "   plan:\n     " in rest
    assert "   the same SQL as 2\n" in rest
    assert f"{COUNT} times the same query from " in rest
    assert 'select_related("country")' in rest
    assert rest.count("plan:") == 2


@override_settings(ALLOWED_HOSTS=["shop.example"])
def test_project_with_allowed_hosts():
    assert " -> 200: " in explain("/api/cities", "--no-plans")


def test_without_plans():
    assert "plan:" not in explain("/api/cities", "--no-plans")


@pytest.fixture(params=["loop", "thread"])
def place(request, monkeypatch):
    """On a loop, as where all engines can be waited for there, and as elsewhere."""
    monkeypatch.setattr(engines, "all_wait", lambda: request.param == "loop")


@pytest.mark.parametrize(
    "url", ["POST /api/tags?word=x", "POST /api/async-tags?word=x", "/tags/", "/durable/"]
)
def test_what_is_written_is_rolled_back(url, place):
    before = Tag.objects.using(using).count()
    text = explain(url)
    assert " -> 200: " in text
    assert "INSERT INTO" in text
    assert Tag.objects.using(using).count() == before
    assert not connections[using].in_atomic_block


def test_transactions_of_the_endpoint_are_rolled_back(monkeypatch):
    monkeypatch.setattr(engines, "all_wait", lambda: True)
    before = Tag.objects.using(using).count()
    text = explain("POST /api/in-transaction?word=x")
    assert " -> 200: " in text
    assert "SAVEPOINT" in text
    assert "in add_tag_in_transaction" in text
    assert Tag.objects.using(using).count() == before


def test_error_of_the_endpoint():
    text = explain("/broken/")
    assert text.startswith("GET /broken/ -> 500: 1 query in ")


def test_plans_after_a_statement_that_failed(place):
    text = explain("/refused/")
    assert text.startswith("GET /refused/ -> 200: 2 queries in ")
    _, counted, failed = re.split(r"^\d\. ", text, flags=re.MULTILINE)
    assert "no plan: " not in counted
    assert "plan:\n" in counted
    assert ", failed, " in failed
    assert "no plan: " in failed


def test_plans_of_what_was_asked_in_sql():
    text = explain("/in-sql/")
    _, counted, updated = re.split(r"^\d\. ", text, flags=re.MULTILINE)
    assert "plan:\n" in counted
    assert "plan" not in updated


def test_parameters_are_shown_as_the_endpoint_gave_them(alias):
    text = explain("page", "--arg", "number=7")
    assert "   parameters: 1, 7\n" in text


def test_line_of_an_asynchronous_view(place):
    assert "test_watch_explain.py" in line_of_the_query(explain("/async/"))


def test_line_of_a_compiled_query_that_the_handler_returned(place):
    line = line_of_the_query(explain("/api/compiled"))
    assert line.endswith("in _by_name.<locals>.by_name")


def line_of_the_query(text):
    return next(line for line in text.splitlines() if line.startswith("1. "))


def test_compiled_query(alias):
    text = explain(f"{__name__}.{alias}", "--arg", "name=city 1", "--arg", "limit=2")
    assert text.startswith("by_name(): 1 query in ")
    assert "parameters: 'city 1', 2" in text


def test_compiled_query_without_a_text(alias):
    text = explain(f"{__name__}.{alias}", "--arg", "name=null", "--arg", "limit=2")
    assert text.startswith("by_name(): 1 query in ")
    assert "WHERE" not in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "misses the argument 'name'"),
        (["name=x", "nonsense=1"], "unexpected keyword argument 'nonsense'"),
        (["name=x", "limit=many"], "limit: Expected `int`, got `str`"),
    ],
)
def test_wrong_arguments_of_a_compiled_query(alias, args, message):
    with pytest.raises(CommandError, match=re.escape(message)):
        explain(f"{__name__}.{alias}", *(f"--arg={arg}" for arg in args))


@pytest.mark.parametrize(
    ("args", "target"),
    [
        (("/a?b=c", "", {}), Target("GET", "/a?b=c")),
        (("put /a", "", {}), Target("PUT", "/a")),
        (("/a", "delete", {}), Target("DELETE", "/a")),
        (("page", "", {"number": "7"}), Target("GET", "/page/7/")),
        (("page", "head", {"number": "7", "q": "a b"}), Target("HEAD", "/page/7/?q=a+b")),
        ((f"{__name__}.page", "", {"number": "7"}), Target("GET", "/page/7/")),
        ((f"{__name__}.one", "", {"pk": "3", "x": "y"}), Target("GET", "/api/one/3?x=y")),
        ((f"{__name__}.add_tag", "", {"word": "w"}), Target("POST", "/api/tags?word=w")),
    ],
)
def test_finding(args, target):
    assert find(*args) == target


def test_finding_a_query():
    assert isinstance(find(f"{__name__}.watch_sqlite", "", {}), CompiledQuery)
    assert value_for(watch_sqlite, "name", "7") == "7"
    assert value_for(watch_sqlite, "name", "null") is None
    assert value_for(watch_sqlite, "limit", "7") == 7


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("nothing", {}, "no path, and no view"),
        ("no.such.thing", {}, "No module named"),
        ("page", {}, "with these arguments: []"),
        (f"{__name__}.find", {}, "no URL leads to"),
        ("/a", {"b": "c"}, "--arg goes with names"),
    ],
)
def test_what_is_not_found(name, args, message):
    with pytest.raises(NotFoundError, match=re.escape(message)):
        find(name, "", args)
    with pytest.raises(CommandError, match=re.escape(message)):
        explain(name, *(f"--arg={key}={value}" for key, value in args.items()))


def test_faults_of_the_command_line():
    with pytest.raises(CommandError, match="--json"):
        explain("/api/cities", "--json", "{")
    with pytest.raises(CommandError, match="NAME=VALUE"):
        explain("/api/cities", "--header", "x")


def test_help(capsys):
    with pytest.raises(SystemExit):
        call_command("explain", "--help")
    text = capsys.readouterr().out
    for word in ("ENDPOINT", "--arg", "--json", "--header", "--user", "--no-plans", "rolled back"):
        assert word in text
