"""manage.py explain."""

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from watch_app.models import COUNT, City, Tag

from quintette import API, compiled
from quintette.concurrency import engines
from quintette.db.compiled import CompiledQuery
from quintette.db.watch.endpoints import NotFoundError, Target, find, value_for

api = API()
USING = "watch_sqlite"


@compiled
def by_name(name: str, limit: int = 3):
    return City.objects.using("watch_sqlite").filter(name=name)[:limit]


@api.get("/cities")
def cities(name: str = "city 1") -> list[str]:
    return [city.country.name for city in City.objects.using(USING).exclude(name=name)]


@api.get("/one/{pk}")
async def one(pk: int) -> str:
    return (await City.objects.using(USING).aget(pk=pk)).name


@api.post("/tags")
def add_tag(word: str) -> int:
    return Tag.objects.using(USING).create(word=word).pk


@api.post("/async-tags")
async def add_tag_asynchronously(word: str) -> int:
    tag = Tag(word=word)
    await tag.asave(using=USING)
    return tag.pk


@api.post("/in-transaction")
async def add_tag_in_transaction(word: str) -> int:
    async with transaction.atomic(using=USING):
        tag = Tag(word=word)
        await tag.asave(using=USING)
    return tag.pk


def broken(request):
    Tag.objects.using(USING).count()
    raise ValueError("broken")


def add_tag_in_django(request):
    return HttpResponse(Tag.objects.using(USING).create(word="x").pk)


def page(request, number):
    return HttpResponse(City.objects.using(USING).filter(pk=number).count())


urlpatterns = [
    path("broken/", broken),
    path("tags/", add_tag_in_django),
    path("page/<int:number>/", page, name="page"),
    path("api/", api.urls),
]


@pytest.fixture(autouse=True)
def project(watch_sqlite):
    with override_settings(ROOT_URLCONF=__name__):
        yield
    connections[watch_sqlite].close()


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


@pytest.mark.parametrize("url", ["POST /api/tags?word=x", "POST /api/async-tags?word=x", "/tags/"])
def test_what_is_written_is_rolled_back(url, place):
    before = Tag.objects.using(USING).count()
    text = explain(url)
    assert " -> 200: " in text
    assert "INSERT INTO" in text
    assert Tag.objects.using(USING).count() == before
    assert not connections[USING].in_atomic_block


def test_transactions_of_the_endpoint_are_rolled_back(monkeypatch):
    monkeypatch.setattr(engines, "all_wait", lambda: True)
    before = Tag.objects.using(USING).count()
    text = explain("POST /api/in-transaction?word=x")
    assert " -> 200: " in text
    assert "SAVEPOINT" in text
    assert "in add_tag_in_transaction" in text
    assert Tag.objects.using(USING).count() == before


def test_error_of_the_endpoint():
    text = explain("/broken/")
    assert text.startswith("GET /broken/ -> 500: 1 query in ")


def test_compiled_query():
    text = explain(f"{__name__}.by_name", "--arg", "name=city 1", "--arg", "limit=2")
    assert text.startswith("by_name(): 1 query in ")
    assert "parameters: 'city 1', 2" in text


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
    assert isinstance(find(f"{__name__}.by_name", "", {}), CompiledQuery)
    assert value_for(by_name, "name", "7") == "7"
    assert value_for(by_name, "limit", "7") == 7


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
