"""Measures the driver on the test bed beside the runner's built-in Kubernetes executor: `scripts/bench`.

Every measure takes built-in and driver in turn, in one run, so that whatever else the machine does meets both.
"""
