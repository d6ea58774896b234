from django.contrib import admin

from geo.models import City, Country


@admin.register(Country)
class CountryAdmin(admin.ModelAdmin):
    list_display = ["name", "code", "capital", "continent", "population", "area_km2"]
    list_filter = ["continent"]
    search_fields = ["name", "=code", "=iso3", "capital"]


@admin.register(City)
class CityAdmin(admin.ModelAdmin):
    list_display = ["name", "country", "population", "timezone", "latitude", "longitude"]
    list_filter = ["country__continent", ("country", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["country"]
    search_fields = ["folded_name", "country__name"]
    autocomplete_fields = ["country"]
    list_per_page = 50
