
// Elements and numbers as text. Texts of records become text nodes and nothing else.

const SVG = 'http://www.w3.org/2000/svg';

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

// A text from a record: isolated, so that letters of the other direction don't move their neighbours.
function shown(text) {
  return el('bdi', {}, text === '' ? '–' : text);
}

function button(label, action, attributes = {}) {
  const made = el('button', { type: 'button', ...attributes }, label);
  made.addEventListener('click', action);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

const counted = new Intl.NumberFormat('en-GB');

function count(number) {
  return counted.format(number);
}

function significant(value) {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function duration(micros) {
  if (micros === null || micros === NO_TIME) return '–';
  if (micros < 1e3) return `${micros} µs`;
  return micros < 1e6 ? `${significant(micros / 1e3)} ms` : `${significant(micros / 1e6)} s`;
}

function bytes(size) {
  if (size < 1e3) return `${size} B`;
  return size < 1e6 ? `${significant(size / 1e3)} kB` : `${significant(size / 1e6)} MB`;
}

// The first year that is written with more than four digits; a forged record may have the year before.
const FAR = 253402300800000;

// UTC: to the millisecond, or shorter.
function moment(milliseconds, length = 23) {
  return new Date(milliseconds).toISOString().slice(0, length + (milliseconds < FAR ? 0 : 3)).replace('T', ' ');
}

function table(caption, heads, rows, empty = 'None.') {
  if (!rows.length) return el('p', { class: 'none' }, empty);
  const head = heads.map(([name, kind]) => el('th', { scope: 'col', class: kind }, name));
  const body = rows.map((cells) => el('tr', {}, cells.map((cell, at) =>
    el(at ? 'td' : 'th', { scope: at ? null : 'row', class: heads[at][1] }, cell))));
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, head)), el('tbody', {}, body)));
}

// Replaces what is in a place, and keeps the focus on what has the same data-key.
function put(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...children);
  if (focused === undefined) return;
  [...place.querySelectorAll('[data-key]')].find((found) => found.dataset.key === focused)?.focus({ preventScroll: true });
}
