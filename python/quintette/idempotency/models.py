from __future__ import annotations

from typing import Any

from django.db import models


class Record(models.Model):
    """A request that was begun, and, once there is one, its response. The name is a keyed hash of
    who asked, for what, under which key: none of these can be read from it."""

    name: models.CharField[Any, Any] = models.CharField(max_length=32, primary_key=True)
    fingerprint: models.CharField[Any, Any] = models.CharField(max_length=32)
    token: models.CharField[Any, Any] = models.CharField(max_length=32)
    # None while the request is being worked on; 0: done, without a response that is kept
    status: models.SmallIntegerField[Any, Any] = models.SmallIntegerField(null=True)
    lines: models.Field[Any, Any] = models.BinaryField(default=b"")
    body: models.Field[Any, Any] = models.BinaryField(null=True)
    expires: models.DateTimeField[Any, Any] = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.name)
