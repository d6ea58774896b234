from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.security import django_auth, django_auth_superuser

session_api = NinjaAPI(title="Session", urls_namespace="session", auth=django_auth, docs_url=None)


@session_api.get("/me")
def me(request: HttpRequest) -> Any:
    return {"name": request.user.get_username()}


@session_api.post("/basket")
def basket(request: HttpRequest, product: int) -> Any:
    request.session["basket"] = [*request.session.get("basket", []), product]
    return {"basket": request.session["basket"]}


@session_api.get("/async/me")
async def async_me(request: HttpRequest) -> Any:
    user = await request.auser()
    return {"name": user.get_username()}


@session_api.get("/superuser", auth=django_auth_superuser)
def superuser(request: HttpRequest) -> Any:
    return {"name": request.auth.get_username()}
