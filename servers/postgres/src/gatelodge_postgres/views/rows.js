// A query's result: the table, the chart where the columns make one, what was cut and why, and the rows that follow.

let given = {};
const now = { rows: [], columns: [], by: -1, down: false, find: '', tab: 'table', height: 0, data: {}, missing: 0 };

function facts() {
  const { data, rows, missing } = now, end = whole(data.skip) + whole(data.shown);
  const words = [data.more ? 'First ' + plural(end, 'row') + ', more follow' : plural(end, 'row'), counted(whole(data.ms)) + ' ms'];
  const notes = [];
  if (data.more && data.stopped_by === 'bytes') notes.push('The answer stopped at its limit of bytes.');
  if (missing) notes.push(plural(missing, 'row') + ' were too large for this view; the answer itself has them.');
  const cut = now.columns.filter(column => column.cut).map(column => column.name);
  if (cut.length) notes.push('Values of ' + cut.join(', ') + ' are cut after ' + plural(whole(data.limit), 'character') + ' and end with …');
  const masked = now.columns.filter(column => column.masked).map(column => column.name);
  if (masked.length) notes.push('Masked: ' + masked.join(', ') + '.');
  notes.push(...list(data.notices).map(notice => 'Notice: ' + text(notice)));
  return [make('div', { class: 'facts' }, make('h1', null, words[0]), make('span', { class: 'small quiet' }, words.slice(1).join(' · ')),
    rows.length !== end && !missing ? make('span', { class: 'small quiet' }, counted(rows.length) + ' here') : null),
    ...notes.map(note => make('p', { class: 'note small' }, note))];
}

function query() {
  if (!text(given.sql)) return null;
  return make('details', { class: 'small' }, make('summary', null, 'SQL'), make('pre', { class: 'sql', tabindex: '0' }, given.sql));
}

function tabs(plotted) {
  const names = [['table', 'Table'], ['chart', 'Chart']];
  const made = names.map(([name, label]) => button(label, () => { now.tab = name; render('tab-' + name); },
    { role: 'tab', id: 'tab-' + name, 'aria-selected': String(now.tab === name), 'aria-controls': 'panel', tabindex: now.tab === name ? '0' : '-1' }));
  const box = make('div', { role: 'tablist', 'aria-label': 'How to see the rows' }, made);
  box.addEventListener('keydown', event => {
    if (event.key !== 'ArrowRight' && event.key !== 'ArrowLeft') return;
    now.tab = now.tab === 'table' ? 'chart' : 'table';
    render('tab-' + now.tab);
  });
  return plotted ? box : null;
}

function heights(plotted) {
  if (plotted.heights.length < 2) return null;
  const select = make('select', { id: 'drawn', 'aria-label': 'Column to draw' },
    plotted.heights.map((column, at) => make('option', { value: String(at), selected: at === now.height },
      now.columns.findIndex(one => one.name === column.name) === column.at ? column.name : column.name + ' (column ' + (column.at + 1) + ')')));
  select.addEventListener('change', () => { now.height = Number(select.value); render('drawn'); });
  return select;
}

function search(panel) {
  if (now.rows.length < 8) return null;
  const input = make('input', { type: 'search', placeholder: 'Find in rows', 'aria-label': 'Find in rows', value: now.find });
  input.addEventListener('input', () => {
    now.find = input.value;
    const { parts, found } = madeGrid();
    fill(panel, ...parts);
    say(now.find ? plural(found, 'row') + ' with these words.' : '');
  });
  return input;
}

const madeGrid = () => grid(now.columns, now.rows, whole(now.first), { ...now, sort });

function sort(column) {
  now.down = now.by === column && !now.down;
  now.by = column;
  render();
  document.querySelectorAll('.grid thead th:not(.row) button')[column].focus();
  say('Sorted by ' + now.columns[column].name + (now.down ? ', largest first.' : ', smallest first.'));
}

async function following() {
  const asked = now.data;
  now.go.disabled = true;
  say('Asking for the rows that follow…');
  try {
    const result = await host.call('run_query', { ...given, cursor: text(asked.cursor) });
    // They belong to a result that is not shown any more.
    if (now.data !== asked) return;
    const before = now.rows.length;
    if (!take(result, false)) throw new Error('the answer has no rows for this view');
    render('more');
    say(plural(now.rows.length - before, 'row') + ' more.');
  } catch (error) {
    if (now.data !== asked) return;
    say('The rows did not come. ' + error.message, true);
    now.go.disabled = false;
  }
}

function render(focus) {
  const plotted = charted(now.columns, now.rows);
  const drawing = plotted && now.tab === 'chart' ? chart(now.rows, plotted.along, plotted.heights[now.height] || plotted.heights[0], plotted.form) : null;
  if (!plotted) now.tab = 'table';
  const panel = make('div', { id: 'panel', class: 'stack', role: plotted ? 'tabpanel' : null, 'aria-labelledby': plotted ? 'tab-' + now.tab : null });
  if (now.tab === 'chart') panel.append(drawing || make('p', { class: 'quiet' }, 'Too few values to draw.'));
  else panel.append(...madeGrid().parts);
  now.go = now.data.more && host.calls && !now.missing ? button('Get more rows', following, { id: 'more' }) : null;
  fill(now.root, ...facts(), make('div', { class: 'tools' }, tabs(plotted), now.tab === 'chart' ? heights(plotted) : search(panel)),
    panel, now.go, query());
  if (focus) refocus(document.getElementById(focus), panel);
}

const names = columns => JSON.stringify(columns.map(column => [column.name, column.kind]));

function take(result, anew) {
  const data = table(table(result._meta)[SHOWN]);
  if (data.kind !== 'rows' || !Array.isArray(data.rows)) return false;
  const columns = list(data.columns).map(column => ({ ...table(column), name: text(table(column).name), type: text(table(column).type), kind: text(table(column).kind) || 'text' }));
  if (!columns.length) return false;
  const rows = data.rows.map(row => columns.map((_, at) => { const value = list(row)[at]; return typeof value === 'string' ? value : null; }));
  if (!anew && names(columns) !== names(now.columns)) throw new Error('They have other columns by now: ask anew.');
  if (anew) Object.assign(now, { rows: [], by: -1, down: false, find: '', tab: 'table', height: 0, first: data.skip });
  now.rows = now.rows.concat(rows);
  now.columns = columns;
  now.data = data;
  now.missing = Math.max(0, whole(data.shown) - rows.length);
  return true;
}

// A chart is drawn for one width; the table finds its own.
let width = 0;
window.addEventListener('resize', () => {
  if (now.root && now.tab === 'chart' && Math.abs(window.innerWidth - width) > 40) render();
  width = window.innerWidth;
});

host.start({
  input(arguments_) {
    given = arguments_;
  },
  result(found) {
    if (!take(found, true)) return null;
    now.root = make('div', { class: 'stack' });
    // The table needs its place in the page for focus alone; it is drawn before.
    render();
    return now.root;
  },
});
