"""Models of these tests; a row of each table knows its neighbours."""

from django.db import connections, models


class Country(models.Model):
    name = models.CharField(max_length=50)
    code = models.CharField(max_length=2, default="")


class Tag(models.Model):
    word = models.CharField(max_length=50)


class City(models.Model):
    name = models.CharField(max_length=50)
    country = models.ForeignKey(Country, models.CASCADE, related_name="cities", db_index=False)
    tags = models.ManyToManyField(Tag, related_name="places")


class Mayor(models.Model):
    name = models.CharField(max_length=50)
    city = models.OneToOneField(City, models.CASCADE, related_name="mayor")


COUNT = 6


def fill(alias):
    with connections[alias].schema_editor() as editor:
        for model in (Country, Tag, City, Mayor):
            editor.create_model(model)
    for number in range(COUNT):
        country = Country.objects.using(alias).create(name=f"country {number}", code=f"{number}")
        city = City.objects.using(alias).create(name=f"city {number}", country=country)
        Mayor.objects.using(alias).create(name=f"mayor {number}", city=city)
        city.tags.add(Tag.objects.using(alias).create(word=f"tag {number}"))
