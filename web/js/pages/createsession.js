/** The page that creates a session and shows its links. Also finishes uploads that an earlier page left behind. */

import * as api from '../api.js';
import { Spool } from '../spool.js';
import { copyField } from '../ui/copyfield.js';
import { byId, setText } from '../ui/dom.js';
import { fillIcons } from '../ui/icons.js';
import { announce } from '../ui/notices.js';
import { explain } from '../ui/problems.js';
import { TransferPanel } from '../ui/transfer.js';
import { Uploads } from '../uploads.js';

const form = byId('create-form', HTMLFormElement);
const title = byId('title', HTMLInputElement);
const button = byId('create-button', HTMLButtonElement);
const problem = byId('create-error', HTMLElement);

async function create() {
  button.disabled = true;
  problem.hidden = true;
  try {
    show(await api.createSession({ title: title.value.trim() }));
  } catch (error) {
    problem.textContent = explain(error);
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
}

/** @param {api.CreatedSession} session */
function show(session) {
  form.hidden = true;
  byId('welcome', HTMLElement).hidden = true;
  setText(byId('created-title', HTMLElement), session.title);
  byId('created-links', HTMLElement).replaceChildren(
    copyField({ id: 'guest-link', label: 'Guest link', hint: 'Send this to everybody you want to talk with. They need no account.', value: session.guest_url }),
    copyField({ id: 'host-link', label: 'Host link', hint: 'Yours alone: whoever has it can record and download. It is shown only now, so keep it.', value: session.host_url }),
  );
  byId('enter', HTMLAnchorElement).href = session.host_url;
  byId('created', HTMLElement).hidden = false;
  byId('created-title', HTMLElement).focus();
  announce('Session created. Copy the links.');
}

fillIcons();
form.addEventListener('submit', (event) => {
  event.preventDefault();
  void create();
});
byId('create-another', HTMLButtonElement).addEventListener('click', () => {
  byId('created', HTMLElement).hidden = true;
  form.hidden = false;
  byId('welcome', HTMLElement).hidden = false;
  title.value = '';
  title.focus();
});

if (Spool.available) {
  const uploads = new Uploads(new Spool());
  new TransferPanel(uploads, () => null, () => false);
  void uploads.recover();
  addEventListener('beforeunload', (event) => {
    if (!uploads.safe) event.preventDefault();
  });
}
