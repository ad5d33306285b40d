"""This process: its pauses, background tasks and open files, and the directories and files that it uses."""
