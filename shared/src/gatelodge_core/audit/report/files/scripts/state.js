
// Which calls are wanted, and which those are.

const FACETS = ['server', 'place', 'principal', 'decision', 'status', 'effect', 'label', 'reason'];
const TITLES = {
  server: 'Server', place: 'Tool', principal: 'Caller', decision: 'Decision', status: 'Outcome', effect: 'Effect',
  label: 'Label of the answer', reason: 'Reason',
};
const SEARCHED = [
  'server', 'kind', 'name', 'principal', 'client', 'decision', 'status', 'effect', 'reach', 'label', 'reason', 'rule',
  'answer', 'wire', 'file',
];
const TEXT = 1 << FACETS.length;
const TIME = TEXT << 1;
const EDGE = TIME << 1;

class State {
  constructor(data) {
    this.data = data;
    this.sort = { column: 'time', down: true };
    // Each distinct sink, and the number of its server, place and trait.
    this.sinks = [];
    this.sinkOf = new Uint32Array(data.count);
    this.lower = {};
    this.clear();
    this.nameSinks();
  }

  clear() {
    this.chosen = Object.fromEntries(FACETS.map((name) => [name, new Set()]));
    this.from = -Infinity;
    this.to = Infinity;
    this.edge = null;
    this.query = '';
    this.found = null;
  }

  nameSinks() {
    const { data } = this;
    const known = new Map();
    for (let row = 0; row < data.count; row += 1) {
      const trait = textOf(data, 'sink', row);
      if (trait) {
        const key = `${data.col.server[row]} ${data.col.place[row]} ${data.col.sink[row]}`;
        if (!known.has(key)) {
          known.set(key, this.sinks.length);
          this.sinks.push([textOf(data, 'server', row), textOf(data, 'place', row), trait]);
        }
        this.sinkOf[row] = known.get(key);
      }
    }
  }

  search(query) {
    this.query = query.trim();
    const words = this.query.toLowerCase().split(/\s+/u).filter(Boolean);
    this.found = words.length ? words.map((word) => this.rowsWith(word)) : null;
  }

  // One byte for each row: whether any of its texts has the word in it.
  rowsWith(word) {
    const { data } = this;
    const rows = new Uint8Array(data.count);
    for (const name of SEARCHED) {
      this.lower[name] ??= data.texts[name].map((text) => text.toLowerCase());
      const hits = Uint8Array.from(this.lower[name], (text) => (text.includes(word) ? 1 : 0));
      if (hits.includes(1)) {
        const column = data.col[name];
        for (let row = 0; row < rows.length; row += 1) rows[row] |= hits[column[row]];
      }
    }
    if (/^[0-9a-f]{4,12}$/u.test(word)) {
      const start = Array.from({ length: word.length >> 1 }, (_, at) => parseInt(word.substr(at * 2, 2), 16));
      for (let row = 0; row < rows.length; row += 1) {
        if (start.every((byte, at) => data.col.digest[row * 6 + at] === byte)) rows[row] = 1;
      }
    }
    return rows;
  }

  // For each row, a bit for each filter that leaves it out.
  misses() {
    const { data } = this;
    const misses = new Uint16Array(data.count);
    FACETS.forEach((name, bit) => {
      const chosen = this.chosen[name];
      if (!chosen.size) return;
      const column = data.col[name];
      for (let row = 0; row < misses.length; row += 1) if (!chosen.has(column[row])) misses[row] |= 1 << bit;
    });
    for (const rows of this.found ?? []) {
      for (let row = 0; row < misses.length; row += 1) if (!rows[row]) misses[row] |= TEXT;
    }
    const { time } = data.col;
    if (this.from > -Infinity || this.to < Infinity) {
      for (let row = 0; row < misses.length; row += 1) if (time[row] < this.from || time[row] >= this.to) misses[row] |= TIME;
    }
    if (this.edge) {
      const has = data.sets.map((set) => set.includes(this.edge.source));
      for (let row = 0; row < misses.length; row += 1) {
        if (!has[data.col.flow[row]] || this.sinkOf[row] !== this.edge.sink) misses[row] |= EDGE;
      }
    }
    return misses;
  }

  // The rows that no filter leaves out, and for each facet the counts of its values, its own filter aside.
  compute() {
    const { data } = this;
    const misses = this.misses();
    const rows = new Uint32Array(data.count);
    let length = 0;
    for (let row = 0; row < misses.length; row += 1) if (!misses[row]) rows[length++] = row;
    const counts = {};
    FACETS.forEach((name, bit) => {
      const column = data.col[name];
      const found = new Uint32Array(data.texts[name].length);
      const others = ~(1 << bit);
      for (let row = 0; row < misses.length; row += 1) if (!(misses[row] & others)) found[column[row]] += 1;
      counts[name] = found;
    });
    this.view = { rows: rows.subarray(0, length), misses, counts };
    this.order();
    return this.view;
  }

  // The rows in the order of the list.
  order() {
    const { column, down } = this.sort;
    const values = { time: null, ms: this.data.col.micros, bytes: this.data.col.result_bytes }[column];
    const list = this.view.rows.slice();
    // A call without an outcome has no duration: the last, whichever way.
    const value = (row) => (values[row] === NO_TIME ? (down ? -1 : NO_TIME) : values[row]);
    if (values) list.sort((one, other) => value(one) - value(other) || one - other);
    this.view.list = down ? list.reverse() : list;
  }
}
