
// From source to sink: what a caller had read before calls that change or send something.

const SPOTS = 12;
const LINE = 36;
const THICK = 110;
const TOP = 24;

class Flows {
  constructor(place, list, state, changed) {
    this.place = place;
    this.list = list;
    this.state = state;
    this.changed = changed;
    new ResizeObserver(() => this.picture()).observe(place);
  }

  // Each pair of source and sink with its counts.
  count() {
    const { data, view, sinkOf } = this.state;
    const { flow, status, decision } = data.col;
    const refused = data.texts.status.indexOf('refused');
    const confirm = data.texts.decision.indexOf('confirm');
    const sets = new Map();
    const wide = Math.max(this.state.sinks.length, 1);
    for (let row = 0; row < data.count; row += 1) {
      if (flow[row] && !(view.misses[row] & ~EDGE)) {
        const key = flow[row] * wide + sinkOf[row];
        let counts = sets.get(key);
        if (!counts) sets.set(key, counts = [0, 0, 0]);
        counts[status[row] === refused ? 2 : decision[row] === confirm ? 1 : 0] += 1;
      }
    }
    const edges = new Map();
    for (const [key, counts] of sets) {
      const sink = key % wide;
      for (const source of data.sets[Math.floor(key / wide)]) {
        const name = source * wide + sink;
        const edge = edges.get(name) ?? { source, sink, counts: [0, 0, 0] };
        counts.forEach((number, at) => { edge.counts[at] += number; });
        edges.set(name, edge);
      }
    }
    const size = (edge) => edge.counts[0] + edge.counts[1] + edge.counts[2];
    return [...edges.values()].map((edge) => ({ ...edge, size: size(edge) })).sort((one, other) => other.size - one.size);
  }

  draw() {
    this.edges = this.count();
    this.picture();
    this.rows();
  }

  // What it is about: private text that left, or others' text before something that matters.
  kind(edge) {
    const source = this.state.data.sources[edge.source][2];
    const sink = this.state.sinks[edge.sink][2];
    if (source.includes('private') && sink.includes('external')) return 'leak';
    return source.includes('untrusted') && /destroy|external/u.test(sink) ? 'sway' : 'plain';
  }

  picture() {
    if (!this.edges?.length) {
      this.place.replaceChildren(el('p', { class: 'none' }, 'No call that changes or sends something came after a labelled read here.'));
      return;
    }
    const { data, sinks } = this.state;
    const width = Math.max(this.place.clientWidth, 280);
    const side = Math.min(width * 0.36, 260);
    const [left, right] = ['source', 'sink'].map((end) => this.largest(end));
    const drawn = this.edges.filter((edge) => left.has(edge.source) && right.has(edge.sink));
    const sum = (list) => list.reduce((one, edge) => one + edge.size, 0);
    // The thickest place is as thick as its neighbours' names allow.
    const scale = THICK / Math.max(...[...left].map((spot) => sum(drawn.filter((edge) => edge.source === spot))),
      ...[...right].map((spot) => sum(drawn.filter((edge) => edge.sink === spot))), 1);
    const thick = (edge) => Math.max(edge.size * scale, 1.25);
    const ends = [['source', left, 'sink', right], ['sink', right, 'source', left]].map(([end, list, far, others]) =>
      this.column(drawn, end, list, far, [...others], thick));
    const height = Math.max(...ends.map((end) => end.height)) + TOP;
    const [down, up] = ends.map((end) => TOP + (height - TOP - end.height) / 2);
    const paths = drawn.map((edge) => {
      const [from, to, middle] = [down + ends[0].at.get(edge), up + ends[1].at.get(edge), width / 2];
      const text = `${data.sources[edge.source][1]} → ${sinks[edge.sink][1]}: ${edge.counts[0]} passed, ${edge.counts[1]} asked, ${edge.counts[2]} stopped`;
      return svg('path', {
        class: `flow ${this.kind(edge)}${edge.size === edge.counts[2] ? ' stopped' : ''}`,
        d: `M${side + 5} ${from}C${middle} ${from} ${middle} ${to} ${width - side - 5} ${to}`,
        'stroke-width': thick(edge),
      }, svg('title', {}, text));
    });
    const spots = [[ends[0], data.sources, side, false, down], [ends[1], sinks, width - side, true, up]].map(([end, known, x, isSink, top]) =>
      [...end.spots].map(([spot, { y, size }]) => this.spot(known[spot], x, top + y, size, isSink, side)));
    const hidden = this.edges.length - drawn.length;
    this.place.replaceChildren(
      svg('svg', { viewBox: `0 0 ${width} ${height}`, height, role: 'img', 'aria-label': `${drawn.length} flows; the table below has them in words.` },
        svg('text', { x: side, y: 12, 'text-anchor': 'end' }, 'what was read'),
        svg('text', { x: width - Math.max(side, 140), y: 12 }, 'what was then called'), paths, spots),
      el('p', { class: 'legend' }, ...[['is-refused', 'private, then out of this machine'], ['is-error', 'written by others, then destroyed or sent'], ['is-ok', 'others']].map(([kind, text]) =>
        el('span', {}, el('span', { class: `swatch ${kind}`, 'aria-hidden': 'true' }), text)), el('span', {}, 'dashed: all of it was stopped'),
        ...(hidden > 0 ? [el('span', {}, `${count(hidden)} thinner ones are not drawn`)] : [])));
  }

