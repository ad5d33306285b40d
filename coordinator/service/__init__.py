"""The gRPC side of the coordinator: from messages to the engine's commands, and back."""

from coordinator.service.answering import Answering
from coordinator.service.servicer import Servicer

__all__ = ["Answering", "Servicer"]
