"""The media plane: ICE-lite, DTLS, SRTP and RTP forwarding without decoding.

Knows nothing of recordings, databases or WebSockets: what it needs from above it declares in `sfu.interfaces`.
"""
