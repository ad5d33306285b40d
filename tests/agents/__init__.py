"""Tests of what is installed into coding agents, and of their hooks."""
