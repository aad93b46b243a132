"""The cluster's API: asked, drained; certificates and kubeconfig's text."""
