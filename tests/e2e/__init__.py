"""End-to-end tests on machines: `make e2e`."""
