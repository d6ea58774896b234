"""Rows for the tests, made by a seed."""

from __future__ import annotations

import random

from shapes_app.models import Airport, City, Country, Flight, Mayor, Note, Tag


def make(using: str, seed: int = 1, cities: int = 12) -> None:
    chance = random.Random(seed)
    countries = [
        Country.objects.using(using).create(
            code=code, name=name, continent=continent, area=chance.randrange(1, 9)
        )
        for code, name, continent in (
            ("PK", "Pakistan", "AS"), ("JP", "Japan", "AS"), ("FR", "France", "EU"),
        )
    ]  # fmt: skip
    tags: list[Tag] = []
    for index in range(6):
        parent = chance.choice([None, *tags])
        tags.append(Tag.objects.using(using).create(label=f"tag{index}", parent=parent))
    made: list[City] = []
    for index in range(cities):
        city = City.objects.using(using).create(
            name=f"City {index}",
            population=chance.randrange(5) * 1000,
            motto=chance.choice([None, "", "Ahead"]),
            country=chance.choice(countries),
            sister=chance.choice([None, *made]),
            facts={"n": index, "deep": {"list": [1, None, "x"]}} if index % 2 else {},
        )
        city.tags.set(chance.sample(tags, chance.randrange(4)))
        city.hidden_tags.set(chance.sample(tags, chance.randrange(3)))
        if made:
            city.twins.set(chance.sample(made, min(len(made), chance.randrange(3))))
        for number in range(chance.randrange(3)):
            Note(text=f"note {index} {number}", target=city).save(using=using)
        if chance.random() < 0.6:
            Mayor.objects.using(using).create(city=city, name=f"Mayor {index}")
        for number in range(chance.randrange(4)):
            iata = f"{chr(65 + index % 26)}{index // 26}{number}"
            passengers = chance.choice([None, chance.randrange(9)])
            Airport.objects.using(using).create(iata=iata, city=city, passengers=passengers)
        made.append(city)
    airports = list(Airport.objects.using(using))
    for number in range(10 if airports else 0):
        Flight.objects.using(using).create(
            number=number, origin=chance.choice(airports), goal=chance.choice([None, *airports])
        )
