// A chart of one column along another, drawn as shapes; its text says what it shows, and the table beside it holds the values.

const HIGH = 260, LEFT = 56, RIGHT = 14, TOP = 14, BELOW = 44;

// As wide as there is room, so that its letters are as large as those around it.
let wide = 640;

/** Whether a value can be drawn: of larger ones the distance would be no number any more. */
const within = value => Math.abs(value) < 1e300;

/** Round steps that cover a range, few enough to be read. */
function steps(low, high) {
  const span = high - low || Math.abs(high) || 1;
  // A quarter of the smallest numbers would be nothing.
  const raw = Math.max(span / 4, 1e-300), unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * unit).find(one => one >= raw);
  const found = [];
  for (let at = Math.floor(low / step); at <= Math.ceil(high / step) && found.length < 12; at++) found.push(at * step);
  return found;
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(1);
  for (const [limit, mark] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e4, 'k']])
    if (size >= limit) return Number((value / (mark === 'k' ? 1e3 : limit)).toPrecision(3)) + mark;
  return String(Number(value.toPrecision(6)));
}

/** The day, or where all is within two of them the time, too. */
const day = (value, span) => span > 2 * 864e5 ? moment(value).replace(/ \d\d:\d\d/, '') : moment(value).replace(/^\d+-/, '');

function frame(name, scale, marks) {
  const svg = draw('svg', { viewBox: '0 0 ' + wide + ' ' + HIGH, role: 'img', 'aria-label': name });
  for (const mark of marks) {
    const y = scale(mark);
    svg.append(draw('line', { class: mark === 0 ? 'base' : 'grid-line', x1: LEFT, x2: wide - RIGHT, y1: y, y2: y }),
      draw('text', { x: LEFT - 8, y: y + 4, 'text-anchor': 'end' }, short(mark)));
  }
  return svg;
}

/** The chart of `height` along `along`; null where fewer than two values can be drawn. */
function chart(rows, along, height, form) {
  const points = rows.map(row => ({
    x: form === 'line' ? measured(row[along.at], along.kind) : NaN,
    y: measured(row[height.at], 'number'),
    label: row[along.at] === null ? 'NULL' : text(row[along.at]),
  })).filter(point => within(point.y) && (form === 'bars' || within(point.x)));
  if (points.length < 2) return null;
  wide = Math.max(280, Math.min(900, document.documentElement.clientWidth - 24));
  let low = Infinity, high = -Infinity;
  for (const point of points) { low = Math.min(low, point.y); high = Math.max(high, point.y); }
  const marks = steps(form === 'bars' ? Math.min(0, low) : low, form === 'bars' ? Math.max(0, high) : high);
  const bottom = marks[0], top = marks[marks.length - 1];
  const scale = value => TOP + (HIGH - TOP - BELOW) * (1 - (value - bottom) / (top - bottom || 1));
  const name = (form === 'bars' ? 'Bars' : 'Line') + ' of ' + height.name + ' by ' + along.name + ': ' + points.length
    + ' values from ' + short(low) + ' to ' + short(high);
  const svg = frame(name, scale, marks);
  (form === 'bars' ? bars : line)(svg, points, scale, along);
  return make('figure', { class: 'chart' }, svg);
}

function bars(svg, points, scale) {
  const room = (wide - LEFT - RIGHT) / points.length, width = Math.max(2, Math.min(56, room * 0.72));
  const every = Math.ceil(points.length / 12), letters = Math.max(3, Math.floor(room * every / 6.2));
  points.forEach((point, at) => {
    const middle = LEFT + room * (at + 0.5), y = Math.min(scale(point.y), scale(0));
    svg.append(draw('rect', { class: 'bar-shape', x: middle - width / 2, y, width, height: Math.max(1, Math.abs(scale(point.y) - scale(0))), rx: 2 },
      draw('title', null, point.label + ': ' + point.y)));
    if (at % every === 0) svg.append(draw('text', { x: middle, y: HIGH - BELOW + 18, 'text-anchor': 'middle' }, clipped(point.label, letters)));
    if (points.length <= 12) svg.append(draw('text', { class: 'value', x: middle, y: y - 4, 'text-anchor': 'middle' }, short(point.y)));
  });
}

function line(svg, points, scale, along) {
  points.sort((one, other) => one.x - other.x);
  const first = points[0].x, last = points[points.length - 1].x;
  const place = value => LEFT + (wide - LEFT - RIGHT) * (value - first) / (last - first || 1);
  svg.append(draw('polyline', { class: 'line-shape', points: points.map(point => place(point.x).toFixed(1) + ',' + scale(point.y).toFixed(1)).join(' ') }));
  if (points.length <= 60) for (const point of points)
    svg.append(draw('circle', { class: 'dot', cx: place(point.x), cy: scale(point.y), r: 3 }, draw('title', null, point.label + ': ' + point.y)));
  const parts = wide < 460 ? 2 : 4;
  for (let at = 0; at <= parts; at++) {
    const value = first + (last - first) * at / parts;
    const words = along.kind === 'time' ? day(value, last - first) : short(value);
    svg.append(draw('text', { x: place(value), y: HIGH - BELOW + 18, 'text-anchor': at === 0 ? 'start' : at === parts ? 'end' : 'middle' }, words));
  }
}
