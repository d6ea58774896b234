"""JSON of results: one encoder for all plans."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db.models import Manager, Model, QuerySet
from django.utils.functional import Promise

from quintette.api import types


def _encode_other(value: Any) -> Any:
    """What msgspec does not know."""
    if isinstance(value, Promise):
        return str(value)
    model = types.pydantic_model()
    if model is not None and isinstance(value, model):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, (Model, QuerySet, Manager)):
        raise TypeError(
            f"{type(value).__name__} is not sent as it is: declare a result type that says "
            f"which of its fields may be seen"
        )
    raise TypeError(f"objects of type {type(value).__name__} cannot be sent as JSON")


encode_json = msgspec.json.Encoder(enc_hook=_encode_other).encode
