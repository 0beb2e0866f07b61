"""The lake: objects and Delta tables on a folder, Google Cloud Storage or S3."""
