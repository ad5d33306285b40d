"""The JSON object of an error, in the place of an answer."""

from __future__ import annotations

from coordinator.cli.json_objects.fields import Object
from coordinator.errors import CoordinatorError

__all__ = ["error_object"]


def error_object(error: CoordinatorError) -> Object:
    """What stands in the place of an answer when there is none."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "field": error.field,
            "holder": error.holder,
            "retry_after_seconds": error.retry_after_seconds,
            "request_id": error.request_id,
        }
    }
