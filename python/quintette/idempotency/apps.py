from django.apps import AppConfig


class IdempotencyConfig(AppConfig):
    name = "quintette.idempotency"
    label = "quintette_idempotency"
    verbose_name = "Idempotency keys"
    default_auto_field = "django.db.models.BigAutoField"
