// What a column's values are, how they are put in order, and which columns make a chart.

const NUMBER = /^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A value as a number, a time as milliseconds; NaN where it is neither. */
function measured(value, kind) {
  if (value === null) return NaN;
  if (kind === 'number') return NUMBER.test(value) ? Number(value) : value === 'Infinity' ? Infinity : value === '-Infinity' ? -Infinity : NaN;
  if (kind !== 'time') return NaN;
  const found = /^(\d{4,6})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(\.\d{1,6})?(?:([+-]\d\d)(?::?(\d\d))?)?)?$/.exec(value);
  if (!found) return NaN;
  const [, year, month, day, hour, minute, second, fraction, zone, quarter] = found;
  const base = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour || 0), Number(minute || 0), Number(second || 0));
  const offset = zone ? Number(zone) * 60 + Math.sign(Number(zone) || 1) * Number(quarter || 0) : 0;
  return base + Number(fraction || 0) * 1000 - offset * 60000;
}

const collator = new Intl.Collator('en', { numeric: false });

/** The order of two values of a column; NULL is last whichever way, so it is not told here. */
function ordered(one, other, kind) {
  const [first, second] = [measured(one, kind), measured(other, kind)];
  if (first < second) return -1;
  if (first > second) return 1;
  if (Number.isNaN(first) !== Number.isNaN(second)) return Number.isNaN(first) ? 1 : -1;
  // Numbers that a double takes for equal, and all texts.
  return kind === 'number' ? exactly(one, other) : collator.compare(one, other);
}

/** Whole numbers digit by digit: beyond 2^53 a double can't tell them apart. */
function exactly(one, other) {
  const whole = /^-?\d{1,400}$/;
  if (!whole.test(one) || !whole.test(other)) return 0;
  const [first, second] = [BigInt(one), BigInt(other)];
  return first < second ? -1 : first > second ? 1 : 0;
}

/** Numbers of rows in the order of a column. */
function sorted(rows, column, kind, down) {
  const filled = [], empty = [];
  rows.forEach((row, at) => (row[column] === null ? empty : filled).push(at));
  filled.sort((one, other) => (down ? -1 : 1) * ordered(rows[one][column], rows[other][column], kind) || one - other);
  return filled.concat(empty);
}

const MOST_BARS = 40;
const MOST_POINTS = 2000;

/** Which columns make a chart: what it is along, and what it can show; null where nothing does. */
function charted(columns, rows) {
  if (rows.length < 2) return null;
  const usable = columns.map((column, at) => ({ ...column, at })).filter(column => !column.masked);
  const named = column => /(^|_)(id|oid|pk)$/i.test(column.name);
  const heights = usable.filter(column => column.kind === 'number' && !named(column)
    && rows.some(row => Number.isFinite(measured(row[column.at], 'number'))));
  const time = usable.find(column => column.kind === 'time');
  if (time && heights.length && rows.length <= MOST_POINTS) return { along: time, heights, form: 'line' };
  const label = usable.find(column => column.kind === 'text' || column.kind === 'boolean')
    || usable.find(column => column.kind === 'number' && named(column));
  if (label && heights.length && rows.length <= MOST_BARS) return { along: label, heights, form: 'bars' };
  const [first, ...others] = heights;
  if (!label && others.length && rows.length <= MOST_POINTS && rising(rows, first.at)) return { along: first, heights: others, form: 'line' };
  return null;
}

function rising(rows, column) {
  const values = rows.map(row => measured(row[column], 'number'));
  return values.every((value, at) => Number.isFinite(value) && (at === 0 || value > values[at - 1]));
}
