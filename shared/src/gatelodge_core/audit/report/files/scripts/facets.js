
// Lists of values with counts: each is a filter.

const MANY = 200;

class Facets {
  constructor(place, state, changed) {
    this.place = place;
    this.state = state;
    this.changed = changed;
    this.open = new Set();
    this.cards = new Map();
    for (const name of FACETS.filter((facet) => facet !== 'reason')) {
      const card = el('section', { class: 'facet', 'aria-labelledby': `facet-${name}` });
      this.cards.set(name, card);
      place.append(card);
    }
  }

  draw() {
    for (const [name, card] of this.cards) this.card(name, card);
  }

  card(name, card) {
    const { state } = this;
    const few = innerWidth <= 704 ? 5 : 8;
    const texts = state.data.texts[name];
    const counts = state.view.counts[name];
    const chosen = state.chosen[name];
    const all = Array.from(counts.keys()).filter((value) => counts[value] || chosen.has(value));
    all.sort((one, other) => counts[other] - counts[one] || (texts[one] < texts[other] ? -1 : 1));
    const most = Math.max(counts[all[0]] ?? 0, 1);
    const limit = this.open.has(name) ? MANY : few;
    // What is chosen is always there to be taken back.
    const shownValues = all.filter((value, at) => at < limit || chosen.has(value));
    const items = shownValues.map((value) => {
      const made = button([el('span', { class: 'name' }, shown(texts[value] || 'none')), el('span', {}, count(counts[value]))],
        () => { toggle(chosen, value); this.changed(); },
        { 'aria-pressed': String(chosen.has(value)), 'data-key': `${name} ${value}`, title: texts[value] || null });
      made.style.setProperty('--share', counts[value] / most);
      return el('li', {}, made);
    });
    const rest = all.length - few;
    const more = rest > 0 && button(this.open.has(name) ? 'Fewer' : `${count(rest)} more`,
      () => { toggle(this.open, name); this.card(name, card); },
      { class: 'more', 'data-key': `${name} more`, 'aria-expanded': String(this.open.has(name)) });
    put(card, el('h3', { id: `facet-${name}` }, TITLES[name]), el('ul', {}, items), ...(more ? [more] : []),
      ...(this.open.has(name) && all.length > MANY ? [el('p', { class: 'hint' }, `The first ${MANY}; search for others.`)] : []));
  }
}

function toggle(set, value) {
  if (!set.delete(value)) set.add(value);
}
