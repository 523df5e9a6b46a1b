/** A link with a copy button. Without clipboard access (plain http) the text is selected for copying by hand. */

import { h, setText } from './dom.js';
import { icon } from './icons.js';
import { announce } from './notices.js';

const SHOWN_MS = 2000;

/**
 * @param {{id: string, label: string, hint: string, value: string}} field
 * @returns {HTMLElement}
 */
export function copyField({ id, label, hint, value }) {
  const input = h('input', { id, class: 'copy-value', type: 'text', readonly: true, value, 'aria-describedby': `${id}-hint` });
  const text = h('span', {}, 'Copy');
  const button = h('button', { type: 'button', class: 'button', id: `${id}-copy`, 'aria-label': `Copy ${label.toLowerCase()}` }, icon('copy'), text);
  input.addEventListener('focus', () => input.select());
  button.addEventListener('click', () => {
    void copy(input).then((copied) => {
      setText(text, copied ? 'Copied' : 'Press Ctrl+C');
      announce(copied ? `${label} copied` : 'Press Control C to copy');
      setTimeout(() => setText(text, 'Copy'), SHOWN_MS);
    });
  });
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    h('div', { class: 'copy-field' }, input, button),
    h('p', { class: 'hint', id: `${id}-hint` }, hint),
  );
}

/** @param {HTMLInputElement} input */
async function copy(input) {
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    return false;
  }
}
