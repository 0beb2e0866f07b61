"""HTTP and gRPC connections, routes, authentication and the OpenAPI document."""
