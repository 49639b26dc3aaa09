// The way to the host: JSON-RPC over postMessage, as MCP Apps (SEP-1865, 2026-01-26) has it. Only the host is listened to.

const SHOWN = 'gatelodge/view';
const UNKNOWN = {};
/** An error that says whose word it is: the `server`'s, the `host`'s, or `nobody`'s, where it is not known what came of the call. */
const failure = (words, from) => Object.assign(new Error(words), { from });

const host = (() => {
  const waiting = new Map();
  // Milliseconds after which an answer is long in coming: a host may be asking the person, so nothing is given up by itself.
  const LONG = 30000;
  let last = 0, origin = '*', capabilities = {}, view = null, height = 0;

  const post = message => window.parent.postMessage({ jsonrpc: '2.0', ...message }, origin);

  /** Ask the host. `long` is called when its answer is long in coming, with a way to stop waiting; it gives what then shows it. */
  const request = (method, params, long) => new Promise((done, fail) => {
    const id = ++last, call = { done, fail, shown: null };
    const stop = () => settle({ id, error: UNKNOWN });
    call.timer = setTimeout(() => { call.shown = long(stop) || null; }, LONG);
    waiting.set(id, call);
    post({ id, method, params });
  });

  function settle(message) {
    const call = waiting.get(message.id);
    if (!call) return;
    waiting.delete(message.id);
    clearTimeout(call.timer);
    if (call.shown) call.shown.remove();
    if (message.error === UNKNOWN) call.fail(failure('No answer came.', 'nobody'));
    else if (message.error) call.fail(failure(text(table(message.error).message) || 'it refused', 'host'));
    else call.done(table(message.result));
  }

  function offerToStop(stop) {
    const made = make('div', { class: 'bar late' }, make('span', { role: 'status' }, 'The host has not answered yet; it may be asking you.'),
      button('Stop waiting', stop));
    document.body.append(made);
    return made;
  }

  function dress(context) {
    const root = document.documentElement;
    if (context.theme === 'light' || context.theme === 'dark') root.dataset.theme = context.theme;
    for (const [name, value] of Object.entries(table(table(context.styles).variables)))
      if (/^--[a-z0-9-]{1,60}$/.test(name) && typeof value === 'string' && !/[;{}@\\]|(?:url|image|image-set|src|element)\s*\(/i.test(value)) root.style.setProperty(name, value);
    const insets = table(context.safeAreaInsets);
    for (const side of ['top', 'right', 'bottom', 'left'])
      if (number(insets[side]) > 0) document.body.style.setProperty('padding-' + side, 12 + Math.min(insets[side], 100) + 'px');
  }

  function told(method, params) {
    if (method === 'ui/notifications/tool-input') view.input(table(params.arguments));
    else if (method === 'ui/notifications/tool-result') show(params);
    else if (method === 'ui/notifications/tool-cancelled') finish(make('p', { class: 'quiet' }, 'The call was cancelled' + (text(params.reason) ? ': ' + params.reason : '') + '.'));
    else if (method === 'ui/notifications/host-context-changed') dress(params);
  }

  function answer(message) {
    if (message.method === 'ping' || message.method === 'ui/resource-teardown') post({ id: message.id, result: {} });
    else post({ id: message.id, error: { code: -32601, message: 'this view has no ' + visible(clipped(message.method, 80)) } });
  }

  function finish(...children) {
    const main = document.getElementById('view');
    main.setAttribute('aria-busy', 'false');
    fill(main, ...children);
  }

  /** A result as its view draws it; as text where it has no data for the view, or none that can be drawn. */
  function show(result) {
    const words = textOf(result);
    if (result.isError) return finish(make('p', { class: 'bad', role: 'alert' }, 'The call failed.'), make('pre', null, words));
    let drawn = null;
    try {
      drawn = view.result(result);
    } catch (error) {
      console.info('not drawn: ' + error);
    }
    finish(drawn || make('pre', null, words || 'The result has no text.'));
  }

  window.addEventListener('message', event => {
    if (event.source !== window.parent) return;
    const message = table(event.data);
    if (message.jsonrpc !== '2.0') return;
    if (origin === '*' && event.origin && event.origin !== 'null') origin = event.origin;
    if (typeof message.method !== 'string') settle(message);
    else if (message.id !== undefined) answer(message);
    else told(message.method, table(message.params));
  });

  function measure() {
    const now = Math.ceil(document.body.getBoundingClientRect().height);
    if (now === height) return;
    height = now;
    post({ method: 'ui/notifications/size-changed', params: { width: window.innerWidth, height } });
  }

  return {
    /** Whether the host passes calls on, and opens links. */
    get calls() { return 'serverTools' in capabilities; },
    get opens() { return 'openLinks' in capabilities; },

    /** Begin: `made.input` gets the arguments of the call, `made.result` its result, and gives what is to be seen of it. */
    async start(made) {
      view = { input: () => {}, ...made };
      finish(make('p', { class: 'quiet' }, 'Waiting for the result…'));
      document.getElementById('view').setAttribute('aria-busy', 'true');
      let found;
      try {
        found = await request('ui/initialize', {
          protocolVersion: '2026-01-26',
          appInfo: { name: 'gatelodge', version: '1' },
          appCapabilities: { availableDisplayModes: ['inline', 'fullscreen'] },
        }, () => say('The host has not answered so far. What the tool answered is in the conversation all the same.'));
        say('');
      } catch (error) {
        return finish(make('p', { class: 'bad', role: 'alert' }, 'The host does not show this view: ' + error.message));
      }
      capabilities = table(found.hostCapabilities);
      dress(table(found.hostContext));
      post({ method: 'ui/notifications/initialized', params: {} });
      new ResizeObserver(measure).observe(document.body);
      measure();
    },

    /** Call a tool of the same server through the host, which may ask the person first; the result, or a `failure`. */
    async call(name, given) {
      const result = await request('tools/call', { name, arguments: given }, offerToStop);
      if (result.isError) throw failure(textOf(result) || 'the call failed', 'server');
      // Such as a question of the server's, which is the host's to answer.
      if (!Array.isArray(result.content) || (result.resultType ?? 'complete') !== 'complete')
        throw failure('What the host answered is no result of the tool.', 'nobody');
      return result;
    },

    /** Have the host open a page; nothing but http and https, and no name or password in the address. */
    async open(address) {
      const url = safe(address);
      if (!url) return say('That is not an address of a web page.', true);
      try {
        await request('ui/open-link', { url: url.href }, offerToStop);
      } catch (error) {
        say('The host did not open ' + url.hostname + ': ' + error.message, true);
      }
    },
  };
})();

/** An address of a web page, or null. */
function safe(address) {
  try {
    const url = new URL(text(address));
    return ['http:', 'https:'].includes(url.protocol) && url.hostname && !url.username && !url.password ? url : null;
  } catch {
    return null;
  }
}
