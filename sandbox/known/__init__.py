"""What each release of Kubernetes knows by name, asked of its own code; for templates/lost.txt."""
