"""Topics: which titles may name the same work, and how sure that is.

``read_topic`` reads a title. A ``TopicIndex`` holds the topics of a fleet and finds those that are like another one.
``signatures`` is what is stored of topics that have the same words, ``scan`` reads all topics of a kind. Which similar
ones a claim is shown is decided in ``coordinator/service/topics``.
"""

from coordinator.engine.topics.abbreviations import BUILT_IN, Abbreviations
from coordinator.engine.topics.index import FLOOR, MAX_TOPICS, Match, TopicIndex
from coordinator.engine.topics.similarity import Verdict
from coordinator.engine.topics.topic import Topic, read_topic

__all__ = ["BUILT_IN", "FLOOR", "MAX_TOPICS", "Abbreviations", "Match", "Topic", "TopicIndex", "Verdict", "read_topic"]
