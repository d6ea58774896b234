from django.urls import path

from geo import views

app_name = "geo"
urlpatterns = [
    path("", views.city_list, name="cities"),
    path("cities/<int:pk>/", views.city_detail, name="city"),
    path("countries/", views.country_list, name="countries"),
    path("countries/<str:code>/", views.country_detail, name="country"),
    path("map.svg", views.world_map, name="map"),
]
