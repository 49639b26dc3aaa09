// Building the page. All that came from outside is text: nothing here, and nothing in any view, reads markup or sets an
// address, so that a value can be no more than what is seen of it.

const SVG = 'http:/' + '/www.w3.org/2000/svg';
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const ALLOWED = /^(?:aria-[a-z]+|class|colspan|d|data-[a-z]+|dir|disabled|for|height|id|label|lang|open|placeholder|points|role|rows|scope|span|tabindex|text-anchor|title|transform|type|value|viewBox|width|x|x1|x2|y|y1|y2|r|cx|cy|rx|checked|name|preserveAspectRatio|selected)$/;

/** A text in which nothing is hidden: controls and marks of direction become their code points. */
const visible = text => String(text).replace(HIDDEN, found =>
  '\u27e6U+' + found.codePointAt(0).toString(16).toUpperCase().padStart(4, '0') + '\u27e7');

/** At most so many letters of a text. */
function clipped(words, most) {
  // Of megabytes only the beginning is taken apart.
  const letters = Array.from(words.slice(0, 2 * most + 2));
  return letters.length > most ? letters.slice(0, most - 1).join('') + '…' : words;
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (!ALLOWED.test(name)) throw new TypeError('not an attribute of a view: ' + name);
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : visible(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === '') continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return element;
}

const make = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

/** What a click does that decides something. The later ones of a double click don't: by then another button may stand there. */
const once = act => event => { if (event.detail < 2) act(); };

function button(label, act, attributes) {
  const made = make('button', { type: 'button', ...attributes }, label);
  made.addEventListener('click', act);
  return made;
}

/** Put children in the place of all that an element holds. */
const fill = (element, ...children) => element.replaceChildren(...children.flat().filter(child => child instanceof Node));

/** An amount for people; of one with hundreds of digits, its size. */
const counted = value => Math.abs(number(value)) < 1e15 ? number(value).toLocaleString('en-GB') : number(value).toExponential(1);
const plural = (count, word) => counted(count) + ' ' + word + (count === 1 ? '' : 's');

const list = value => Array.isArray(value) ? value : [];
const table = value => value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
const text = value => typeof value === 'string' ? value : '';
const number = value => typeof value === 'number' && Number.isFinite(value) ? value : 0;

/** A number that counts something. */
const whole = value => Math.max(0, Math.trunc(number(value)));

/** The texts of a result, out of the envelopes that mark them for a model as written by others. */
function textOf(result) {
  return list(table(result).content).filter(block => table(block).type === 'text').map(block => {
    const found = /^<untrusted-([0-9a-f]{16,64}) source="[^"]*">\n([\s\S]*)\n<\/untrusted-\1>$/.exec(text(block.text));
    return found ? found[2] : text(block.text);
  }).join('\n');
}

/** Give the focus to an element, or to what stands in for it once it is gone: who works by keyboard must not begin anew. */
function refocus(element, instead) {
  const found = element && element.isConnected && !element.disabled ? element : instead;
  if (found === instead) found.tabIndex = -1;
  found.focus();
}

/** Tell a person, and a screen reader, what came of something. */
function say(words, bad) {
  const said = document.getElementById('said');
  said.className = bad ? 'bad' : 'quiet';
  said.setAttribute('role', bad ? 'alert' : 'status');
  said.textContent = visible(clipped(words, 2000));
}
