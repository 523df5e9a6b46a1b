"""What a room's media looks like at a moment, as plain data for pages, operators and metrics.

Bitrates are means since the same figure was last read by anybody, at least a second (`sfu.rate`).
"""

from typing import TYPE_CHECKING, Any

from sfu.encoding import Encoding
from sfu.subscription import Subscription
from sfu.transport import Transport

if TYPE_CHECKING:
    from sfu.room import Peer, Room


def room_stats(room: "Room", now: float) -> dict[str, Any]:
    return {
        "room_id": room.room_id,
        "dominant": room.dominant,
        "speaking": list(room.sound.speaking),
        "loudest": room.sound.places,
        "participants": [_peer(room, peer, now) for peer in room.peers.values()],
    }


def _peer(room: "Room", peer: "Peer", now: float) -> dict[str, Any]:
    subscriptions = peer.subscriber.subscriptions()
    round_trips = [s.round_trip_s for s in subscriptions if s.round_trip_s]
    return {
        "participant_id": peer.participant_id,
        "rtt_ms": round(1000 * min(round_trips), 1) if round_trips else None,
        "publish": _transport(peer.publisher.transport),
        "subscribe": _transport(peer.subscriber.transport),
        "not_offered": peer.subscriber.not_offered,
        "tracks": [
            {
                "track_id": track.track_id,
                "kind": track.kind.value,
                "codec": track.codec.name,
                "muted": track.muted,
                "repair": "nack" in track.codec.feedback,
                "sound": room.sound.track_stats(track) if track.kind.media == "audio" else None,
                "encodings": [_encoding(encoding, now) for encoding in track.encodings()],
            }
            for track in peer.publisher.tracks.values()
        ],
        "subscriptions": [_subscription(subscription, now) for subscription in subscriptions],
    }


def _transport(transport: Transport | None) -> dict[str, Any]:
    if transport is None:
        return {"state": "new"}
    selected = transport.ice.selected
    return {
        "state": transport.state,
        "srtp_profile": transport.profile.name if transport.profile else None,
        "address": f"{selected[0]}:{selected[1]}" if selected else None,
        "checks": transport.ice.checks,
    }


def _encoding(encoding: Encoding, now: float) -> dict[str, Any]:
    expected = encoding.highest - encoding.first_index + 1
    return {
        "ssrc": encoding.ssrc,
        "rid": encoding.info.rid,
        "size": list(encoding.size) if encoding.size else None,
        "temporal_layers": encoding.top_layer + 1,
        "bitrate_bps": round(encoding.rate.update(encoding.octets, now)),
        "packets": encoding.packets,
        "octets": encoding.octets,
        "lost": max(0, expected - encoding.packets),
        "given_up": encoding.missing.lost,
        "nacked": encoding.missing.requested,
        "jitter_ms": round(1000 * encoding.jitter / encoding.clock_rate_hz, 2),
        "key_frames": encoding.key_frames,
        "key_frame_requests": encoding.requests.sent,
        "replayed": encoding.replayed,
        "refused": encoding.failed + encoding.wrong_type,
        "tap_failures": encoding.tap_failures,
    }


def _subscription(subscription: Subscription, now: float) -> dict[str, Any]:
    return {
        "track_id": subscription.track_id,
        "ssrc": subscription.ssrc,
        "rid": subscription.encoding.info.rid if subscription.encoding else None,
        "wanted_height": subscription.wanted_height,
        "temporal_layer": subscription.view.limit if subscription.view else None,
        "bitrate_bps": round(subscription.rate.update(subscription.octets, now)),
        "packets": subscription.packets,
        "octets": subscription.octets,
        "lost": subscription.lost,
        "loss": round(subscription.fraction_lost / 256, 4),
        "rtt_ms": round(1000 * subscription.round_trip_s, 1) if subscription.round_trip_s else None,
        "jitter_ms": round(1000 * subscription.jitter / subscription.clock_rate_hz, 2),
        "retransmitted": subscription.retransmitted,
        "not_retransmitted": subscription.skipped,
        "requested_again": subscription.repeated,
    }
