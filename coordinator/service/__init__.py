"""The gRPC side of the coordinator: from messages to the engine's commands, and back.

What bounds callers is in ``connections`` and ``admission``. There are more than twelve files because each group of
calls has one of its own, and so has each thing that a call passes on its way.
"""

from coordinator.service.middleware import Middleware
from coordinator.service.servicer import Servicer

__all__ = ["Middleware", "Servicer"]
