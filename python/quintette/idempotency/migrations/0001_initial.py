from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Record",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("fingerprint", models.CharField(max_length=32)),
                ("token", models.CharField(max_length=32)),
                ("status", models.SmallIntegerField(null=True)),
                ("lines", models.BinaryField(default=b"")),
                ("body", models.BinaryField(null=True)),
                ("expires", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
