"""Events over WebSocket, through Channels: many runs and lists on one connection."""
