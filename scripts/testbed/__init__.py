"""A real two-node Kubernetes cluster on one Linux machine, for tests, the demo and measurements.

No systemd, no Docker, no image pulls: every program is built from public source or comes from a Debian package, and
everything that runs lives in one network namespace of its own. `scripts/bed --help` is the way in.
"""
