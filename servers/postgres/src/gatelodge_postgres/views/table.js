// Rows as a table: sorted by any column, searched, and drawn a part at a time, since a page of ten thousand rows is slow.

const PART = 200;
// Cells that are drawn at once: of very many columns only a few rows are.
const CELLS = 20000;
const SHORT = 240, LONG = 60;

function cell(value, column) {
  if (value === null) return make('td', { class: 'null ' + column.kind }, 'NULL');
  if (value === '') return make('td', { class: column.kind }, make('span', { class: 'null' }, 'empty'));
  const letters = Array.from(value);
  // A column of long values is wide, lest one of them fill the screen from top to bottom.
  const kind = column.kind + (letters.length > LONG ? ' long' : '');
  if (letters.length <= SHORT) return make('td', { class: kind }, value);
  const words = make('span', null, letters.slice(0, SHORT).join('') + '…');
  const more = button('show ' + counted(letters.length - SHORT) + ' more characters', () => {
    const open = more.getAttribute('aria-expanded') !== 'true';
    more.setAttribute('aria-expanded', String(open));
    words.textContent = open ? visible(value) : visible(letters.slice(0, SHORT).join('') + '…');
    more.textContent = open ? 'show less' : 'show ' + counted(letters.length - SHORT) + ' more characters';
  }, { class: 'plain link rest', 'aria-expanded': 'false' });
  return make('td', { class: kind }, words, more);
}

/** A table of rows. `view` keeps what a person chose: the column, the way, the words looked for, how much is drawn. */
function grid(columns, rows, first, view) {
  const wanted = view.find.toLowerCase();
  const order = (view.by < 0 ? rows.map((_, at) => at) : sorted(rows, view.by, columns[view.by].kind, view.down))
    .filter(at => !wanted || rows[at].some(value => value !== null && value.toLowerCase().includes(wanted)));
  const body = make('tbody', null);
  const size = Math.max(5, Math.min(PART, Math.floor(CELLS / columns.length)));
  let drawn = 0;
  const box = make('div', { class: 'grid', tabindex: '0', role: 'region', 'aria-label': 'Rows' });
  const more = button('', () => drawPart(true));
  function drawPart(asked) {
    const part = order.slice(drawn, drawn + size);
    body.append(...part.map(at => make('tr', null, make('th', { class: 'row', scope: 'row' }, first + at + 1),
      columns.map((column, place) => cell(rows[at][place], column)))));
    drawn += part.length;
    more.hidden = drawn >= order.length;
    more.textContent = 'Draw ' + counted(Math.min(size, order.length - drawn)) + ' more of ' + counted(order.length);
    if (asked) say('Drawn: ' + counted(drawn) + ' of ' + plural(order.length, 'row') + '.');
  }
  const heads = columns.map((column, place) => {
    const chosen = view.by === place;
    const turn = button([column.name, make('span', { class: 'arrow', 'aria-hidden': 'true' }, chosen ? (view.down ? '\u2193' : '\u2191') : '')], () => view.sort(place), { class: 'plain' });
    turn.append(make('span', { class: 'type' }, column.type + (column.masked ? ', masked' : '') + (column.cut ? ', cut' : '')));
    return make('th', { scope: 'col', class: column.kind === 'number' ? 'number' : null, 'aria-sort': chosen ? (view.down ? 'descending' : 'ascending') : 'none' }, turn);
  });
  drawPart(false);
  box.append(make('table', null, make('caption', { class: 'sr' }, 'Rows of the query; each heading sorts by its column'),
    make('thead', null, make('tr', null, make('th', { class: 'row', scope: 'col' }, make('span', { class: 'sr' }, 'Row')), heads)), body));
  const none = order.length ? null : make('p', { class: 'quiet' }, rows.length ? 'No row has these words.' : 'No rows.');
  return { parts: [none || box, more], found: order.length };
}
