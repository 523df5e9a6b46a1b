/**
 * The wire: every record and message as signaling/messages.py declares it. Types only, nothing runs here.
 *
 * Times ending in `_ms` without another word are on the session clock. Sizes are bytes.
 */

/** @typedef {'microphone' | 'camera' | 'screen' | 'screen_audio'} TrackKind */
/** @typedef {'publish' | 'subscribe'} TransportName */
/** @typedef {'host' | 'guest'} Role */

/** @typedef {'good' | 'fair' | 'poor' | 'lost'} Quality */

/**
 * What is wrong with one's own connection; `value` in per cent (losses) or milliseconds, 0 for `silent`.
 * @typedef {{trouble: 'uplink_loss' | 'uplink_repair' | 'downlink_loss' | 'round_trip' | 'jitter' | 'silent', value: number}} Finding
 */

/** @typedef {{mid: string, kind: TrackKind}} TrackRequest */
/** @typedef {{mid: string, track_id: string, participant_id: string, kind: TrackKind}} SubscribedTrack */
/** @typedef {'whole' | 'reduced' | 'paused'} DeliveryState what this page's network lets through of a picture */
/** @typedef {{track_id: string, kind: TrackKind, codec: string, muted: boolean, delivery?: DeliveryState}} TrackView `delivery` is the page's own note */

/**
 * How much of a participant's local copy is where; milliseconds since the capture began.
 * @typedef {object} CaptureView
 * @property {number} captured_bytes
 * @property {number} verified_bytes
 * @property {number} captured_ms
 * @property {number} safe_ms everything captured before this moment is verified in the object store
 * @property {'recording' | 'uploading' | 'done' | 'failed'} state
 */

/**
 * What the page sends of one kind; of several layers the sum, and size and reason of the largest. `lost`: 0 to 1.
 * @typedef {{kind: TrackKind, bitrate_bps: number, width: number, height: number, fps: number,
 *   limited_by: 'none' | 'cpu' | 'bandwidth' | 'other', lost: number}} SentFigures
 */

/**
 * All that the page receives, since its report before. `concealed`: share of the sound that was made up.
 * @typedef {{tracks: number, bitrate_bps: number, packets: number, lost: number, freezes: number, frozen_ms: number,
 *   frames_dropped: number, concealed: number, jitter_buffer_ms: number}} ReceivedFigures
 */

/**
 * @typedef {{candidate: 'host' | 'srflx' | 'prflx' | 'relay', protocol: 'udp' | 'tcp' | 'tls', rtt_ms: number,
 *   available_bps: number}} PathFigures
 */

/** @typedef {{sent: SentFigures[], received: ReceivedFigures | null, publish: PathFigures | null, subscribe: PathFigures | null}} PageFigures */

/** @typedef {'script' | 'connection_failed' | 'refused' | 'device_lost' | 'capture'} PageErrorId */

/**
 * @typedef {object} ParticipantView
 * @property {string} participant_id
 * @property {string} display_name
 * @property {Role} role
 * @property {boolean} connected
 * @property {TrackView[]} tracks
 * @property {CaptureView | null} capture
 * @property {Quality | null} quality of the connection; null: not known yet
 */

/**
 * @typedef {object} RecordingView
 * @property {string} recording_id
 * @property {'recording' | 'finishing' | 'finished' | 'failed'} state
 * @property {number} started_ms
 * @property {number | null} stopped_ms
 */

/** @typedef {{urls: string[], username: string, credential: string}} IceServer */
/** @typedef {{video_bps: number, audio_bps: number, chunk_ms: number, chunk_bytes: number}} CaptureProfile */

/**
 * @typedef {object} Welcome
 * @property {'welcome'} type
 * @property {string} participant_id
 * @property {Role} role
 * @property {string} session_id
 * @property {string} title
 * @property {ParticipantView[]} participants
 * @property {IceServer[]} ice_servers
 * @property {number} session_ms
 * @property {number} heartbeat_ms
 * @property {RecordingView | null} recording
 * @property {SpaceState} recording_space
 * @property {CaptureProfile} capture_profile
 * @property {string[]} video_codecs in order of preference: `VP8`, `VP9`, `H264`, `AV1`
 * @property {number} max_video_bps
 * @property {boolean} simulcast the camera may be sent in several sizes
 * @property {boolean} temporal_layers VP9 and AV1 may be sent in temporal layers
 * @property {boolean} resumed false: the server has no peer connections for this participant
 */

