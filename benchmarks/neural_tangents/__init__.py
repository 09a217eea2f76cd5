"""neural-tangents as a peer: its environment, a server that runs in it, and the client."""
