"""The operator's TOML files -> frozen values. Pure but for reading the files; knows nothing of jobs or the cluster."""
