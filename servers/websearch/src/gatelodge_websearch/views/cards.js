// What a search found, as cards. An address is shown by its host as the browser reads it, whatever the title claims, and is
// opened by the host alone.

let question = '';
// Letters of a passage; the answer itself has all of it.
const MOST = 8000;

function title(item) {
  const words = clipped(text(item.title), 300) || 'Untitled';
  if (!host.opens || !safe(item.url)) return make('h2', null, words);
  return make('h2', null, button(words, () => host.open(item.url), { class: 'plain link', role: 'link' }));
}

function site(item, cited) {
  const url = safe(item.url);
  const path = url && url.pathname !== '/' ? url.pathname : '';
  return make('p', { class: 'site small quiet' },
    make('span', { class: url ? '' : 'bad' }, url ? clipped(url.hostname, 260) : 'not a web address'),
    path && make('span', { class: 'mono' }, clipped(path, 60)),
    text(item.published) && make('span', null, clipped(item.published, 40)),
    cited && make('span', { class: 'tag mono' }, make('span', { class: 'sr' }, 'Cited as '), clipped(cited, 40)),
    list(item.engines).length ? make('span', null, 'by ' + list(item.engines).slice(0, 6).map(name => clipped(text(name), 40)).join(', ')) : null);
}

const result = item => make('li', { class: 'card' }, title(item), site(item, text(item.id)),
  text(item.snippet) && make('p', { class: 'words' }, clipped(item.snippet, 1000)));

const source = (cited, page, ...below) => make('li', { class: 'card read' },
  make('span', { class: 'cited' }, make('span', { class: 'sr' }, 'Cited as '), cited), title(page), site(page, ''), ...below);

function read(page, place) {
  const passages = list(page.passages).map(([headings, words]) => make('div', { class: 'passage' },
    text(headings) && make('p', { class: 'small quiet' }, clipped(headings, 300)), make('p', { class: 'words' }, clipped(text(words), MOST))));
  const none = text(page.trouble) ? make('p', { class: 'small bad' }, 'Not read: ' + clipped(page.trouble, 2000))
    : make('p', { class: 'small quiet' }, 'Read; nothing in it fits the question.');
  if (passages.length < 2) return source('[' + (place + 1) + ']', page, passages.length ? passages : none);
  return source('[' + (place + 1) + ']', page, passages[0],
    make('details', null, make('summary', null, plural(passages.length - 1, 'more passage')), passages.slice(1)));
}

function states(engines) {
  const failed = engines.filter(one => text(one.status) !== 'ok');
  if (!failed.length) return null;
  return make('ul', { class: 'states', 'aria-label': 'Engines that gave nothing' }, failed.map(one =>
    make('li', { class: 'tag' }, clipped(text(one.engine), 40) + ': ' + clipped(text(one.status), 40).replaceAll('_', ' ')
      + (whole(one.retry_after) ? ', again in ' + counted(whole(one.retry_after)) + ' s' : ''))));
}

function heading(words) {
  return make('h1', null, question ? words + ' for \u201c' + clipped(question, 120) + '\u201d' : words);
}

host.start({
  input(given) {
    question = text(given.query);
  },
  result(found) {
    const pages = table(table(found._meta)[SHOWN]);
    if (pages.kind === 'pages') {
      const cards = list(pages.pages).map((page, place) => read(table(page), place));
      return make('div', { class: 'stack' }, heading(plural(cards.length, 'source')), make('ol', { class: 'cards' }, cards));
    }
    const record = table(found.structuredContent);
    if (!Array.isArray(record.results)) return null;
    const cards = record.results.map(item => result(table(item)));
    const more = number(record.total) - cards.length;
    return make('div', { class: 'stack' },
      heading(cards.length ? plural(cards.length, 'result') : 'Nothing found'),
      states(list(record.engines).map(table)),
      make('ol', { class: 'cards' }, cards),
      more > 0 ? make('p', { class: 'small quiet' }, plural(more, 'more result') + ' not shown.') : null);
  },
});
