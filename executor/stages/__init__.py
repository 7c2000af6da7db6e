"""The four commands that GitLab Runner calls, one verb a file, and what they share (`stage.py`)."""
