/** The page of a session: join form, room, end. Composition only; window.stemroom is for diagnosis. */

import * as api from '../api.js';
import { Call } from '../call.js';
import { Devices } from '../devices.js';
import { filesLink, forgetIdentity, guestLink, hostLink, hostSecret, loadIdentity, loadMutes, loadPreferences, sessionIdOfPage } from '../identity.js';
import { Spool } from '../spool.js';
import { DevicePicker } from '../ui/devicepicker.js';
import { copyField } from '../ui/copyfield.js';
import { byId, h, setText } from '../ui/dom.js';
import { encoderForm } from '../ui/encoderform.js';
import { fillIcons } from '../ui/icons.js';
import { JoinForm } from '../ui/joinform.js';
import { explain } from '../ui/problems.js';
import { TransferPanel } from '../ui/transfer.js';
import { Uploads } from '../uploads.js';

/** @typedef {import('../messages.js').Identity} Identity */
/** @typedef {import('../protocol.js').CloseReason} CloseReason */

const sessionId = sessionIdOfPage();
const spool = new Spool();
const uploads = new Uploads(spool);

/** After a reload the room is entered with the devices open; an unanswered question of the browser does not hold it up. */
const PERMISSION_WAIT_MS = 5000;

/** @type {Call | null} */
let call = null;
/** @type {'loading' | 'joining' | 'room' | 'ended'} */
let phase = 'loading';

/** @type {Record<CloseReason, [string, string]>} */
const ENDS = {
  left: ['You left the session', 'Your microphone and camera are off.'],
  replaced: ['You are in this session elsewhere', 'The session was opened in another tab or window with your place, so this one was disconnected.'],
  refused: ['Your place is no longer valid', 'Join again to come back.'],
  full: ['This session is full', 'Ask the host to make room, then join again.'],
  misunderstood: ['The studio ended the connection', 'It did not understand this page. Join again; if that does not help, tell whoever runs the studio.'],
  unknown_session: ['This session does not exist any more', 'Ask the host for a new link.'],
};

async function main() {
  fillIcons();
  new TransferPanel(uploads, () => call?.capture ?? null, () => phase === 'room');
  if (Spool.available) {
    spool.preload();
    void uploads.recover();
  }
  addEventListener('beforeunload', (event) => {
    if (!uploads.safe || call?.capture.running) event.preventDefault();
  });
  const session = await findSession();
  if (!session) return;
  setText(byId('session-title', HTMLElement), session.title);
  document.title = `${session.title} – Stemroom`;
  const devices = new Devices(loadPreferences());
  const known = loadIdentity(sessionId);
  if (known) {
    // Before any device is opened: nobody is heard or seen against their will after a reload.
    for (const kind of loadMutes(sessionId)) devices.setMuted(kind, true);
    await enter(known, devices, true);
  } else {
    await joinAndEnter(session, devices);
  }
}

/** @param {{recording: boolean, participants: number}} session @param {Devices} devices */
async function joinAndEnter(session, devices) {
  phase = 'joining';
  const identity = await new JoinForm(sessionId, devices).run(session);
  await enter(identity, devices, false);
}

/**
 * @param {Identity} identity
 * @param {Devices} devices
 * @param {boolean} rejoining after a reload: the devices are not open yet
 */
async function enter(identity, devices, rejoining) {
  showLinks();
  const picker = new DevicePicker(devices);
  byId('room-devices', HTMLElement).replaceChildren(picker.element);
  if (rejoining) await Promise.race([picker.openBoth(), new Promise((resolve) => setTimeout(resolve, PERMISSION_WAIT_MS))]);
  else void picker.refresh();
  call = new Call(identity, devices, spool, uploads);
  phase = 'room';
  const reason = await call.run();
  phase = 'ended';
  forgetIdentity(sessionId);
  showEnd(reason);
}

/** @param {CloseReason} reason */
function showEnd(reason) {
  const [title, detail] = ENDS[reason];
  setText(byId('ended-title', HTMLElement), title);
  setText(byId('ended-detail', HTMLElement), detail);
  byId('rejoin', HTMLElement).hidden = reason === 'unknown_session';
  setText(byId('rejoin', HTMLElement), 'Join again');
  byId('rejoin', HTMLElement).addEventListener('click', () => location.reload());
  byId('ended', HTMLElement).hidden = false;
  byId('ended-title', HTMLElement).focus();
}

async function findSession() {
  try {
    return await api.getSession(sessionId);
  } catch (error) {
    setText(byId('session-title', HTMLElement), 'No session');
    setText(byId('ended-title', HTMLElement), 'This session cannot be opened');
    setText(byId('ended-detail', HTMLElement), explain(error));
    byId('rejoin', HTMLElement).addEventListener('click', () => location.reload());
    byId('ended', HTMLElement).hidden = false;
    return null;
  }
}

function showLinks() {
  const secret = hostSecret(sessionId);
  const fields = [
    copyField({ id: 'guest-link', label: 'Guest link', hint: 'Send this to everybody you want to talk with.', value: guestLink(sessionId) }),
  ];
  if (secret) {
    fields.push(
      copyField({ id: 'host-link', label: 'Host link', hint: 'Whoever has it can record and download. Keep it to yourself.', value: hostLink(sessionId, secret) }),
      h('p', {}, h('a', { class: 'button', id: 'files-link', href: filesLink(sessionId, secret), target: '_blank' }, 'Open recordings and files')),
      encoderForm(sessionId, secret),
    );
  }
  byId('links', HTMLElement).replaceChildren(...fields);
}

/** Read-only, for diagnosis in the console and for tests; not an interface to build on. */
Object.defineProperty(window, 'stemroom', {
  value: Object.freeze({
    /** The Room of the running call, or null: participants, media, recording, connection, clock. */
    get room() {
      return call?.room ?? null;
    },
    /** The Capture of the running call, or null: running, recordingId, mimeType. */
    get capture() {
      return call?.capture ?? null;
    },
    /** A snapshot: where the page is, how it is connected, what is recorded, what is safe. */
    get state() {
      return {
        phase,
        participant_id: call?.room.participantId ?? null,
        connection: call?.room.connection ?? null,
        recording: call?.room.recording ?? null,
        uploads: uploads.all.map((upload) => ({
          recording_id: upload.meta.recording_id,
          kind: upload.meta.kind,
          state: upload.state,
          captured_bytes: upload.capturedBytes,
          verified_bytes: upload.verifiedBytes,
          captured_ms: upload.capturedMs,
          safe_ms: upload.safeMs,
          start_ms: upload.meta.start_ms,
          problem: upload.problem,
        })),
        safe: uploads.safe && !['running', 'retrying'].includes(call?.capture.progress ?? 'off'),
        capture: call?.capture.progress ?? 'off',
      };
    },
    /** All entries of RTCPeerConnection.getStats as plain objects; `transport`: publish or subscribe. */
    async getStats(/** @type {'publish' | 'subscribe'} */ transport) {
      const report = await call?.room.peerConnection(transport)?.getStats();
      /** @type {object[]} */
      const entries = [];
      report?.forEach((entry) => entries.push({ ...entry }));
      return entries;
    },
  }),
});

void main();
