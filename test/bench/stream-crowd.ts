/** A part of the crowd of dashboards: many WebSocket clients in one process, each watching its quotes, some also the orders. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { WebSocket } from 'ws';
import { serve } from './children.ts';

export interface CrowdPart {
  readonly url: string;
  /** the keys of each client */
  readonly watchlists: readonly (readonly string[])[];
  /** every so many clients one also subscribes to the orders */
  readonly ordersEvery: number;
}

/** What came since `begin`. Ages are counted per ms: `ages[3]` frames were 3 ms old. */
export interface Watched {
  readonly frames: number;
  readonly bytes: number;
  readonly notices: number;
  /** frames that did not follow the one before; 0 or the bench is wrong */
  readonly holes: number;
  /** clients that got no frame of quotes */
  readonly silent: number;
  /** from the beat (`ts` of a frame) to this process */
  readonly frameAges: Uint32Array;
  /** from the read of TWS's bytes (`ts` of a row) to this process, of one frame in fifty */
  readonly rowAges: Uint32Array;
  readonly cpuUs: number;
  /** p99 of this process's own delay, ms: what it adds to the ages */
  readonly loopP99Ms: number;
}

interface Client {
  readonly socket: WebSocket;
  readonly lastSeqs: Map<number, number>;
  updates: number;
}

const agesMax = 10_000;
const parsedEvery = 50;
const head = /^\{"type":"update","subscription":(\d+),"seq":(\d+),"ts":(\d+)/;
const headBytes = 120;

let clients: Client[] = [];
let frames = 0;
let bytes = 0;
let notices = 0;
let holes = 0;
let frameAges = new Uint32Array(agesMax);
let rowAges = new Uint32Array(agesMax);
let cpuBefore = process.cpuUsage();
const loop = monitorEventLoopDelay({ resolution: 5 });
loop.enable();

function count(ages: Uint32Array, age: number): void {
  const at = Math.max(0, Math.min(agesMax - 1, age));
  ages[at] = (ages[at] ?? 0) + 1;
}

function take(client: Client, data: Buffer): void {
  const found = head.exec(data.toString('latin1', 0, headBytes));
  if (!found) {
    if (data.includes('"type":"notice"')) notices += 1;
    return;
  }
  const now = Date.now();
  const [subscription = 0, seq = 0, ts = 0] = found.slice(1).map(Number);
  if (seq !== (client.lastSeqs.get(subscription) ?? 1) + 1) holes += 1;
  client.lastSeqs.set(subscription, seq);
  client.updates += 1;
  frames += 1;
  bytes += data.length;
  count(frameAges, now - ts);
  // Reading every row of every frame would make this process the one that is measured.
  if ((frames - 1) % parsedEvery !== 0) return;
  const { rows } = JSON.parse(data.toString()) as { readonly rows: readonly { readonly ts: number }[] };
  for (const row of rows) count(rowAges, now - row.ts);
}

function connect(url: string, keys: readonly string[], orders: boolean): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, {
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
  const client: Client = { socket, lastSeqs: new Map(), updates: 0 };
  clients.push(client);
  let awaited = orders ? 2 : 1;
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('open', () => {
      socket.send(JSON.stringify({ type: 'subscribe', id: 1, channel: 'quotes', keys }));
      if (orders) socket.send('{"type":"subscribe","id":2,"channel":"orders"}');
    });
    socket.on('message', (data: Buffer) => {
      take(client, data);
      if (awaited === 0 || !data.toString('latin1', 0, headBytes).startsWith('{"type":"ack"')) return;
      const ack = JSON.parse(data.toString()) as { ok: boolean; rejected?: readonly unknown[] };
      if (!ack.ok || (ack.rejected?.length ?? 0) > 0) reject(new Error(data.toString()));
      awaited -= 1;
      if (awaited === 0) resolve();
    });
  });
}

serve({
  /** Answers when every client has its subscriptions. */
  connect: async ({ url, watchlists, ordersEvery }: CrowdPart) => {
    const atOnce = 50;
    for (let from = 0; from < watchlists.length; from += atOnce) {
      const some = watchlists.slice(from, from + atOnce);
      await Promise.all(some.map((keys, n) => connect(url, keys, (from + n) % ordersEvery === 0)));
    }
  },
  begin: () => {
    frames = bytes = notices = holes = 0;
    frameAges = new Uint32Array(agesMax);
    rowAges = new Uint32Array(agesMax);
    for (const client of clients) client.updates = 0;
    loop.reset();
    cpuBefore = process.cpuUsage();
  },
  watched: (): Watched => {
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      frames,
      bytes,
      notices,
      holes,
      silent: clients.filter(({ updates }) => updates === 0).length,
      frameAges,
      rowAges,
      cpuUs: user + system,
      loopP99Ms: loop.percentile(99) / 1e6,
    };
  },
  leave: () => {
    for (const { socket } of clients) socket.terminate();
    clients = [];
  },
});
