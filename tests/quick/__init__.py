"""The quick way of the command line, held against the full command."""
