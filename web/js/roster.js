/**
 * Who is in the room and what they publish, as the server tells it; no I/O.
 *
 * Guarantees: messages about participants that are not here change nothing; one's own tracks are there once a kind,
 * because nobody is told of the end of their own tracks.
 */

/** @typedef {import('./messages.js').ParticipantView} ParticipantView */
/** @typedef {import('./messages.js').ServerMessage} ServerMessage */

export class Roster {
  #ownId;
  /** @type {Map<string, ParticipantView>} */
  #participants = new Map();

  /** @param {string} ownId */
  constructor(ownId) {
    this.#ownId = ownId;
  }

  get all() {
    return /** @type {ReadonlyMap<string, ParticipantView>} */ (this.#participants);
  }

  /** Oneself; undefined before the first welcome. */
  get own() {
    return this.#participants.get(this.#ownId);
  }

  /** @param {ParticipantView[]} views everybody, as in `welcome` */
  replace(views) {
    this.#participants = new Map(views.map((view) => [view.participant_id, view]));
  }

  /**
   * The page ended its tracks of all other kinds.
   * @param {ReadonlySet<string>} kinds
   */
  keepOwnTracks(kinds) {
    if (this.own) this.own.tracks = this.own.tracks.filter((track) => kinds.has(track.kind));
  }

  /**
   * @param {ServerMessage} message
   * @returns {{changed: boolean, joined?: ParticipantView, left?: {participant: ParticipantView, reason: string}}}
   */
  apply(message) {
    switch (message.type) {
      case 'participant_joined':
        this.#participants.set(message.participant.participant_id, message.participant);
        return { changed: true, joined: message.participant };
      case 'participant_updated':
        this.#participants.set(message.participant.participant_id, message.participant);
        return { changed: true };
      case 'participant_left': {
        const participant = this.#participants.get(message.participant_id);
        // One's own leaving is said by the close code that follows.
        if (!participant || participant === this.own) return { changed: false };
        this.#participants.delete(message.participant_id);
        return { changed: true, left: { participant, reason: message.reason } };
      }
      case 'track_published':
      case 'track_unpublished':
      case 'track_muted':
      case 'capture_status':
      case 'connection_quality': {
        const participant = this.#participants.get(message.participant_id);
        if (participant) update(participant, message, participant === this.own);
        return { changed: participant !== undefined };
      }
      case 'subscription': {
        const tracks = [...this.#participants.values()].flatMap((participant) => participant.tracks);
        const track = tracks.find(({ track_id }) => track_id === message.track_id);
        if (track) track.delivery = message.state;
        return { changed: track !== undefined };
      }
      default:
        return { changed: false };
    }
  }
}

/**
 * @param {ParticipantView} participant changed in place
 * @param {import('./messages.js').TrackPublished | import('./messages.js').TrackUnpublished
 *   | import('./messages.js').TrackMuted | import('./messages.js').CaptureStatus
 *   | import('./messages.js').ConnectionQuality} message
 * @param {boolean} own
 */
function update(participant, message, own) {
  switch (message.type) {
    case 'track_published': {
      const { track } = message;
      const others = participant.tracks.filter((other) => other.track_id !== track.track_id && !(own && other.kind === track.kind));
      participant.tracks = [...others, track];
      break;
    }
    case 'track_unpublished':
      participant.tracks = participant.tracks.filter((track) => track.track_id !== message.track_id);
      break;
    case 'track_muted':
      for (const track of participant.tracks) if (track.track_id === message.track_id) track.muted = message.muted;
      break;
    case 'capture_status':
      participant.capture = message.capture;
      break;
    case 'connection_quality':
      participant.quality = message.quality;
      break;
  }
}
