"""Briefings: what a session should know before it chooses its work, and how it is written."""
