/** The files of a session: polls its recordings until all are finished, then seldom, so that links stay fresh. */

import * as api from '../api.js';
import { hostSecret, loadIdentity, sessionIdOfPage } from '../identity.js';
import { byId, setText } from '../ui/dom.js';
import { fillIcons } from '../ui/icons.js';
import { explain } from '../ui/problems.js';
import { RecordingCard } from '../ui/recording.js';

/** While something is being recorded, finished or uploaded. */
const BUSY_POLL_MS = 2000;

/** Signed links live 5 minutes (object_store.url_life_s); a hidden page is refreshed when it is shown again. */
const IDLE_POLL_MS = 120_000;

const sessionId = sessionIdOfPage();

/** @type {Map<string, RecordingCard>} */
const cards = new Map();
/** @type {number | undefined} */
let timer;

function token() {
  const identity = loadIdentity(sessionId);
  return hostSecret(sessionId) || (identity?.role === 'host' ? identity.token : '');
}

async function refresh() {
  clearTimeout(timer);
  let wait = BUSY_POLL_MS;
  try {
    const busy = await load();
    wait = busy ? BUSY_POLL_MS : IDLE_POLL_MS;
    showProblem('');
  } catch (error) {
    showProblem(explain(error));
    if (error instanceof api.ApiError && !error.temporary) return;
  }
  timer = setTimeout(() => void refresh(), wait);
}

/** @returns {Promise<boolean>} something may still change soon */
async function load() {
  const { recordings } = await api.listRecordings(sessionId, token());
  byId('no-recordings', HTMLElement).hidden = recordings.length > 0;
  const inOrder = [...recordings].sort((a, b) => a.started_ms - b.started_ms);
  let busy = recordings.length === 0;
  for (const [i, { recording_id }] of inOrder.entries()) {
    const card = cards.get(recording_id) ?? addCard(recording_id, i + 1);
    if (card.settled && !card.stale) continue;
    card.update(await api.getRecording(sessionId, recording_id, token()));
    busy ||= !card.settled;
  }
  return busy;
}

/** @param {string} recordingId @param {number} number */
function addCard(recordingId, number) {
  const card = new RecordingCard(sessionId, recordingId, number, token, () => void refresh());
  cards.set(recordingId, card);
  byId('recordings', HTMLElement).prepend(card.element);
  return card;
}

/** @param {string} text */
function showProblem(text) {
  const problem = byId('files-problem', HTMLElement);
  setText(problem, text);
  problem.hidden = text === '';
  byId('files-loading', HTMLElement).hidden = true;
}

async function main() {
  fillIcons();
  byId('back-to-session', HTMLAnchorElement).href = `/session/${sessionId}${location.hash}`;
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void refresh();
  });
  try {
    const session = await api.getSession(sessionId);
    setText(byId('session-title', HTMLElement), session.title);
    document.title = `Files of ${session.title} – Stemroom`;
  } catch (error) {
    showProblem(explain(error));
    return;
  }
  await refresh();
}

void main();
