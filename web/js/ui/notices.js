/** Short messages: toasts for everybody's eyes, announcements for screen readers. Errors stay until dismissed. */

import { byId, h } from './dom.js';
import { icon } from './icons.js';

const TOAST_MS = 6000;

/** More than this at once hide the room: the oldest goes. */
const MAX_TOASTS = 4;

/**
 * Say something to screen readers without showing it.
 * @param {string} text
 */
export function announce(text) {
  const line = h('p', {}, text);
  const announcer = byId('announcer', HTMLElement);
  announcer.append(line);
  setTimeout(() => line.remove(), TOAST_MS);
}

/**
 * @param {string} text
 * @param {{kind?: 'info' | 'error', action?: {label: string, run: () => void}}} [options]
 */
export function toast(text, { kind = 'info', action } = {}) {
  const toasts = byId('toasts', HTMLElement);
  for (const shown of toasts.children) if (shown.getAttribute('data-text') === text) return;
  const element = h(
    'div',
    { class: `toast toast-${kind}`, role: kind === 'error' ? 'alert' : 'status', 'data-text': text },
    icon(kind === 'error' ? 'warning' : 'check'),
    h('p', {}, text),
  );
  const dismiss = () => element.remove();
  if (action) {
    const run = () => {
      dismiss();
      action.run();
    };
    element.append(h('button', { type: 'button', class: 'button button-small', onclick: run }, action.label));
  }
  element.append(h('button', { type: 'button', class: 'icon-button', 'aria-label': 'Dismiss', onclick: dismiss }, icon('close')));
  toasts.append(element);
  while (toasts.children.length > MAX_TOASTS) toasts.firstElementChild?.remove();
  if (kind === 'info' && !action) setTimeout(dismiss, TOAST_MS);
}
