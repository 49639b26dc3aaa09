
// The list of calls: of any number, only those in sight are in the document.

const COLUMNS = [
  ['time', 'time (UTC)', true], ['server', 'server'], ['name', 'tool or resource'], ['principal', 'caller'], ['decision', 'decision'],
  ['status', 'outcome'], ['ms', 'took', true], ['bytes', 'result', true], ['label', 'label'],
];
const BEYOND = 8;
const PRINTED = 500;

class Table {
  constructor(place, state, open) {
    this.place = place;
    this.state = state;
    this.open = open;
    this.active = 0;
    this.body = el('tbody', {});
    this.heads = el('tr', {}, COLUMNS.map(([name, title, sorts]) => el('th', { scope: 'col', class: this.kind(name) },
      sorts ? button(title, () => this.sortBy(name)) : title)));
    this.table = el('table', { role: 'grid', 'aria-colcount': COLUMNS.length, 'aria-describedby': 'keys' },
      el('caption', {}, 'Calls'), el('thead', {}, this.heads), this.body);
    place.append(this.table);
    place.addEventListener('scroll', () => this.soon(), { passive: true });
    place.addEventListener('keydown', (event) => this.key(event));
    this.body.addEventListener('click', (event) => {
      const row = event.target.closest('tr[data-at]');
      if (row) { this.active = Number(row.dataset.at); this.open(this.active); }
    });
    new ResizeObserver(() => this.soon()).observe(place);
    this.paper = matchMedia('print');
    addEventListener('beforeprint', () => this.fill(0, PRINTED));
    addEventListener('afterprint', () => this.draw());
  }

  kind(name) {
    return `c-${name}${name === 'ms' || name === 'bytes' ? ' number' : ''}`;
  }

  get length() {
    return this.state.view.list.length;
  }

  height() {
    return parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row')) || 34;
  }

  soon() {
    this.waiting ??= requestAnimationFrame(() => { this.waiting = undefined; this.draw(); });
  }

  // After the filters have changed.
  renew() {
    this.active = 0;
    this.place.scrollTop = 0;
    this.draw();
  }

  sortBy(column) {
    const { sort } = this.state;
    this.state.sort = { column, down: sort.column === column ? !sort.down : true };
    this.state.order();
    this.renew();
  }

  draw() {
    // On paper the list is as high as what is in it, so its height says nothing of how much to draw.
    if (this.paper.matches) {
      this.fill(0, PRINTED);
      return;
    }
    const high = this.height();
    const first = Math.max(Math.floor(this.place.scrollTop / high) - BEYOND, 0);
    this.fill(first, Math.ceil(this.place.clientHeight / high) + 2 * BEYOND);
  }

  fill(first, number) {
    const last = Math.min(first + Math.min(number, PRINTED), this.length);
    byId('printed').textContent = this.length > PRINTED ? `The first ${PRINTED} of ${count(this.length)} calls.` : '';
    const focused = this.body.contains(document.activeElement);
    const rows = [];
    for (let at = first; at < last; at += 1) rows.push(this.row(at));
    const high = this.height();
    this.body.replaceChildren(this.space(first * high), ...rows, this.space(Math.max(this.length - last, 0) * high));
    this.table.setAttribute('aria-rowcount', this.length + 1);
    COLUMNS.forEach(([name, , sorts], at) => {
      if (!sorts) return;
      const { sort } = this.state;
      this.heads.children[at].setAttribute('aria-sort', sort.column !== name ? 'none' : sort.down ? 'descending' : 'ascending');
    });
    // Whoever scrolls away from the row they were on is still in the list.
    if (focused) (this.element(this.active) ?? this.place).focus({ preventScroll: true });
  }

  space(height) {
    // One cell: more would be columns of their own where some are hidden.
    const cell = el('td', {});
    cell.style.height = `${height}px`;
    return el('tr', { class: 'space', 'aria-hidden': 'true', hidden: !height }, cell);
  }

  element(at) {
    return this.body.querySelector(`tr[data-at="${at}"]`);
  }

  row(at) {
    const { data } = this.state;
    const row = this.state.view.list[at];
    const text = (name) => shown(textOf(data, name, row));
    const status = textOf(data, 'status', row);
    const narrow = innerWidth <= 704;
    const kind = OUTCOMES[OUTCOME_OF.get(status) ?? 3];
    const doubt = !data.col.proven[row];
    const times = data.col.alike[row] > 1 ? ` ×${count(data.col.alike[row])}` : '';
    const cells = {
      time: moment(data.col.time[row]).slice(narrow ? 5 : 0, narrow ? 16 : 23),
      server: text('server'), name: text('name'), principal: text('principal'), decision: text('decision'),
      status: el('span', { class: `badge is-${kind}` }, doubt ? `⚠ ${status}, in doubt` : status + times),
      ms: duration(data.col.micros[row]), bytes: status === 'refused' ? '–' : bytes(data.col.result_bytes[row]), label: text('label'),
    };
    return el('tr', { 'data-at': at, 'aria-rowindex': at + 2, tabindex: at === this.active ? '0' : '-1', class: doubt && 'doubt' },
      COLUMNS.map(([name]) => el('td', { class: this.kind(name) }, cells[name])));
  }

  key(event) {
    if (event.target.closest('thead') || event.altKey || event.ctrlKey || event.metaKey || !this.length) return;
    const page = Math.max(Math.floor(this.place.clientHeight / this.height()) - 2, 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.length, End: this.length };
    if (event.key === 'Enter' || event.key === ' ') {
      this.open(this.active);
    } else if (event.key in steps) {
      const within = this.body.contains(document.activeElement);
      // The first key goes to the row that is marked; from there on they move.
      this.go(within ? this.active + steps[event.key] : this.active);
    } else {
      return;
    }
    event.preventDefault();
  }

  go(at) {
    this.active = Math.min(Math.max(at, 0), this.length - 1);
    const high = this.height();
    const head = this.heads.getBoundingClientRect().height;
    const top = this.active * high;
    const most = this.place.clientHeight - head - high;
    if (top < this.place.scrollTop) this.place.scrollTop = top;
    else if (top > this.place.scrollTop + most) this.place.scrollTop = top - most;
    this.draw();
    this.element(this.active)?.focus({ preventScroll: true });
  }
}
