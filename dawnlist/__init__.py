"""Dawnlist: daily recommendations on Kubeflow Pipelines."""
