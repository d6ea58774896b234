from django.contrib.auth.views import LoginView
from django.urls import path
from shop.api import api
from shop.session_api import session_api

urlpatterns = [
    path("api/", api.urls),
    path("session/", session_api.urls),
    path("login/", LoginView.as_view(template_name="login.html", next_page="/session/me")),
]
