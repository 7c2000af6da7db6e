"""Thousands of jobs without containers: a real API server, scheduler and driver; nodes and statuses are made up."""
