"""Limits of a connection: sizes in bytes, and times in seconds."""

from typing import Final

MAX_URL: Final = 8 << 10
"""Bytes of a URL."""
MAX_HEAD: Final = 32 << 10
"""Bytes of all headers."""
MAX_BODY: Final = 1 << 20
"""Bytes of a body; a thousand users with ids of a hundred characters need a tenth of it."""
MAX_CONNECTIONS: Final = 2_000
"""HTTP connections. When one more comes, the one that has waited longest for its client is closed,
so that silent clients can't keep out probes."""
MAX_GRPC_CONNECTIONS: Final = 200
"""gRPC connections; one takes many calls at a time."""
RESERVED_DESCRIPTORS: Final = 64
"""File descriptors for all else: the store, files, the event loop."""
MIN_CONNECTIONS: Final = 16
"""With room for fewer HTTP connections the predictor does not start."""
TRANSFER_TIMEOUT_SECONDS: Final = 10.0
"""Seconds for a whole request to arrive, and for a client to read an answer."""
ANSWER_TIMEOUT_SECONDS: Final = 5.0
"""Seconds for making an answer."""
KEEP_ALIVE_SECONDS: Final = 75.0
"""Seconds that an idle connection stays open. They are more than a load balancer's, so that it is
the load balancer that closes the connection, and never uses one that is closed already."""
SHUTDOWN_IDLE_SECONDS: Final = 0.5
"""Seconds that idle connections stay open when the server stops."""
LINGER_SECONDS: Final = 2.0
"""Seconds that a refused connection stays open. The client may still be sending, and closing at
once would reset the connection before it has read the answer."""
