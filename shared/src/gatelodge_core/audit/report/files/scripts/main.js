
// All of it together.

function main(data) {
  const state = new State(data);
  const parts = {};
  const changed = () => {
    const begun = performance.now();
    state.compute();
    for (const part of [parts.timeline, parts.facets, parts.latency, parts.refusals, parts.flows]) part.draw();
    parts.table.renew();
    tell(state, changed);
    // For whoever measures: milliseconds of the last change.
    document.documentElement.dataset.changed = (performance.now() - begun).toFixed(1);
  };
  byId('live').hidden = false;
  byId('plain').hidden = true;
  parts.timeline = new Timeline(byId('timeline'), state, changed);
  parts.facets = new Facets(byId('facets'), state, changed);
  parts.latency = new Latency(byId('latency'), state);
  parts.refusals = new Refusals(byId('refusals'), state, changed);
  parts.flows = new Flows(byId('flows'), byId('flow-table'), state, changed);
  const details = new Details(state, (at) => parts.table.go(at));
  parts.table = new Table(byId('rows'), state, (at) => details.show(at));
  listen(state, changed);
  changed();
  document.documentElement.dataset.ready = performance.now().toFixed(1);
}

function listen(state, changed) {
  let waiting;
  byId('search').addEventListener('input', (event) => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => { state.search(event.target.value); changed(); });
  });
  for (const [id, open] of [['from', -Infinity], ['to', Infinity]]) {
    byId(id).addEventListener('change', (event) => {
      const time = Date.parse(`${event.target.value}Z`);
      state[id] = Number.isNaN(time) ? open : time;
      changed();
    });
  }
  byId('reset').addEventListener('click', (event) => {
    if (event.currentTarget.getAttribute('aria-disabled') === 'true') return;
    state.clear();
    byId('search').value = '';
    changed();
  });
}

// Numbers, chosen filters, and how many calls there are: what changes with every change.
function tell(state, changed) {
  const { data, view } = state;
  const kinds = new Uint32Array(4);
  const outcomes = data.texts.status.map((text) => OUTCOME_OF.get(text) ?? 3);
  for (const row of view.rows) kinds[outcomes[data.col.status[row]]] += 1;
  const numbers = { calls: view.rows.length, errors: kinds[1], refused: kinds[2], unfinished: kinds[3] };
  for (const [name, number] of Object.entries(numbers)) byId(`number-${name}`).textContent = count(number);
  byId('matched').textContent = view.rows.length === data.count ? `${count(data.count)} calls` : `${count(view.rows.length)} of ${count(data.count)} calls`;
  for (const [id, time] of [['from', state.from], ['to', state.to]]) {
    byId(id).value = Number.isFinite(time) && time < FAR ? new Date(time).toISOString().slice(0, 19) : '';
  }
  const chips = FACETS.flatMap((name) => [...state.chosen[name]].map((value) => chip(`${TITLES[name]}: `, data.texts[name][value] || 'none', () => {
    state.chosen[name].delete(value);
    changed();
  })));
  if (state.edge) {
    const [, from] = data.sources[state.edge.source];
    const [, to] = state.sinks[state.edge.sink];
    chips.push(chip('Flow: ', `${from} → ${to}`, () => { state.edge = null; changed(); }));
  }
  const all = !chips.length && !state.query && !Number.isFinite(state.from) && !Number.isFinite(state.to);
  // Not disabled, which would take the focus from whoever has just pressed it.
  byId('reset').setAttribute('aria-disabled', String(all));
  const focused = byId('chosen').contains(document.activeElement);
  byId('chosen').replaceChildren(...chips);
  if (focused) (chips[0] ?? byId('reset')).focus({ preventScroll: true });
}

function chip(title, text, remove) {
  return button([title, shown(text), el('span', { 'aria-hidden': 'true' }, ' ✕')], remove, { 'aria-label': `Remove the filter ${title}${text}` });
}

load().then(main).catch((error) => {
  byId('live').hidden = true;
  byId('plain').hidden = false;
  byId('trouble').hidden = false;
  byId('trouble').textContent = `This browser can’t show the interactive part (${error.message}); the summary is complete without it.`;
});
