/** Line icons, 24x24, in the colour of the text around them. Decoration only: the label is always text. */

/** @type {Record<string, string>} */
const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3Z M5 11a7 7 0 0 0 14 0 M12 18v3',
  'mic-off': 'M9 9v3a3 3 0 0 0 5 2.2 M15 10.5V6a3 3 0 0 0-5.9-.8 M5 11a7 7 0 0 0 11.3 5.5 M19 11a7 7 0 0 1-.6 2.8 M12 18v3 M4 3l16 18',
  camera: 'M3 7.5A1.5 1.5 0 0 1 4.5 6h9A1.5 1.5 0 0 1 15 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5Z M15 10.5l6-3.5v10l-6-3.5',
  'camera-off': 'M9.5 6h4A1.5 1.5 0 0 1 15 7.5v4l6 5V7l-4.5 2.6 M15 15v1.5a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5v-9A1.5 1.5 0 0 1 4.5 6 M3 3l18 18',
  record: 'M12 5a7 7 0 1 0 0 14a7 7 0 0 0 0-14Z M12 10a2 2 0 1 0 0 4a2 2 0 0 0 0-4Z',
  stop: 'M7 7h10v10H7Z',
  'off-record': 'M12 5a7 7 0 0 0-5.6 11.2 M8.6 18.1A7 7 0 0 0 17.6 7.8 M3 21L21 3',
  link: 'M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 1 0-5.7-5.7l-1.2 1.2 M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 1 0 5.7 5.7l1.2-1.2',
  settings: 'M4 7h9 M17 7h3 M4 17h3 M11 17h9 M15 5a2 2 0 1 0 0 4a2 2 0 0 0 0-4Z M9 15a2 2 0 1 0 0 4a2 2 0 0 0 0-4Z',
  leave: 'M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4 M4 12h11 M11 8l4 4l-4 4',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  download: 'M12 4v11 M7.5 11l4.5 4.5l4.5-4.5 M5 20h14',
  play: 'M8 5.5v13l11-6.5Z',
  close: 'M6 6l12 12 M18 6L6 18',
  files: 'M6 3h8l5 5v12a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Z M14 3v5h5 M9 13h6 M9 17h6',
  warning: 'M12 4L2.5 20h19Z M12 10v4 M12 17v.1',
  copy: 'M9 9h10v11H9Z M5 15V4h10',
  shield: 'M12 3l7 3v5c0 5-3 8.5-7 10c-4-1.5-7-5-7-10V6Z M9 12l2.2 2.2L15.5 10',
  upload: 'M12 20V8 M7.5 12.5L12 8l4.5 4.5 M5 4h14',
  offline: 'M3 3l18 18 M5 12a10 10 0 0 1 4-2.4 M2 8.5a15 15 0 0 1 4-2.6 M12 6a14 14 0 0 1 10 2.5 M14.5 10a10 10 0 0 1 4.5 2.3 M8.5 15.5a5 5 0 0 1 5.5-1 M12 19v.1',
};

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name] ?? '');
  svg.append(path);
  return svg;
}

/** Fill every `data-icon` placeholder of the page's markup. @param {ParentNode} [root] */
export function fillIcons(root = document) {
  for (const element of root.querySelectorAll('[data-icon]')) setIcon(element, element.getAttribute('data-icon') ?? '');
}

/** @param {Element} element @param {string} name */
export function setIcon(element, name) {
  if (element.getAttribute('data-shown') === name) return;
  element.setAttribute('data-shown', name);
  element.replaceChildren(icon(name));
}
