"""The Model Context Protocol over HTTP, at ``/mcp``: the tools of ``coordination mcp``, served by the coordinator.

What is loaded with a coordinator is ``endpoint``, and what that needs; the SDK (extra ``mcp``) is loaded with the first
request, as it takes a second or two.
"""
