from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from geo.models import City, Continent, Country
from geo.worldmap import world_svg

CITIES_PER_PAGE = 24
LARGEST_COUNT = 12
MAP_CITY_COUNT = 6000
NEARBY_RADIUS_KM = 250
NEARBY_COUNT = 8


@require_safe
def city_list(request: HttpRequest) -> HttpResponse:
    """All cities by size, with a search by name and country."""
    query = request.GET.get("q", "").strip()
    country = request.GET.get("country", "").upper()
    cities = City.objects.select_related("country")
    if query:
        cities = cities.search(query)
    if country:
        cities = cities.filter(country=country)
    page = Paginator(cities, CITIES_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "query": query,
        "country": country,
        "countries": Country.objects.only("code", "name"),
    }
    return render(request, "geo/city_list.html", context)


@require_safe
def city_detail(request: HttpRequest, pk: int) -> HttpResponse:
    city = get_object_or_404(City.objects.select_related("country"), pk=pk)
    # GeoNames has some cities' districts too, as "Zürich (Kreis 4)".
    others = City.objects.exclude(pk=pk).exclude(name__startswith=f"{city.name} (")
    nearby = others.nearest(city.latitude, city.longitude, NEARBY_RADIUS_KM, NEARBY_COUNT)
    context = {"city": city, "nearby": nearby, "radius_km": NEARBY_RADIUS_KM}
    return render(request, "geo/city_detail.html", context)


@require_safe
def country_list(request: HttpRequest) -> HttpResponse:
    """All countries, or those of one continent."""
    continent = request.GET.get("continent", "").upper()
    countries = Country.objects.annotate(city_count=Count("cities"))
    if continent in Continent.values:
        countries = countries.filter(continent=continent)
    context = {
        "countries": countries,
        "continent": continent,
        "continents": Continent.choices,
    }
    return render(request, "geo/country_list.html", context)


@require_safe
def country_detail(request: HttpRequest, code: str) -> HttpResponse:
    country = get_object_or_404(Country, code=code.upper())
    cities = country.cities.select_related("country")
    context = {
        "country": country,
        "city_count": cities.count(),
        "largest": cities[:LARGEST_COUNT],
    }
    return render(request, "geo/country_detail.html", context)


@require_safe
@cache_control(public=True, max_age=86_400)
def world_map(request: HttpRequest) -> HttpResponse:
    """The world, drawn with nothing but its largest cities."""
    points = City.objects.values_list("latitude", "longitude", "population")[:MAP_CITY_COUNT]
    return HttpResponse(world_svg(points), content_type="image/svg+xml")
