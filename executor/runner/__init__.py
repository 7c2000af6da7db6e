"""What GitLab Runner tells its custom executor and expects back. Pure but for reading the environment and one file."""
