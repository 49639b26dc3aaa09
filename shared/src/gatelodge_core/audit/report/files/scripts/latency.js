
// How long calls took: percentiles by tool, and of all.

// The value that so many of a hundred don't exceed (nearest rank) in a sorted array.
function percentile(sorted, part) {
  return sorted.length ? sorted[Math.max(Math.ceil((sorted.length * part) / 100), 1) - 1] : null;
}

// For each tool the sorted durations of its calls, and those of all.
function durations(state) {
  const { data, view } = state;
  const { micros, place } = data.col;
  const sizes = new Uint32Array(data.texts.place.length + 1);
  let all = 0;
  for (const row of view.rows) if (micros[row] !== NO_TIME) { sizes[place[row] + 1] += 1; all += 1; }
  for (let at = 1; at < sizes.length; at += 1) sizes[at] += sizes[at - 1];
  const ends = sizes.slice();
  const values = new Uint32Array(all);
  for (const row of view.rows) if (micros[row] !== NO_TIME) values[ends[place[row]]++] = micros[row];
  const tools = data.texts.place.map((_, at) => values.subarray(sizes[at], sizes[at + 1]).slice().sort());
  return { tools, all: values.sort() };
}

class Latency {
  constructor(place, state) {
    this.place = place;
    this.state = state;
    this.open = false;
  }

  draw() {
    const { data, view } = this.state;
    const { tools, all } = durations(this.state);
    for (const part of [50, 95, 99]) byId(`number-p${part}`).textContent = duration(percentile(all, part));
    const errors = new Uint32Array(data.texts.place.length);
    const bad = data.texts.status.map((text) => ['error', 'timeout', 'cancelled'].includes(text));
    for (const row of view.rows) if (bad[data.col.status[row]]) errors[data.col.place[row]] += 1;
    const found = tools.map((times, at) => ({ times, at })).filter(({ times }) => times.length);
    found.sort((one, other) => other.times.length - one.times.length);
    const limit = this.open ? MANY : 10;
    const rows = found.slice(0, limit).map(({ times, at }) => [
      shown(data.texts.place[at]), count(times.length), count(errors[at]),
      ...[50, 95, 99].map((part) => duration(percentile(times, part))), this.span(times)]);
    const heads = [['tool'], ['calls', 'number'], ['errors', 'number latency-errors'], ['p50', 'number'], ['p95', 'number'], ['p99', 'number'], ['1 µs – 100 s', 'span']];
    const more = found.length > 10 && button(this.open ? 'Fewer' : `${count(found.length - 10)} more`,
      () => { this.open = !this.open; this.draw(); }, { class: 'more', 'data-key': 'latency more' });
    put(this.place, table('Durations by tool', heads, rows, 'No call has an outcome here.'), ...(more ? [more] : []));
  }

  // From p50 to p99 on a logarithmic scale of eight decades.
  span(times) {
    const at = (part) => (Math.log10(Math.max(percentile(times, part), 1)) / 8) * 100;
    return svg('svg', { viewBox: '0 0 100 14', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      svg('line', { x1: at(50), x2: Math.max(at(99), at(50) + 1), y1: 7, y2: 7 }));
  }
}
