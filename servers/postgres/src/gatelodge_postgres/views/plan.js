// A plan as a tree. The bar of a step is its own share of the whole: of the time where it was measured, of the cost where not.

// Steps below these are not set in further, so that there is room for their words, and at last not set below each other:
// a browser fails over thousands of lists within lists.
const SET_IN = 12, LISTED = 60;

const rounded = value => Math.abs(number(value)) >= 100 ? counted(Math.round(number(value))) : String(Number(number(value).toPrecision(3)));

function share(step, sum, measured) {
  const own = measured ? number(step.own_ms) : number(step.own);
  return sum > 0 ? Math.max(0, Math.min(1, own / sum)) : 0;
}

/** How far the number of rows was from what the planner took it for, in words; empty where it was near. */
function astray(step) {
  if (step.actual === undefined || !number(step.loops)) return '';
  const ratio = Math.max(number(step.actual), 1) / Math.max(number(step.rows), 1);
  if (ratio >= 10) return rounded(ratio) + ' times more than expected';
  return ratio <= 0.1 ? rounded(1 / ratio) + ' times fewer than expected' : '';
}

function facts(step) {
  const off = astray(step);
  return make('div', { class: 'facts small quiet' },
    step.actual === undefined ? make('span', null, 'about ' + plural(Math.round(number(step.rows)), 'row'))
      : make('span', null, plural(Math.round(number(step.actual)), 'row') + (number(step.loops) > 1 ? ' × ' + plural(step.loops, 'loop') : '')),
    off && make('span', { class: 'off' }, off),
    make('span', null, 'cost ' + rounded(step.cost)),
    number(step.removed) ? make('span', null, plural(Math.round(step.removed), 'row') + ' filtered out') : null,
    number(step.disk) ? make('span', { class: 'off' }, 'sorted on disk, ' + counted(step.disk) + ' kB') : null);
}

function shown(step, sum, measured) {
  const part = share(step, sum, measured);
  const bar = make('i', null);
  bar.style.width = (part * 100).toFixed(1) + '%';
  const amount = Math.round(part * 100) + ' %' + (measured ? ' · ' + rounded(step.own_ms) + ' ms' : '');
  const on = text(step.relation) && ' on ' + step.relation + (text(step.alias) && step.alias !== step.relation ? ' as ' + step.alias : '');
  const inside = list(step.details).map(([key, words]) => [make('dt', null, text(key)), make('dd', null, text(words))]);
  const top = make('div', { class: 'top' }, make('span', { class: 'what' }, text(step.type)),
    whole(step.depth) > SET_IN ? make('span', { class: 'tag' }, 'level ' + counted(whole(step.depth) + 1)) : null,
    make('span', null, (text(step.index) ? 'using ' + step.index : '') + (on || '')),
    make('span', { class: 'share small', 'aria-label': 'own share ' + amount }, amount));
  const parts = [top, make('div', { class: 'meter', 'aria-hidden': 'true' }, bar), facts(step)];
  const weight = { class: 'step', 'data-weight': part >= 0.5 ? 'heavy' : 'light' };
  if (!inside.length) return make('div', weight, parts);
  return make('details', { ...weight, open: true }, make('summary', null, parts), make('dl', { class: 'details' }, inside.flat()));
}

/** The steps, which come in order with their depths, as lists within lists. */
function tree(steps, sum, measured) {
  const root = make('ul', { class: 'tree', 'aria-label': 'Plan' });
  const open = [root];
  for (const step of steps) {
    const depth = Math.min(whole(step.depth), open.length - 1, LISTED);
    open.length = depth + 1;
    const item = make('li', null, shown(step, sum, measured));
    open[depth].append(item);
    const below = make('ul', { class: depth < SET_IN ? null : 'flat' });
    open.push(below);
    item.append(below);
  }
  root.querySelectorAll('ul:empty').forEach(one => one.remove());
  return root;
}

function head(data, measured) {
  const words = measured ? 'Executed in ' + rounded(data.execution) + ' ms' : 'Estimated cost ' + rounded(number(table(data.nodes[0]).cost));
  const change = number(data.before) ? ' instead of ' + rounded(data.before) + ' without the hypothetical indexes' : '';
  return make('div', { class: 'bar' }, make('h1', null, words + change),
    data.planning === undefined ? null : make('span', { class: 'small quiet' }, 'planned in ' + rounded(data.planning) + ' ms'));
}

host.start({
  result(found) {
    const data = table(table(found._meta)[SHOWN]);
    const steps = list(data.nodes).map(table);
    if (data.kind !== 'plan' || !steps.length) return null;
    const measured = steps[0].actual !== undefined;
    const sum = steps.reduce((all, step) => all + (measured ? number(step.own_ms) : number(step.own)), 0);
    const notes = list(data.findings).map(note => make('li', { class: 'note small' }, text(note)));
    return make('div', { class: 'stack' }, head(data, measured),
      notes.length ? make('ul', { class: 'found', 'aria-label': 'Worth a look' }, notes) : null,
      tree(steps, sum, measured),
      number(data.left) ? make('p', { class: 'small quiet' }, 'The rest of the plan is not shown: ' + plural(data.left, 'more part') + '.') : null);
  },
});
