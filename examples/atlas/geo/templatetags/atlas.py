from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from geo.models import City
from geo.worldmap import place_percent

register = template.Library()


@register.simple_tag
def map_style(city: City) -> SafeString:
    """Where the city's dot is on the map, as a style attribute."""
    left, top = place_percent(city.latitude, city.longitude)
    return format_html('style="left:{}%;top:{}%"', left, top)


@register.filter
def coordinate(degrees: float, letters: str) -> str:
    """47.38 with "NS" as 47.38° N."""
    return f"{abs(degrees):.2f}° {letters[degrees < 0]}"
