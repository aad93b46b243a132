"""make bench: how many calls and seconds up, rerun and down take in the sandbox."""
