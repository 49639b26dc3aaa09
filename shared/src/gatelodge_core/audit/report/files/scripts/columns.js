
// The data: columns of numbers, and lists of texts that some of them point into.

const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f64: Float64Array };
const NO_TIME = 0xFFFFFFFF;

async function unpack(column) {
  const packed = Uint8Array.from(atob(column.data), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new ARRAYS[column.type](await new Response(stream).arrayBuffer());
}

// Gives { count, sources, sets, texts: name -> list, col: name -> numbers }, with times as milliseconds since 1970.
async function load() {
  const raw = JSON.parse(document.getElementById('data').textContent);
  const data = { count: raw.count, sources: raw.sources, sets: raw.sets, texts: {}, col: {} };
  const names = Object.keys(raw.columns);
  const arrays = await Promise.all(names.map((name) => unpack(raw.columns[name])));
  names.forEach((name, at) => {
    data.col[name] = arrays[at];
    if (raw.columns[name].texts) data.texts[name] = raw.columns[name].texts;
  });
  const time = data.col.time;
  for (let at = 1; at < time.length; at += 1) time[at] += time[at - 1];
  return data;
}

// The text of a row's field.
function textOf(data, name, row) {
  return data.texts[name][data.col[name][row]];
}

function digestOf(data, row) {
  const bytes = data.col.digest.subarray(row * 6, row * 6 + 6);
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return text === '000000000000' ? '' : text;
}
