// What a column's values are, how they are put in order, and which columns make a chart.

// Each digit fits one place of it alone: what is cut has megabytes of them and then no number, and is to be read once.
const NUMBER = /^-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
// The calendar begins anew every 400 years. By that, times are counted that are too far away for a Date; PostgreSQL has such.
const ROUND = 146097 * 864e5;

/** A value as a number, a time as milliseconds; NaN where it is neither. */
function measured(value, kind) {
  if (value === null) return NaN;
  if (kind === 'number') return NUMBER.test(value) ? Number(value) : value === 'Infinity' ? Infinity : value === '-Infinity' ? -Infinity : NaN;
  if (kind !== 'time') return NaN;
  if (value === 'infinity' || value === '-infinity') return value === 'infinity' ? Infinity : -Infinity;
  const found = /^(\d{4,6})-([01]\d)-([0-3]\d)(?:[ T](\d\d):(\d\d):(\d\d)(\.\d{1,6})?(?:([+-]\d\d)(?::?(\d\d))?)?)?( BC)?$/.exec(value);
  if (!found) return NaN;
  const [, years, month, day, hour, minute, second, fraction, zone, quarter, before] = found;
  const year = before ? 1 - Number(years) : Number(years), rounds = Math.floor(year / 400) - 5;
  const base = rounds * ROUND
    + Date.UTC(year - rounds * 400, Number(month) - 1, Number(day), Number(hour || 0), Number(minute || 0), Number(second || 0));
  const offset = zone ? Number(zone) * 60 + Math.sign(Number(zone) || 1) * Number(quarter || 0) : 0;
  return base + Number(fraction || 0) * 1000 - offset * 60000;
}

/** A moment in UTC as `YYYY-MM-DD HH:MM`, whatever its year. */
function moment(value) {
  const rounds = Math.floor(value / ROUND), near = new Date(value - rounds * ROUND);
  const year = near.getUTCFullYear() + rounds * 400;
  return String(year > 0 ? year : 1 - year).padStart(4, '0') + near.toISOString().slice(4, 16).replace('T', ' ') + (year > 0 ? '' : ' BC');
}

const collator = new Intl.Collator('en', { numeric: false });

/** The order of two values of a column, with what they measure; NULL is last whichever way, so it is not told here. */
function ordered([one, first], [other, second], kind) {
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
  const filled = [], empty = [], keys = rows.map(row => [row[column], measured(row[column], kind)]);
  rows.forEach((row, at) => (row[column] === null ? empty : filled).push(at));
  filled.sort((one, other) => (down ? -1 : 1) * ordered(keys[one], keys[other], kind) || one - other);
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
