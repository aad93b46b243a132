"""What a node boots from: its settings, its user-data, its downloads and their sums."""
