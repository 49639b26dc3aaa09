
// One call in full.

class Details {
  constructor(state, closed) {
    this.state = state;
    this.dialog = byId('details');
    byId('details-close').addEventListener('click', () => this.dialog.close());
    byId('details-before').addEventListener('click', () => this.show(this.at - 1));
    byId('details-after').addEventListener('click', () => this.show(this.at + 1));
    this.dialog.addEventListener('click', (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener('close', () => closed(this.at));
  }

  // Opens on a position of the list.
  show(at) {
    const { list } = this.state.view;
    this.at = at;
    byId('details-before').disabled = at <= 0;
    byId('details-after').disabled = at >= list.length - 1;
    byId('details-title').replaceChildren(shown(textOf(this.state.data, 'name', list[at])));
    byId('details-body').replaceChildren(this.facts(list[at]));
    if (!this.dialog.open) this.dialog.showModal();
  }

  facts(row) {
    const { data } = this.state;
    const { col } = data;
    const text = (name) => textOf(data, name, row);
    const sources = data.sets[col.flow[row]].map((source) => data.sources[source]);
    const facts = [
      ['Proof', col.proven[row] ? '' : el('strong', { class: 'is-refused' }, 'in doubt: it stands at or after a defect of its file')],
      ['Time (UTC)', moment(col.time[row])],
      ['Server', text('server')],
      ['What', `${text('kind')}, ${[text('effect'), text('reach')].filter(Boolean).join(', ')}`],
      ['Caller', text('principal')],
      ['Calls itself', text('client')],
      ['Came by', text('wire')],
      ['Decision', [text('decision'), text('rule')].filter(Boolean).join(', ')],
      ['A person said', text('answer')],
      ['Outcome', [text('status'), text('reason')].filter(Boolean).join(': ')],
      ['Stands for', col.alike[row] > 1 ? `${count(col.alike[row])} calls that were refused alike` : ''],
      ['Took', col.micros[row] === NO_TIME ? '' : duration(col.micros[row])],
      ['Arguments', `${bytes(col.args_bytes[row])}${digestOf(data, row) ? `, sha256 ${digestOf(data, row)}…` : ''}`],
      ['Result', text('status') === 'refused' ? '' : bytes(col.result_bytes[row])],
      ['Label of the answer', text('label')],
      ['Secrets masked', col.redactions[row] ? count(col.redactions[row]) : ''],
      ['Read before', sources.length ? el('ul', {}, sources.map(([server, name, trait]) => el('li', {}, shown(`${server} ${name}`), ` (${trait})`))) : ''],
      ['Record', `${text('file')}, sequence ${col.seq[row]}`],
    ];
    return el('dl', {}, facts.filter(([, value]) => value !== '').flatMap(([name, value]) =>
      [el('dt', {}, name), el('dd', {}, typeof value === 'string' ? shown(value) : value)]));
  }
}
