from django.contrib import admin
from django.urls import include, path
from library import views
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.routers import DefaultRouter

router = DefaultRouter()
router.register("authors", views.AuthorViewSet)
router.register("books", views.BookViewSet)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include(router.urls)),
    path("api/guess/", views.GuessView.as_view()),
    path("api/scans/<str:filename>", views.ScanView.as_view()),
    path("api/covers/", views.CoverView.as_view()),
    path("api/report.txt", views.report),
    path("api/broken/", views.broken),
    path("api/token/", obtain_auth_token),
    path("api-auth/", include("rest_framework.urls")),
]
