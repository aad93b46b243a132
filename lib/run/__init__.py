"""What a run is: its console and log, errors, end by a signal, clock, files, and the programs it calls."""
