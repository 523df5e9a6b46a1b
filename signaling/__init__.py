"""The control plane: REST, WebSocket signaling, live rooms, pages and the operators' listener."""
