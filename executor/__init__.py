"""GitLab Runner custom executor for Kaniko builds in Kubernetes pods."""

__version__ = "0.1.0"
