"""What an operator runs: one command a file, gathered in `commands.py`."""
