"""The command `deploy`: apply rendered manifests to a cluster and wait until they are ready."""