  largest(end) {
    const sums = new Map();
    for (const edge of this.edges) sums.set(edge[end], (sums.get(edge[end]) ?? 0) + edge.size);
    return new Set([...sums].sort(([, one], [, other]) => other - one).slice(0, SPOTS).map(([spot]) => spot));
  }

  // Where the places of one side are, and where on them each flow ends: one below the other, as the far side has them.
  column(drawn, end, list, far, others, thick) {
    const [at, spots] = [new Map(), new Map()];
    let height = 0;
    for (const spot of list) {
      const edges = drawn.filter((edge) => edge[end] === spot);
      edges.sort((one, other) => others.indexOf(one[far]) - others.indexOf(other[far]));
      const size = edges.reduce((sum, edge) => sum + thick(edge), 0);
      const room = Math.max(size + 8, LINE);
      let y = height + (room - size) / 2;
      for (const edge of edges) {
        at.set(edge, y + thick(edge) / 2);
        y += thick(edge);
      }
      spots.set(spot, { y: height + room / 2, size: Math.max(size, 6) });
      height += room;
    }
    return { at, spots, height };
  }

  // As much of a text as there is room for.
  fitted(text, room) {
    this.pen ??= document.createElement('canvas').getContext('2d');
    this.pen.font = `13px ${getComputedStyle(document.body).fontFamily}`;
    if (this.pen.measureText(text).width <= room) return text;
    const letters = [...text].slice(0, 100);
    while (letters.length > 1 && this.pen.measureText(`${letters.join('')}…`).width > room) letters.pop();
    return `${letters.join('')}…`;
  }

  spot([server, name, trait], x, y, size, isSink, side) {
    const cut = (text) => this.fitted(text, side - 16);
    const at = x + (isSink ? 14 : -14);
    const kind = isSink ? '' : trait.includes('private') ? ' private' : ' untrusted';
    return svg('g', {}, svg('title', {}, `${server} ${name} (${trait})`),
      svg('rect', { class: `spot${kind}`, x: x - 4, y: y - size / 2, width: 8, height: size, rx: 2 }),
      svg('text', { class: 'spot-name', x: at, y: y - 1, 'text-anchor': isSink ? 'start' : 'end' }, cut(name)),
      svg('text', { x: at, y: y + 12, 'text-anchor': isSink ? 'start' : 'end' }, cut(side < 200 ? trait : `${server}, ${trait}`)));
  }

  rows() {
    const { data, sinks, state } = { ...this.state, state: this.state };
    const name = ([server, place, trait]) => [shown(`${server} ${place}`), el('small', {}, ` ${trait}`)];
    const rows = this.edges.slice(0, 20).map((edge) => {
      const pressed = state.edge?.source === edge.source && state.edge?.sink === edge.sink;
      const choose = button(pressed ? 'All calls' : 'Its calls', () => {
        state.edge = pressed ? null : { source: edge.source, sink: edge.sink };
        this.changed();
      }, { 'aria-pressed': String(pressed), 'data-key': `flow ${edge.source} ${edge.sink}` });
      return [name(data.sources[edge.source]), name(sinks[edge.sink]), ...edge.counts.map(count), choose];
    });
    if (!rows.length) { put(this.list); return; }
    const heads = [['source'], ['sink'], ['passed', 'number'], ['asked', 'number'], ['stopped', 'number'], ['']];
    const details = el('details', { open: this.list.querySelector('details')?.open ?? false },
      el('summary', { 'data-key': 'flow summary' }, `The flows as a table (${this.edges.length > 20 ? `the 20 largest of ${count(this.edges.length)}` : count(this.edges.length)})`),
      table('Flows from source to sink', heads, rows));
    put(this.list, details);
  }
}
