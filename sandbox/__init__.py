"""An AWS on this machine: moto's server made as strict as AWS, and simulated hosts. See docs/sandbox.md."""
