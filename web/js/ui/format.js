/** Numbers as people read them. Pure functions. */

/** `m:ss` or `h:mm:ss`. @param {number} ms */
export function clockTime(ms) {
  const total = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const ss = String(seconds).padStart(2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${ss}` : `${minutes}:${ss}`;
}

/** `m:ss.d`: lengths of files. @param {number} ms */
export function lengthTime(ms) {
  const tenths = Math.round(ms / 100);
  return `${clockTime(tenths * 100)}.${tenths % 10}`;
}

/** `m:ss.mmm`: offsets on the timeline. @param {number} ms */
export function preciseTime(ms) {
  const rounded = Math.round(ms);
  return `${clockTime(rounded)}.${String(((rounded % 1000) + 1000) % 1000).padStart(3, '0')}`;
}

/** Milliseconds of `ss`, `m:ss` or `h:mm:ss`, with a fraction or without; null: it is no time. @param {string} text */
export function parseTime(text) {
  const match = /^(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,5}(?:\.\d{1,3})?)$/.exec(text.trim());
  if (!match) return null;
  const [hours, minutes, seconds] = [Number(match[1] ?? 0), Number(match[2] ?? 0), Number(match[3])];
  return Math.round(((hours * 60 + minutes) * 60 + seconds) * 1000);
}

/** @param {number} ns */
export const nsToMs = (ns) => ns / 1e6;

/** Decimal units, as disks and networks count. @param {number} bytes */
export function byteSize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A rough time to wait: `20 s`, `3 min`, `1 h 10 min`. @param {number} seconds */
export function waitTime(seconds) {
  if (seconds < 55) return `${Math.max(1, Math.ceil(seconds / 5) * 5)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Initials for a tile without picture. @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ''].map((word) => [...(word ?? '')][0] ?? '');
  return letters.join('').toLocaleUpperCase() || '?';
}
