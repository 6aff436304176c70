/** What the inspector shows to a browser on this machine: the tree of actors, their states, and what happens. Loads nothing from anywhere. */
import { createHash } from 'node:crypto';

const style = `
body { margin: 0; font: 13px/1.5 system-ui, sans-serif; display: grid; grid-template: auto 1fr / minmax(24em, 2fr) 3fr; height: 100vh }
header { grid-column: 1 / 3; padding: 6px 12px; border-bottom: 1px solid #8886 }
header input { margin-left: 12px }
#actors, #log { overflow: auto; margin: 0; padding: 6px 12px }
#side { display: grid; grid-template-rows: 1fr 1fr; overflow: hidden; border-left: 1px solid #8886 }
#side > * { overflow: auto; padding: 6px 12px; margin: 0; border-bottom: 1px solid #8886; white-space: pre-wrap; overflow-wrap: anywhere }
.actor { cursor: pointer; white-space: nowrap } .actor:hover, .chosen { background: #8882 } .ended { opacity: .5 }
b { font-weight: 600 } i { opacity: .6; font-style: normal }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } }`;

const script = `
'use strict';
const byId = (id) => document.getElementById(id);
const actors = new Map();
const eventsMax = 300;
let chosen = null, changed = false, events = 0;
const stateOf = (value) => typeof value === 'string' ? value
  : value && typeof value === 'object' ? Object.entries(value).map(([key, inner]) => {
    const rest = stateOf(inner); return rest ? key + '.' + rest : key; }).join(', ') : '';
function depthOf(actor) {
  let depth = 0;
  for (let at = actors.get(actor.parentId); at && depth < 20; at = actors.get(at.parentId)) depth += 1;
  return depth;
}
function rowOf(message) {
  let actor = actors.get(message.sessionId);
  if (actor) return actor;
  const row = document.createElement('div');
  row.className = 'actor';
  actor = { id: message.sessionId, name: message.name || message.sessionId, parentId: message.parentId, row };
  actors.set(message.sessionId, actor);
  row.onclick = () => { chosen = chosen === actor ? null : actor; byId('log').textContent = ''; changed = true; };
  const parent = actors.get(actor.parentId);
  let after = parent && parent.row;
  if (after) {
    const depth = depthOf(parent);
    while (after.nextSibling && after.nextSibling.depth > depth) after = after.nextSibling;
    after.after(row);
  } else byId('actors').append(row);
  row.depth = depthOf(actor);
  row.style.paddingLeft = row.depth * 16 + 'px';
  return actor;
}
function receive(message) {
  const actor = rowOf(message);
  if (message.snapshot) actor.snapshot = message.snapshot;
  if (message.type === '@xstate.event' && (!chosen || chosen === actor)) {
    const line = document.createElement('div');
    const from = actors.get(message.sourceId);
    line.textContent = new Date(Number(message.createdAt)).toISOString().slice(11, 23) + '  '
      + (from ? from.name + ' -> ' : '') + actor.name + '  ' + JSON.stringify(message.event);
    byId('log').prepend(line);
    while (byId('log').childNodes.length > eventsMax) byId('log').lastChild.remove();
  }
  events += 1;
  changed = true;
}
function draw() {
  requestAnimationFrame(draw);
  if (!changed) return;
  changed = false;
  const wanted = byId('filter').value;
  for (const actor of actors.values()) {
    const snapshot = actor.snapshot || {};
    const [name, state, tags] = ['b', 'span', 'i'].map((tag) => document.createElement(tag));
    name.textContent = actor.name;
    state.textContent = '  ' + stateOf(snapshot.value);
    tags.textContent = '  ' + (snapshot.tags || []).map((tag) => '#' + tag).join(' ');
    actor.row.replaceChildren(name, state, tags);
    actor.row.classList.toggle('ended', snapshot.status !== 'active');
    actor.row.classList.toggle('chosen', actor === chosen);
    actor.row.hidden = wanted !== '' && !actor.row.textContent.includes(wanted);
  }
  byId('count').textContent = actors.size + ' actors, ' + events + ' messages';
  byId('context').textContent = chosen ? chosen.name + ' ' + JSON.stringify(chosen.snapshot, null, 2) : 'choose an actor';
}
function open() {
  const socket = new WebSocket('ws://' + location.host + '/' + location.search);
  socket.onopen = () => { actors.clear(); byId('actors').replaceChildren(); byId('status').textContent = 'connected'; };
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = () => { byId('status').textContent = 'not connected'; setTimeout(open, 2000); };
}
byId('filter').oninput = () => { changed = true; };
open();
draw();`;

/** The whole page. */
export const inspectorPage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>actors of tws-runtime</title><style>${style}</style></head>
<body>
<header><b>actors</b> <i id="status">connecting</i> <i id="count"></i> <input id="filter" placeholder="filter"></header>
<div id="actors"></div>
<div id="side"><pre id="context"></pre><pre id="log"></pre></div>
<script>${script}</script>
</body>
</html>
`;

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
/** Nothing but what stands in the page may run, and it may talk to where it came from alone. */
export const inspectorPagePolicy = [
  "default-src 'none'",
  `script-src ${hashOf(script)}`,
  `style-src ${hashOf(style)} 'unsafe-hashes'`,
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');
