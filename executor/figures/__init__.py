"""The operator log read into figures: jobs and tenants, over the files of several hosts."""
