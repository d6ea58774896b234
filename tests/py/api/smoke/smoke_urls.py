"""Something of everything: typed handlers of all kinds, and plain views around them."""

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

from django.contrib.auth.models import Group
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.urls import path
from msgspec import Meta, Struct

from quintette import (
    API,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    HTTPError,
    Redirect,
    Router,
    SendFile,
    Stream,
    Text,
    in_loop,
)

ENTERED: list[str] = []


class Song(Struct, rename="camel"):
    title: Annotated[str, Meta(min_length=1)]
    release_year: int
    tags: list[str] = []


class GroupOut(Struct):
    id: int
    name: str


class OddError(Exception):
    pass


def token(authorization: Annotated[str, Header()] = "") -> str:
    if authorization != "Bearer secret":
        raise HTTPError(401, headers={"WWW-Authenticate": "Bearer"})
    return "django"


def entered() -> Iterator[list[str]]:
    ENTERED.append("in")
    yield ENTERED
    ENTERED.clear()


api = API()
groups = Router("/groups")


@api.get("/add/{a}/{b}")
@in_loop
def add(a: int, b: Annotated[int, Meta(ge=0)]) -> int:
    return a + b


@api.get("/days")
async def days(since: dt.date, step: int = 1, names: list[str] = []) -> list[dt.date]:  # noqa: B006
    return [since + dt.timedelta(step * index) for index, _ in enumerate(names)]


@api.post("/songs", status=201, headers={"Cache-Control": "no-store"})
def post_song(body: Song) -> Song:
    return body


@api.put("/songs")
async def put_song(body: Song) -> Song:
    return body


@api.post("/form")
def form(name: Annotated[str, Form()], age: Annotated[int, Form()] = 3) -> list[Any]:
    return [name, age]


@api.post("/upload")
async def upload(file: Annotated[UploadedFile, File()]) -> dict[str, Any]:
    return {"name": file.name, "size": file.size, "type": file.content_type}


@api.get("/cookie")
def cookie(flavour: Annotated[str, Cookie()]) -> Text:
    response = Text(flavour)
    response.set_cookie("flavour", "lemon", httponly=True)
    return response


@api.get("/me")
async def me(name: Annotated[str, Depends(token)]) -> str:
    return name


@api.get("/entered")
def get_entered(log: Annotated[list[str], Depends(entered)]) -> list[str]:
    return log


@groups.get("")
def list_groups() -> list[GroupOut]:
    return Group.objects.order_by("id")  # type: ignore[return-value]


@groups.get("/slowly", name="slowly")
async def list_groups_async() -> list[GroupOut]:
    return Group.objects.order_by("id")  # type: ignore[return-value]


@groups.post("", name="create")
def create_group(name: str) -> GroupOut:
    return Group.objects.create(name=name)  # type: ignore[return-value]


@groups.delete("/{id}", name="delete")
def delete_group(id: int) -> None:
    Group.objects.get(id=id).delete()


@api.get("/moved")
async def moved() -> Redirect:
    return Redirect("/add/1/2")


@api.get("/file")
def file() -> SendFile:
    return SendFile(Path(__file__).with_name("manage.py"), content_type="text/x-python")


@api.get("/stream")
def stream() -> Stream:
    return Stream(iter(["a", b"b", {"c": 1}]))


@api.get("/astream")
async def astream() -> Stream:
    async def pieces() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    return Stream(pieces())


@api.get("/odd")
async def odd() -> None:
    raise OddError("nobody may see this")


@api.get("/files/{name:path}", name="files")
async def files(name: str) -> str:
    return name


@api.get("/handled/{kind}")
def handled(kind: str) -> None:
    raise LookupError(kind)


@api.exception_handler(LookupError)
def on_lookup(request: HttpRequest, error: LookupError) -> HttpResponse:
    return HttpResponse(f"{request.path}: {error}", status=410)


@api.get("/user")
def user(request: HttpRequest) -> list[Any]:
    return [request.user.is_anonymous, request.method, request.get_full_path()]


@api.get("/big")
def big() -> list[int]:
    return list(range(100_000))


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain")


async def aplain(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body[::-1])


api.include(groups)
urlpatterns = [path("plain", plain), path("aplain", aplain), path("", api.urls)]
