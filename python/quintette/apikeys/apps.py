from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class APIKeysConfig(AppConfig):
    name = "quintette.apikeys"
    label = "quintette_apikeys"
    verbose_name = "API keys"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from quintette.apikeys.keys import forget

        key = self.get_model("APIKey")
        post_save.connect(forget, sender=key, dispatch_uid="quintette_apikeys")
        post_delete.connect(forget, sender=key, dispatch_uid="quintette_apikeys")
