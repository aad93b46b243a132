"""Simulated hosts: what stands for instances where no machine is booted."""
