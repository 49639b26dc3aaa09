// A change as a diff. Hunks of a preview are accepted by calling edit_file through the host with the edits of those hunks
// and the etag of the version that was previewed: the server judges that call as any other.

const SIGNS = new Map([['+', ['plus', 'added']], ['-', ['minus', 'removed']], [' ', ['same', '']]]);
let state = null;

const points = words => Array.from(text(words)).length;
const placed = edit => [edit.start_line, edit.end_line].every(line => Number.isSafeInteger(line) && line >= 0);

/** Whether the edits of a hunk came as they were sent, each at its lines: what is masked or made visible on the way has another length. */
const intact = hunk => list(hunk.edits).length > 0 && list(hunk.edits).map(table).every(placed)
  && list(hunk.edits).reduce((sum, edit) => sum + points(edit.old) + points(edit.new), 0) === number(hunk.characters)
  && !list(hunk.edits).some(edit => /\[redacted: /.test(text(edit.old) + text(edit.new)));

function lines(hunk, name) {
  const rows = list(hunk.lines).map(([mark, before, after, words]) => {
    const [kind, spoken] = SIGNS.get(mark) || SIGNS.get(' ');
    return make('tr', { class: kind },
      make('td', { class: 'place old' }, number(before) || ''),
      make('td', { class: 'place new' }, number(after) || ''),
      make('td', { class: 'sign' }, make('span', { 'aria-hidden': 'true' }, mark === '-' ? '\u2212' : mark === '+' ? '+' : '\u00a0'), spoken && make('span', { class: 'sr' }, spoken)),
      make('td', { class: 'code' }, text(words)));
  });
  return make('div', { class: 'lines', tabindex: '0', role: 'region', 'aria-label': name }, make('table', null, make('tbody', null, rows)));
}

/** Where it is, by the lines of the file as it was; of what only adds, by those it gets. */
function place(hunk) {
  const of = (mark, at) => list(hunk.lines).filter(line => line[0] === mark).map(line => number(line[at]));
  const removed = of('-', 1), changed = removed.length ? removed : of('+', 2);
  const first = changed[0], last = changed[changed.length - 1];
  return !changed.length ? 'line ?' : first === last ? 'line ' + first : 'lines ' + first + ' to ' + last;
}

function drawn(hunk, at) {
  const name = 'Change ' + (at + 1) + ', ' + place(hunk);
  const box = make('section', { class: 'hunk', 'data-state': hunk.state, 'aria-label': name });
  const head = make('header', null);
  if (hunk.state === 'open' || hunk.state === 'left') {
    const tick = make('input', { type: 'checkbox', checked: hunk.state === 'open', id: 'hunk' + at });
    tick.addEventListener('change', () => {
      hunk.state = tick.checked ? 'open' : 'left';
      box.dataset.state = hunk.state;
      count();
    });
    head.append(make('label', { for: 'hunk' + at }, tick, name));
  } else {
    head.append(make('strong', null, name));
    if (hunk.state === 'done') head.append(make('span', { class: 'tag good' }, 'accepted'));
    if (hunk.state === 'fixed') head.append(make('span', { class: 'small quiet' }, 'Some of it is hidden or masked here, so it cannot be accepted alone.'));
  }
  box.append(head, lines(hunk, name));
  return box;
}

function count() {
  if (state.back) state.back.disabled = state.busy;
  if (!state.go) return;
  const open = state.hunks.filter(hunk => hunk.state === 'open').length;
  state.go.disabled = state.busy || !open;
  const all = open > 1 && open === state.hunks.length ? 'all ' : '';
  state.go.textContent = state.busy ? 'Asking\u2026' : 'Accept ' + all + plural(open, 'change');
}

/** Mark that a call is under way, or is over; there is one at a time, since each needs the version that the last one made. */
function busy(mine, now) {
  mine.busy = now;
  // Another result may have come meanwhile, and be what is shown.
  if (mine !== state) return;
  if (now) return count();
  render();
  refocus(document.querySelector('.acts button:not(:disabled)'), state.root);
}

/** What a failure says of the file: only the server knows that it is as it was. */
const failed = (error, certain, unsure) =>
  error.from === 'server' ? certain + ' ' + error.message
    : error.from === 'host' ? 'Nothing counts as changed. The host says: ' + error.message
      : unsure + ' ' + error.message + ' Look at the file first.';

/** The edits of hunks, by the lines that the file has now that others were accepted. */
function edits(chosen, shifts) {
  return chosen.flatMap(hunk => list(hunk.edits).map(edit => {
    const shift = shifts.filter(one => one.before < edit.start_line).reduce((sum, one) => sum + one.by, 0);
    return { start_line: edit.start_line + shift, end_line: edit.end_line + shift, old: text(edit.old), new: text(edit.new) };
  }));
}

const ends = words => text(words).split('\n').length - 1 + (text(words) && !text(words).endsWith('\n') ? 1 : 0);

async function accept() {
  const mine = state, chosen = mine.hunks.filter(hunk => hunk.state === 'open');
  busy(mine, true);
  say('The host passes the change on; it may ask you first.');
  try {
    const result = await host.call('edit_file', { path: mine.path, edits: edits(chosen, mine.shifts), if_match: mine.etag });
    const made = table(table(result._meta)[SHOWN]);
    for (const hunk of chosen) {
      hunk.state = 'done';
      for (const edit of list(hunk.edits)) mine.shifts.push({ before: edit.start_line, by: ends(edit.new) - ends(edit.old) });
    }
    // Without its etag the rest could not be told from a change that others made meanwhile.
    mine.etag = text(made.etag);
    if (!mine.etag) mine.hunks.filter(hunk => hunk.state !== 'done').forEach(hunk => { hunk.state = 'closed'; });
    mine.undo = text(made.change);
    say('Accepted ' + plural(chosen.length, 'change') + ' of ' + mine.path + '.' + (mine.undo ? ' It can be undone: change ' + mine.undo + '.' : ''));
  } catch (error) {
    say(failed(error, 'Nothing was changed.', 'It is not known whether the file was changed.'), true);
  }
  busy(mine, false);
}

async function undo() {
  const mine = state;
  busy(mine, true);
  try {
    await host.call('undo_change', { change: mine.undo });
    mine.hunks.forEach(hunk => { hunk.state = 'closed'; });
    say('The last change was undone.');
    mine.undo = '';
  } catch (error) {
    say(failed(error, 'It was not undone.', 'It is not known whether it was undone.'), true);
  }
  busy(mine, false);
}

function head() {
  const done = state.done || state.hunks.some(hunk => hunk.state === 'done');
  return make('div', { class: 'bar' },
    make('h1', { class: 'mono' }, state.path),
    make('span', { class: 'good', 'aria-label': plural(state.added, 'line') + ' added' }, '+' + counted(state.added)),
    make('span', { class: 'bad', 'aria-label': plural(state.removed, 'line') + ' removed' }, '\u2212' + counted(state.removed)),
    make('span', { class: 'tag' }, state.done ? 'changed' : done ? 'partly accepted' : 'preview'));
}

function foot() {
  const acts = [];
  state.go = state.back = null;
  const open = state.hunks.some(hunk => hunk.state === 'open' || hunk.state === 'left');
  if (open) {
    state.go = button('', once(accept), { class: 'main' });
    acts.push(state.go);
  }
  if (state.undo && host.calls) {
    state.back = button('Undo', once(undo));
    acts.push(state.back);
  }
  count();
  return acts.length ? make('div', { class: 'acts bar' }, acts) : null;
}

function why() {
  if (state.done || !state.hunks.length) return null;
  if (!host.calls) return 'This host shows the change, but passes no calls on: ask for it to be made.';
  if (state.whole) return 'It can only be made whole, since ' + state.whole + '.';
  return null;
}

function render() {
  const reason = why();
  fill(state.root, head(),
    reason ? make('p', { class: 'note small' }, reason) : null,
    ...state.notes.map(note => make('p', { class: 'note small' }, note)),
    ...state.hunks.map(drawn),
    state.left ? make('p', { class: 'small quiet' }, plural(state.left, 'more change') + ' not shown here.') : null,
    foot());
}

host.start({
  result(found) {
    const data = table(table(found._meta)[SHOWN]);
    if (data.kind !== 'diff') return null;
    const offered = !data.done && !text(data.whole) && host.calls;
    state = {
      root: make('div', { class: 'stack' }), shifts: [], busy: false, done: data.done === true, path: text(data.path),
      etag: text(data.base), undo: text(data.change), added: whole(data.added), removed: whole(data.removed),
      whole: text(data.whole), left: whole(data.left), notes: list(data.notes).map(text),
      hunks: list(data.hunks).map(hunk => ({ ...table(hunk), state: offered ? intact(table(hunk)) ? 'open' : 'fixed' : 'closed' })),
    };
    render();
    return state.root;
  },
});
