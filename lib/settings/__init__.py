"""What a run is asked for: the layers of settings, one frozen Config, its rules and its help."""
