"""The coordinator over HTTP: calls in JSON, metrics and health.

There are more than twelve files because what a request passes on its way, from the connection to the answer, has one
each.
"""

from coordinator.web.ports import Serving, WebPorts

__all__ = ["Serving", "WebPorts"]
