"""Reads the figures of a room (`sfu.figures`) from its parts."""

from collections import Counter
from typing import TYPE_CHECKING

from sfu.congestion.estimator import BandwidthEstimator
from sfu.encoding import Encoding
from sfu.figures import (
    EncodingFigures,
    EstimateFigures,
    ParticipantFigures,
    RoomFigures,
    SubscriptionFigures,
    TrackFigures,
    TransportFigures,
)
from sfu.interfaces import TrackKind
from sfu.quality import Observation
from sfu.reasons import reason
from sfu.subscription import Subscription
from sfu.track import Track
from sfu.transport import Transport

if TYPE_CHECKING:
    from sfu.room import Peer, Room

NEVER_PAUSING = (TrackKind.MICROPHONE, TrackKind.CAMERA)
"""A shared screen on which nothing moves sends nothing."""


def room_figures(room: "Room", now: float) -> RoomFigures:
    return RoomFigures(
        room_id=room.room_id,
        dominant=room.dominant,
        speaking=list(room.sound.speaking),
        loudest=room.sound.places,
        participants=[_participant(room, peer, now) for peer in room.peers.values()],
    )


def observe(peer: "Peer") -> Observation:
    """What the quality of a participant's connection is judged by, once a second."""
    publish, subscribe = peer.publisher.transport, peer.subscriber.transport
    uplink = publish.inbound.counters() if publish is not None else Counter[str]()
    downlink = subscribe.outbound.counters() if subscribe is not None else Counter[str]()
    connected = publish is not None and publish.state == "connected"
    round_trips = [s.round_trip_s for s in peer.subscriber.subscriptions() if s.round_trip_s]
    sounds = [
        encoding.jitter / encoding.clock_rate_hz
        for track in peer.publisher.tracks.values()
        if track.kind is TrackKind.MICROPHONE
        for encoding in track.encodings()
    ]
    return Observation(
        expected=uplink["packets_expected"],
        missed=uplink["packets_missed"] - uplink["packets_reordered"],
        given_up=uplink["packets_given_up"],
        sent=downlink["packets_sent"],
        not_delivered=downlink["packets_not_delivered"],
        heard=sum(t.octets + t.ice.checks for t in (publish, subscribe) if t is not None),
        flowing={
            track.track_id: sum(encoding.packets for encoding in track.encodings())
            for track in peer.publisher.tracks.values()
            if connected and not track.muted and track.kind in NEVER_PAUSING
        },
        round_trip_s=min(round_trips, default=None),
        jitter_s=max(sounds, default=None),
    )


def _participant(room: "Room", peer: "Peer", now: float) -> ParticipantFigures:
    carried = peer.subscriber.carried()
    round_trips = [s.round_trip_s for _, s in carried if s.round_trip_s]
    return ParticipantFigures(
        participant_id=peer.participant_id,
        rtt_ms=_milliseconds(min(round_trips, default=0.0)),
        connection=peer.quality,
        publish=_transport(peer.publisher.transport, now),
        subscribe=_transport(peer.subscriber.transport, now),
        left_out=[track.track_id for track in peer.subscriber.left_out],
        tracks=[_track(room, track, now) for track in peer.publisher.tracks.values()],
        subscriptions=[_subscription(peer, track, subscription, now) for track, subscription in carried],
    )


def _transport(transport: Transport | None, now: float) -> TransportFigures:
    if transport is None:
        return TransportFigures(state="new")
    selected = transport.ice.selected
    return TransportFigures(
        state=transport.state,
        srtp_profile=transport.profile.name if transport.profile else None,
        address=f"{selected[0]}:{selected[1]}" if selected else None,
        checks=transport.ice.checks,
        last_check_s=round(now - transport.ice.last_check, 1) if transport.ice.checks else None,
        received_octets=transport.octets,
        sent_octets=transport.outbound.counters()["octets_sent"],
        estimate=_estimate(transport.outbound.estimator) if transport.outbound.estimator is not None else None,
        dropped={why: count for why, count in transport.dropped().items() if count},
    )


def _estimate(estimator: BandwidthEstimator) -> EstimateFigures:
    acknowledged_bps = round(estimator.acknowledged_bps) or None
    return EstimateFigures(
        target_bps=round(estimator.target_bps),
        bound=estimator.bound,
        state=estimator.state.value,
        useful_bps=round(estimator.useful_bps),
        acknowledged_bps=acknowledged_bps,
        queue_ms=round(1000 * estimator.queue_s, 1) if acknowledged_bps is not None else None,
        loss=round(estimator.loss_fraction, 4),
        probes=estimator.probes,
        probes_answered=estimator.probes_answered,
    )


def _track(room: "Room", track: Track, now: float) -> TrackFigures:
    return TrackFigures(
        track_id=track.track_id,
        kind=track.kind.value,
        codec=track.codec.name,
        muted=track.muted,
        repair="nack" in track.codec.feedback,
        sound=room.sound.figures(track) if track.kind.media == "audio" else None,
        encodings=[_encoding(encoding, now) for encoding in track.encodings()],
    )


def _encoding(encoding: Encoding, now: float) -> EncodingFigures:
    missing = encoding.missing
    return EncodingFigures(
        ssrc=encoding.ssrc,
        rid=encoding.info.rid,
        size=encoding.size,
        temporal_layers=encoding.top_layer + 1,
        fps=None if encoding.info.codec == "opus" else round(encoding.frame_rate.update(encoding.frames, now), 1),
        bitrate_bps=round(8 * encoding.rate.update(encoding.octets, now)),
        packets=encoding.packets,
        octets=encoding.octets,
        missed=missing.missed,
        reordered=missing.reordered,
        repaired=missing.repaired,
        given_up=missing.lost,
        nacked=missing.requested,
        jitter_ms=round(1000 * encoding.jitter / encoding.clock_rate_hz, 2),
        key_frames=encoding.key_frames,
        key_frame_requests=encoding.requests.sent,
        replayed=encoding.replayed,
        refused=encoding.failed + encoding.wrong_type,
        tap_failures=encoding.tap_failures,
        viewers=len(encoding.subscriptions),
    )


def _subscription(peer: "Peer", track: Track | None, subscription: Subscription, now: float) -> SubscriptionFigures:
    encoding, wants = subscription.encoding, subscription.wants
    options = track.layers_for(subscription) if track is not None else []
    return SubscriptionFigures(
        track_id=subscription.track_id,
        ssrc=subscription.ssrc,
        rid=encoding.info.rid if encoding else None,
        wanted_rid=wants.info.rid if wants else None,
        fitting_rid=options[-1].info.rid if options else None,
        temporal_layer=subscription.view.limit if subscription.view else None,
        wanted_height=subscription.wanted_height,
        reason=reason(track, subscription, peer.subscriber.delivery(subscription.track_id)),
        bitrate_bps=round(8 * subscription.rate.update(subscription.octets, now)),
        packets=subscription.packets,
        octets=subscription.octets,
        lost=subscription.lost,
        loss=round(subscription.fraction_lost / 256, 4),
        rtt_ms=_milliseconds(subscription.round_trip_s),
        jitter_ms=round(1000 * subscription.jitter / subscription.clock_rate_hz, 2),
        nacked=subscription.nacked,
        retransmitted=subscription.retransmitted,
        requested_again=subscription.repeated,
        not_retransmitted=subscription.skipped,
        pli=subscription.pli_requests,
        fir=subscription.fir_requests,
    )


def _milliseconds(seconds: float) -> float | None:
    """None for 0: not known."""
    return round(1000 * seconds, 1) if seconds else None
