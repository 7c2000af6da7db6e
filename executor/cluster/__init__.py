"""The only room that talks to Kubernetes."""
