from django.contrib import admin
from django.urls import include, path

from geo.api import api

urlpatterns = [
    path("", include("geo.urls")),
    path("api/", api.urls),
    path("admin/", admin.site.urls),
]
