
// What was refused, by reason: each reason is a filter.

class Refusals {
  constructor(place, state, changed) {
    this.place = place;
    this.state = state;
    this.changed = changed;
  }

  draw() {
    const { data, view, chosen } = this.state;
    const refused = data.texts.status.indexOf('refused');
    const groups = new Map();
    const others = ~(1 << FACETS.indexOf('reason'));
    for (let row = 0; row < data.count; row += 1) {
      if (data.col.status[row] === refused && !(view.misses[row] & others)) {
        const reason = data.col.reason[row];
        const group = groups.get(reason) ?? { number: 0, last: 0, tools: new Map() };
        const tool = data.col.place[row];
        group.number += 1;
        group.last = data.col.time[row];
        group.tools.set(tool, (group.tools.get(tool) ?? 0) + 1);
        groups.set(reason, group);
      }
    }
    const sorted = [...groups].sort(([, one], [, other]) => other.number - one.number);
    const rows = sorted.slice(0, 25).map(([reason, group]) => {
      const tools = [...group.tools].sort(([, one], [, other]) => other - one).map(([tool]) => data.texts.place[tool]);
      const pressed = chosen.reason.has(reason);
      const choose = button(shown(data.texts.reason[reason]), () => { toggle(chosen.reason, reason); this.changed(); },
        { class: 'plainly', 'aria-pressed': String(pressed), 'data-key': `reason ${reason}` });
      return [choose, count(group.number), shown(tools.slice(0, 3).join(', ') + (tools.length > 3 ? ` and ${tools.length - 3} more` : '')), moment(group.last, 16)];
    });
    const left = sorted.length - rows.length;
    put(this.place, table('Refusals by reason', [['reason'], ['calls', 'number'], ['tools'], ['last (UTC)', 'when']], rows, 'Nothing was refused here.'),
      ...(left > 0 ? [el('p', { class: 'hint' }, `And ${count(left)} other reasons.`)] : []));
  }
}
