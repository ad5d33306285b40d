"""Similar topics: the same work under another name, looked for by claims."""

from coordinator.service.topics.claims import TopicClaims
from coordinator.service.topics.view import TopicViews

__all__ = ["TopicClaims", "TopicViews"]
