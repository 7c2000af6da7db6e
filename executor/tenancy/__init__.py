"""A tenant's settings -> the objects that make its place in a cluster, and its place in GitLab. Pure: no I/O."""
