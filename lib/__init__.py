"""What kube_up.py and kube_down.py are made of: one module a step, and the few that all steps share."""
