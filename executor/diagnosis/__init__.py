"""Pure functions: a pod's status and events -> cause, explanation, remedy."""
