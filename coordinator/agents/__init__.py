"""Coding agents: their hooks, the skill that they read, and what installs both.

There are more than twelve files because each agent has one of its own.
"""
