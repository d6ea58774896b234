from datetime import UTC, datetime

from django.db import migrations

PRODUCTS = [
    ("Guitar", "999.00", ["wood", "strings"]),
    ("Violin", "1250.50", ["wood", "strings"]),
    ("Saite, hohe E", "2.95", []),
    ("Plektrum \u2013 dünn", "0.50", ["small"]),
]


def fill(apps, editor):
    product = apps.get_model("shop", "Product")
    added = datetime(2026, 1, 23, 12, 30, tzinfo=UTC)
    for name, price, tags in PRODUCTS:
        product.objects.create(name=name, price=price, tags=tags, added=added)


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
