from django.db import migrations

BOOKS = [
    ("Ulysses", "James Joyce", 1922),
    ("Dubliners", "James Joyce", 1914),
    ("Die Verwandlung", "Franz Kafka", 1915),
    ("Der Process", "Franz Kafka", 1925),
    ("Buddenbrooks", "Thomas Mann", 1901),
    ("Der Zauberberg", "Thomas Mann", 1924),
    ("L'Étranger", "Albert Camus", 1942),
    ("雪国", "川端康成", 1937),
]


def fill(apps, editor):
    authors = apps.get_model("library", "Author")
    books = apps.get_model("library", "Book")
    for title, name, year in BOOKS:
        author, _ = authors.objects.get_or_create(name=name)
        books.objects.create(title=title, author=author, year=year)


class Migration(migrations.Migration):
    dependencies = [("library", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
