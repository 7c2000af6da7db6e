"""Pure functions: settings and job -> manifest, names, and the programs that run inside the pod."""
