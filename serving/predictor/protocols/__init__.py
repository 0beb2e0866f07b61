"""Read requests and write answers: KServe's V1 and V2 protocols and the lean route."""
