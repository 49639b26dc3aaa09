"""The images, the compose file, the Kubernetes manifests."""
