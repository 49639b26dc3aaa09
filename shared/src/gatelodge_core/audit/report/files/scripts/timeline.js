
// Calls over time: stacked bars, and a range that is chosen by dragging.

const OUTCOMES = ['ok', 'error', 'refused', 'unfinished'];
// A Map: a forged record may name its outcome after what every object has, such as a constructor.
const OUTCOME_OF = new Map(Object.entries({ ok: 0, error: 1, timeout: 1, cancelled: 1, refused: 2, unfinished: 3 }));
const STEPS = [
  1, 10, 100, 1e3, 2e3, 5e3, 15e3, 30e3, 6e4, 12e4, 3e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5, 1728e5, 6048e5, 2592e6, 31536e6,
];
const HEIGHT = 150;
const BOTTOM = 20;

class Timeline {
  constructor(place, state, changed) {
    this.place = place;
    this.state = state;
    this.changed = changed;
    this.drag = null;
    const { time } = state.data.col;
    this.first = time.length ? time[0] : 0;
    this.last = time.length ? time[time.length - 1] : 0;
    this.outcomes = state.data.texts.status.map((text) => OUTCOME_OF.get(text) ?? 3);
    byId('legend').append(...OUTCOMES.map((name) => el('span', {},
      el('span', { class: `swatch is-${name}`, 'aria-hidden': 'true' }), name)));
    place.addEventListener('pointerdown', (event) => this.down(event));
    place.addEventListener('pointermove', (event) => this.move(event));
    place.addEventListener('pointerup', (event) => this.up(event));
    place.addEventListener('pointercancel', () => { this.drag = null; });
    new ResizeObserver(() => this.draw()).observe(place);
  }

  count() {
    const { data, view } = this.state;
    const most = Math.max(Math.floor(this.width / 5), 10);
    this.step = STEPS.find((step) => (this.last - this.first) / step < most) ?? (this.last - this.first) / most;
    this.start = Math.floor(this.first / this.step) * this.step;
    this.bins = Math.floor((this.last - this.start) / this.step) + 1;
    const counts = OUTCOMES.map(() => new Uint32Array(this.bins));
    const { time, status } = data.col;
    for (let row = 0; row < data.count; row += 1) {
      if (!(view.misses[row] & ~TIME)) counts[this.outcomes[status[row]]][Math.floor((time[row] - this.start) / this.step)] += 1;
    }
    this.counts = counts;
  }

  draw() {
    this.width = Math.max(this.place.clientWidth, 200);
    if (!this.state.view || !this.state.data.count) return;
    this.count();
    const wide = this.width / this.bins;
    const sums = Uint32Array.from({ length: this.bins }, (_, bin) => this.counts.reduce((sum, one) => sum + one[bin], 0));
    const most = sums.reduce((one, other) => Math.max(one, other), 1);
    const high = HEIGHT - BOTTOM - 16;
    const tops = new Float64Array(this.bins).fill(HEIGHT - BOTTOM);
    const paths = this.counts.map((one, at) => {
      let path = '';
      for (let bin = 0; bin < this.bins; bin += 1) {
        if (one[bin]) {
          // At least a pixel: one refusal among thousands must be seen.
          const size = Math.max((one[bin] / most) * high, 1.5);
          tops[bin] -= size;
          path += `M${(bin * wide).toFixed(2)} ${tops[bin].toFixed(2)}h${Math.max(wide - 1, 1).toFixed(2)}v${size.toFixed(2)}h-${Math.max(wide - 1, 1).toFixed(2)}z`;
        }
      }
      return svg('path', { class: `fill-${OUTCOMES[at]}`, d: path });
    });
    const length = this.last - this.first > 2 * 864e5 ? 10 : 16;
    const ends = this.bins * this.step + this.start;
    this.brush = svg('rect', { class: 'brush', y: 0, height: HEIGHT - BOTTOM, width: 0 });
    const drawn = svg('svg', { viewBox: `0 0 ${this.width} ${HEIGHT}`, height: HEIGHT, role: 'img', 'aria-label': this.label(sums) },
      svg('line', { class: 'axis', x1: 0, x2: this.width, y1: HEIGHT - BOTTOM + 0.5, y2: HEIGHT - BOTTOM + 0.5 }),
      paths, this.brush,
      svg('text', { x: 0, y: 11 }, `at most ${count(most)} in ${this.span()}`),
      svg('text', { x: 0, y: HEIGHT - 5 }, moment(this.start, length)),
      svg('text', { x: this.width, y: HEIGHT - 5, 'text-anchor': 'end' }, moment(ends, length)));
    this.place.replaceChildren(drawn);
    this.showRange();
  }

  span() {
    const found = [[864e5, 'd'], [36e5, 'h'], [6e4, 'min'], [1e3, 's'], [1, 'ms']].find(([size]) => this.step >= size) ?? [1, 'ms'];
    return `${significant(this.step / found[0])} ${found[1]}`;
  }

  label(sums) {
    const parts = OUTCOMES.map((name, at) => `${count(this.counts[at].reduce((sum, one) => sum + one, 0))} ${name}`);
    const most = sums.indexOf(Math.max(...sums));
    return `Calls from ${moment(this.first, 16)} to ${moment(this.last, 16)} UTC: ${parts.join(', ')}; most at ${moment(this.start + most * this.step, 16)}.`;
  }

  showRange() {
    const { from, to } = this.state;
    const at = (time) => Math.min(Math.max(((time - this.start) / (this.bins * this.step)) * this.width, 0), this.width);
    const open = from === -Infinity && to === Infinity;
    this.brush.setAttribute('x', open ? 0 : at(from));
    this.brush.setAttribute('width', open ? 0 : Math.max(at(to) - at(from), 1));
  }

  binAt(event) {
    const box = this.place.getBoundingClientRect();
    return Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * this.bins), 0), this.bins - 1);
  }

  down(event) {
    if (event.button || !this.bins) return;
    this.drag = { from: this.binAt(event), pointer: event.pointerId };
    if (event.pointerType === 'mouse') this.place.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.bins) return;
    const bin = this.binAt(event);
    const parts = OUTCOMES.map((name, at) => [this.counts[at][bin], name]).filter(([number]) => number);
    byId('readout').textContent = `${moment(this.start + bin * this.step, 19)} UTC, ${this.span()}: ${parts.map(([number, name]) => `${count(number)} ${name}`).join(', ') || 'nothing'}`;
    if (!this.drag) return;
    const low = Math.min(bin, this.drag.from);
    const wide = this.width / this.bins;
    this.brush.setAttribute('x', low * wide);
    this.brush.setAttribute('width', (Math.abs(bin - this.drag.from) + 1) * wide);
  }

  up(event) {
    if (!this.drag) return;
    const bin = this.binAt(event);
    const low = Math.min(bin, this.drag.from);
    const high = Math.max(bin, this.drag.from) + 1;
    this.drag = null;
    this.state.from = this.start + low * this.step;
    this.state.to = this.start + high * this.step;
    this.changed();
  }
}