/**
 * @typedef {object} WebrtcOffer
 * @property {'webrtc_offer'} type
 * @property {TransportName} transport
 * @property {string} sdp
 * @property {TrackRequest[]} tracks
 * @property {number} offer_id
 * @property {SubscribedTrack[]} subscribed
 */

/** @typedef {{type: 'webrtc_answer', transport: TransportName, sdp: string, offer_id: number}} WebrtcAnswer */
/** @typedef {{type: 'participant_joined', participant: ParticipantView}} ParticipantJoined */
/** @typedef {{type: 'participant_left', participant_id: string, reason: 'left' | 'lost' | 'replaced' | 'closed'}} ParticipantLeft */
/** @typedef {{type: 'participant_updated', participant: ParticipantView}} ParticipantUpdated */
/** @typedef {{type: 'track_published', participant_id: string, track: TrackView}} TrackPublished */
/** @typedef {{type: 'track_unpublished', participant_id: string, track_id: string}} TrackUnpublished */
/** @typedef {{type: 'track_muted', track_id: string, muted: boolean, participant_id: string}} TrackMuted */
/** @typedef {{type: 'connection_quality', participant_id: string, quality: Quality, findings: Finding[]}} ConnectionQuality findings: of oneself only, the worst first */
/** @typedef {{type: 'active_speakers', dominant: string | null, speaking: string[]}} ActiveSpeakers who speaks, the dominant one first */
/** @typedef {{type: 'recording_status', recording: RecordingView, reason: '' | 'disk'}} RecordingStatus reason: why it ended, if not because somebody wanted it to */
/** @typedef {'ok' | 'low' | 'full'} SpaceState what may be recorded with the space on the studio's disk: `low`: nothing new; `full`: nothing */
/** @typedef {{type: 'recording_space', state: SpaceState}} RecordingSpace */
/**
 * To hosts: something is wrong with what is recorded, or is not any more.
 * @typedef {{type: 'notice', code: string, take_id: string, participant_id: string, text: string, since_ms: number, over: boolean}} Notice
 */
/** @typedef {{type: 'capture_status', recording_id: string, capture: CaptureView, participant_id: string}} CaptureStatus */
/** @typedef {{type: 'subscription', track_id: string, state: DeliveryState}} Subscription */
/** @typedef {{type: 'heartbeat'}} Heartbeat */
/** @typedef {{type: 'clock', page_ms: number, session_ms: number}} Clock */
/** @typedef {{type: 'error', id: string, detail: string, fatal: boolean}} ErrorMessage */

/**
 * @typedef {Welcome | WebrtcOffer | WebrtcAnswer | ParticipantJoined | ParticipantLeft | ParticipantUpdated
 *   | TrackPublished | TrackUnpublished | TrackMuted | ActiveSpeakers | Subscription | RecordingStatus | RecordingSpace | Notice | CaptureStatus | ConnectionQuality
 *   | Heartbeat | Clock
 *   | ErrorMessage} ServerMessage
 */

/**
 * What the page sends.
 * @typedef {{type: 'hello', token: string, resume: boolean}
 *   | {type: 'webrtc_offer', transport: 'publish', sdp: string, tracks: TrackRequest[], offer_id: number}
 *   | {type: 'webrtc_answer', transport: 'subscribe', sdp: string, offer_id: number}
 *   | {type: 'ice_restart', transport: 'subscribe'}
 *   | {type: 'track_muted', track_id: string, muted: boolean}
 *   | {type: 'layer', track_id: string, height: number}
 *   | {type: 'heartbeat'}
 *   | {type: 'clock', page_ms: number}
 *   | {type: 'capture_status', recording_id: string, capture: CaptureView}
 *   | {type: 'page_report', figures: PageFigures, errors: Partial<Record<PageErrorId, number>>}
 *   | {type: 'participant_left'}} PageMessage
 */

/**
 * Who this page is in a session, as `join` answered.
 * @typedef {object} Identity
 * @property {string} session_id
 * @property {string} participant_id
 * @property {string} token
 * @property {Role} role
 * @property {string} display_name
 * @property {string} ws_url
 */

export {};
