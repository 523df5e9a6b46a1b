/** For hosts: makes what an encoder such as OBS needs to be in the room, a server address and a token, ready to copy. */

import { createIngest } from '../api.js';
import { copyField } from './copyfield.js';
import { h } from './dom.js';
import { announce, toast } from './notices.js';
import { explain } from './problems.js';

/**
 * @param {string} sessionId
 * @param {string} secret host secret
 * @returns {HTMLElement}
 */
export function encoderForm(sessionId, secret) {
  const name = h('input', { id: 'encoder-name', type: 'text', required: true, maxlength: '60', autocomplete: 'off', 'aria-describedby': 'encoder-hint' });
  const button = h('button', { id: 'encoder-make', class: 'button' }, 'Add encoder');
  const made = h('div', { id: 'encoder-made', class: 'form' });
  const form = h(
    'form',
    { id: 'encoder-form', class: 'field' },
    h('label', { for: 'encoder-name' }, 'Encoder (OBS, GStreamer, FFmpeg)'),
    h('div', { class: 'copy-field' }, name, button),
    h('p', { class: 'hint', id: 'encoder-hint' }, 'A name for it. What it sends by WHIP is seen by everybody and recorded like a participant.'),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    button.disabled = true;
    void add().finally(() => (button.disabled = false));
  });
  return h('section', { 'aria-label': 'Encoders' }, form, made);

  async function add() {
    try {
      const ingest = await createIngest(sessionId, { display_name: name.value }, secret);
      made.replaceChildren(
        copyField({ id: 'encoder-server', label: 'Server', hint: 'In OBS: Settings, Stream, service WHIP.', value: ingest.whip_url }),
        copyField({ id: 'encoder-token', label: 'Bearer token', hint: `For ${ingest.display_name} alone. It is not shown again.`, value: ingest.token }),
      );
      name.value = '';
      announce(`${ingest.display_name} can publish now. Copy the server and the token.`);
    } catch (error) {
      toast(explain(error), { kind: 'error' });
    }
  }
}
