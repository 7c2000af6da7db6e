"""The layer cache: where it lies in S3, and how the pod's cache registry reaches it."""
