"""The commands that talk to Kubeflow Pipelines: submit, schedule, unschedule and status."""
