"""Faults on the test bed, one after the other and counted: what becomes of real jobs under them."""
