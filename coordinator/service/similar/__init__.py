"""Similar topics: the same work under another name, looked for by claims."""

from coordinator.service.similar.topic_claims import TopicClaims
from coordinator.service.similar.topic_view import TopicViews

__all__ = ["TopicClaims", "TopicViews"]
