"""The Model Context Protocol for agents: ``coordination mcp`` serves it on standard input and output.

Inside this package ``import mcp`` is the official SDK (extra ``mcp``), as all imports are absolute.
"""
