/** What the simulated broker remembers when its process is killed, order type by order type, and how it refuses a wrong file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { openMemory } from '../../src/simulator/exchange/memory.ts';
import { createSimulator } from '../../src/simulator/simulator.ts';
import { aapl, aaplId, mondayMorning } from './exchangeDriver.ts';
import { type MemoryFolder, memoryFolder, type RememberingVenue } from './memoryDriver.ts';
import { RawClient, stockOrder } from './rawClient.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function folder(): MemoryFolder {
  const made = memoryFolder();
  cleanups.push(() => made.remove());
  return made;
}

const day = 86_400_000;
const account = 'DU1234567';

/** A venue at 99.99 / 100.01 with the orders that `prepare` makes, killed, and up again `laterMs` later. */
function killed(prepare: (venue: RememberingVenue) => void, laterMs = 0) {
  const home = folder();
  const first = home.open();
  first.pin(99.99, 100.01, { last: 100 });
  prepare(first);
  const startMs = first.clock.now() + laterMs;
  const second = home.open(home.remains(), { startMs });
  second.pin(99.99, 100.01, { last: 100 });
  const open = () => second.exchange.openOrders().map(({ request }) => request.orderId);
  const completed = () =>
    second.exchange
      .completedOrders()
      .map(({ request, completedStatus }) => [request.orderId, completedStatus]);
  return { home, first, second, open, completed };
}

const limit = { orderType: 'LMT', lmtPrice: 99 } as const;

describe('working orders go on', () => {
  test('a limit order keeps its terms, ids and fills, and fills on', () => {
    const { first, second } = killed((venue) => {
      venue.place({ orderId: 5, ...limit, tif: 'GTC', orderRef: 'r', fields: { algoId: 'mine' } });
      venue.exchange.script.fill(venue.order(5).permId, 30, 99);
    });
    expect(second.exchange.openOrders()).toEqual(first.exchange.openOrders());
    expect(second.exchange.openOrders()).toMatchObject([
      { filled: 30, remaining: 70, request: { orderRef: 'r', fields: { algoId: 'mine' } } },
    ]);
    second.pin(98.9, 98.95);
    second.clock.advance(300);
    expect(second.order(5)).toMatchObject({ status: 'Filled', filled: 100, permId: first.order(5).permId });
    expect(second.exchange.positions()).toMatchObject([{ position: 100 }]);
  });

  test('changed terms are remembered', () => {
    const { first, second } = killed((venue) => {
      venue.place({ orderId: 1, ...limit, tif: 'GTC' });
      venue.place({ orderId: 1, ...limit, lmtPrice: 98.5, totalQuantity: 60, tif: 'GTC', orderRef: 'new' });
    });
    expect(second.exchange.openOrders()).toEqual(first.exchange.openOrders());
    expect(second.exchange.openOrders()).toMatchObject([
      { remaining: 60, request: { lmtPrice: 98.5, totalQuantity: 60, orderRef: 'new' } },
    ]);
  });

  test('a stop triggers, and one that had been triggered stays so', () => {
    const { second } = killed((venue) => {
      venue.place({ orderId: 1, orderType: 'STP', auxPrice: 101, tif: 'GTC' });
      venue.place({ orderId: 2, orderType: 'STP LMT', auxPrice: 100, lmtPrice: 98, tif: 'GTC' });
    });
    expect(second.exchange.openOrders()).toMatchObject([
      { status: 'PreSubmitted', whyHeld: 'trigger' },
      { status: 'Submitted', whyHeld: '' },
    ]);
    second.pin(97.9, 97.95);
    second.clock.advance(300);
    expect(second.order(2).status).toBe('Filled');
    second.pin(101, 101.02, { last: 101 });
    second.clock.advance(300);
    expect(second.order(1).status).toBe('Filled');
  });

  test('a trailing stop keeps what it has reached', () => {
    const { second } = killed((venue) => {
      venue.exchange.script.setPosition(account, aaplId, 100, 90);
      venue.place({ orderId: 1, action: 'SELL', orderType: 'TRAIL', auxPrice: 1, tif: 'GTC' });
      venue.pin(104.99, 105.01, { last: 105 });
      venue.clock.advance(300);
      expect(venue.exchange.openOrders()[0]?.trailStopPrice).toBe(104);
      venue.pin(104.49, 104.51, { last: 104.5 });
      venue.clock.advance(300);
    });
    // the market of 100 is below the remembered 104, and far above a stop that began anew
    second.clock.advance(300);
    expect(second.order(1)).toMatchObject({ status: 'Filled', trailStopPrice: 104 });
  });

  test('orders of the future wake at their time, good-till dates end them', () => {
    const { second } = killed((venue) => {
      venue.place({ orderId: 1, orderType: 'MKT', goodAfterTime: '20261123 11:00:00 US/Eastern' });
      venue.place({ orderId: 2, ...limit, tif: 'GTD', goodTillDate: '20261123 12:00:00 US/Eastern' });
    });
    second.clock.advance(50 * 60_000);
    expect(second.isKnown(1)).toBe(false);
    second.clock.advance(15 * 60_000);
    expect(second.order(1).status).toBe('Filled');
    expect(second.isKnown(2)).toBe(false);
    second.clock.advance(60 * 60_000);
    expect(second.order(2)).toMatchObject({ status: 'Cancelled', completedStatus: 'Expired' });
  });

  test('a DAY order of an earlier day has expired, a GTC order has not', () => {
    const { second, open, completed } = killed((venue) => {
      venue.place({ orderId: 1, ...limit, tif: 'DAY' });
      venue.place({ orderId: 2, ...limit, tif: 'GTC' });
    }, 2 * day);
    expect(open()).toEqual([2]);
    // it ended yesterday: today's list does not have it
    expect(completed()).toEqual([]);
    second.exchange.cancel(1, 1);
    second.clock.advance(50);
    expect(second.errors(1)).toMatchObject([{ code: 10148, text: expect.stringContaining('Cancelled') }]);
  });

  test('a cancellation under way is answered', () => {
    const home = folder();
    const first = home.open('broker.db', { latencyMs: { min: 20, max: 20 } });
    first.pin(99.99, 100.01, { last: 100 });
    first.place({ orderId: 1, ...limit });
    first.exchange.cancel(1, 1);
    first.clock.advance(30);
    expect(first.order(1).status).toBe('PendingCancel');
    const second = home.open(home.remains(), { startMs: first.clock.now() });
    expect(second.exchange.openOrders()).toMatchObject([{ status: 'PendingCancel' }]);
    second.clock.advance(50);
    expect(second.order(1)).toMatchObject({ status: 'Cancelled', completedStatus: 'Cancelled by Trader' });
    expect(second.errors(1)).toMatchObject([{ code: 202 }]);
  });

  test('a held order stays held until it is let go', () => {
    const { second } = killed((venue) => {
      venue.place({ orderId: 1, ...limit });
      venue.exchange.script.hold(venue.order(1).permId);
    });
    second.pin(98.9, 98.95);
    second.clock.advance(1_000);
    const [order] = second.exchange.openOrders();
    expect(order?.filled).toBe(0);
    second.exchange.script.unhold(order?.permId ?? 0);
    second.clock.advance(300);
    expect(second.order(1).status).toBe('Filled');
  });

  test('a combination is known by its legs', () => {
    const contract = {
      ...aapl,
      secType: 'BAG',
      comboLegs: [
        { conId: aaplId, ratio: 1, action: 'BUY' as const, exchange: 'SMART' },
        { conId: 272093, ratio: 1, action: 'SELL' as const, exchange: 'SMART' },
      ],
    };
    const { second } = killed((venue) =>
      venue.place({ orderId: 1, contract, totalQuantity: 10, orderType: 'LMT', lmtPrice: -900, tif: 'GTC' }),
    );
    const [order] = second.exchange.openOrders();
    second.exchange.script.fill(order?.permId ?? 0, 10, -900);
    expect(second.executions(1).map(({ contract: each }) => each.secType)).toEqual(['BAG', 'STK', 'STK']);
    expect(second.exchange.positions()).toMatchObject([{ position: 10 }, { position: -10 }]);
  });

  test('what was never transmitted was the gateway’s alone', () => {
    const { second, open } = killed((venue) => venue.place({ orderId: 1, ...limit, transmit: false }));
    expect(open()).toEqual([]);
    second.exchange.script.fill(
      second.exchange.script.external({ contract: aapl, action: 'BUY', totalQuantity: 1 }).permId,
      1,
    );
    expect(second.exchange.positions()).toMatchObject([{ position: 1 }]);
  });
});

describe('groups survive', () => {
  const size = { totalQuantity: 100, tif: 'GTC' };
  function bracket(venue: RememberingVenue, entry: number): void {
    venue.place({ ...size, orderId: 1, orderType: 'LMT', lmtPrice: entry, transmit: false });
    const exit = { ...size, action: 'SELL', parentId: 1 };
    venue.place({ ...exit, orderId: 2, orderType: 'LMT', lmtPrice: 102, transmit: false });
    venue.place({ ...exit, orderId: 3, orderType: 'STP', auxPrice: 97 });
  }

  test('the exits of a bracket wait for their entry', () => {
    const { second } = killed((venue) => bracket(venue, 99));
    expect(second.exchange.openOrders()).toMatchObject([
      { whyHeld: '' },
      { whyHeld: 'child' },
      { whyHeld: 'child,trigger' },
    ]);
    second.pin(98.9, 98.95, { last: 98.95 });
    second.clock.advance(300);
    expect(second.order(1).status).toBe('Filled');
    expect(second.order(2)).toMatchObject({ status: 'Submitted', parentPermId: second.order(1).permId });
    second.pin(96.9, 96.95, { last: 96.9 });
    second.clock.advance(300);
    expect([2, 3].map((id) => second.order(id).status)).toEqual(['Cancelled', 'Filled']);
    expect(second.exchange.positions()).toEqual([]);
  });

  test('the exits of an entry that had filled still cancel each other, the day after too', () => {
    const { second } = killed((venue) => {
      bracket(venue, 100.01);
      venue.clock.advance(300);
      expect(venue.order(1).status).toBe('Filled');
    }, day);
    second.pin(102.01, 102.03, { last: 102.02 });
    second.clock.advance(300);
    expect([2, 3].map((id) => second.order(id).status)).toEqual(['Filled', 'Cancelled']);
    expect(second.exchange.positions()).toEqual([]);
  });

  test('an exit that was cancelled before anything was transmitted still names its entry', () => {
    const { first, second } = killed((venue) => {
      venue.place({ ...size, orderId: 1, orderType: 'LMT', lmtPrice: 99, transmit: false });
      venue.place({ ...size, ...limit, orderId: 2, action: 'SELL', parentId: 1, transmit: false });
      venue.exchange.cancel(1, 2);
      venue.clock.advance(50);
    });
    expect(first.exchange.completedOrders()).toMatchObject([{ parentPermId: expect.any(Number) }]);
    expect(first.exchange.completedOrders()[0]?.parentPermId).toBeGreaterThan(0);
    expect(second.exchange.completedOrders()).toEqual(first.exchange.completedOrders());
  });

  test('the end of an unfilled entry ends its exits', () => {
    const { second, open } = killed((venue) => bracket(venue, 99));
    second.exchange.cancel(1, 1);
    second.clock.advance(100);
    expect(open()).toEqual([]);
    expect(second.order(3).status).toBe('Cancelled');
  });

  test('one cancels all', () => {
    const oca = { tif: 'GTC', ocaGroup: 'g', ocaType: 1 };
    const { second, open } = killed((venue) => {
      venue.place({ ...oca, orderId: 1, ...limit });
      venue.place({ ...oca, orderId: 2, orderType: 'STP', auxPrice: 103 });
    });
    second.pin(98.9, 98.95);
    second.clock.advance(300);
    expect(second.order(1).status).toBe('Filled');
    expect(second.order(2)).toMatchObject({ status: 'Cancelled', completedStatus: 'Cancelled by OCA' });
    expect(open()).toEqual([]);
  });
});

describe('accounts', () => {
  test('an execution of before the kill can be corrected, and busted, with its money', () => {
    const { first, second } = killed((venue) => {
      venue.place({ orderId: 1 }, 300);
      venue.place({ orderId: 2, action: 'SELL', totalQuantity: 40 }, 300);
    });
    const [bought] = second.exchange.executions(everything);
    for (const venue of [first, second]) {
      const { execId } = venue.exchange.script.correct(bought?.execId ?? '', { shares: 90, price: 99 });
      expect(execId).toMatch(/\.02$/);
    }
    second.exchange.script.setCash(account, 'USD', 500_000);
    first.exchange.script.setCash(account, 'USD', 500_000);
    expect(second.exchange.positions()).toEqual(first.exchange.positions());
    expect(second.exchange.positions()).toMatchObject([{ position: 50 }]);
    expect(() => second.exchange.script.correct(bought?.execId ?? '', { shares: 0 })).toThrow(/newest/);
    second.exchange.script.correct(bought?.execId.replace(/01$/, '02') ?? '', { shares: 0 });
    expect(second.exchange.positions()).toMatchObject([{ position: -40 }]);
  });

  test('a correction of before the kill counts in the next one', () => {
    const { first, second } = killed((venue) => {
      venue.place({ orderId: 1 }, 300);
      venue.place({ orderId: 2, totalQuantity: 50 }, 300);
      venue.place({ orderId: 3, action: 'SELL', totalQuantity: 120 }, 300);
      const [bought] = venue.executions(1);
      venue.exchange.script.correct(bought?.execId ?? '', { price: 90 });
    });
    const [oldest, other] = first.exchange.executions(everything);
    expect(() => second.exchange.script.correct(oldest?.execId ?? '', { shares: 1 })).toThrow(/newest/);
    for (const venue of [first, second]) venue.exchange.script.correct(other?.execId ?? '', { shares: 40 });
    const money = ({ exchange }: RememberingVenue) => [
      exchange.positions().map(({ position, avgCost, realizedPNL }) => [position, avgCost, realizedPNL]),
      exchange.accountValues(account).filter(({ key }) => key === 'CashBalance'),
    ];
    expect(money(second)).toEqual(money(first));
    expect(second.exchange.positions()).toMatchObject([{ position: 20 }]);
  });

  test('a broker that starts twice in the same moment gives no id twice', () => {
    const home = folder();
    const trade = (venue: RememberingVenue) => {
      const { permId } = venue.exchange.script.external({ contract: aapl, action: 'BUY', totalQuantity: 1 });
      return [permId, venue.exchange.script.fill(permId, 1).execId];
    };
    const before = trade(home.open());
    const after = trade(home.open(home.remains()));
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
  });

  test('a new day begins with positions and cash, without the profit of yesterday', () => {
    const { first, second, completed } = killed((venue) => {
      venue.place({ orderId: 1 }, 300);
      venue.place({ orderId: 2, action: 'SELL', totalQuantity: 40 }, 300);
      expect(venue.exchange.pnl(account).realized).not.toBe(0);
    }, day);
    expect(second.exchange.positions()).toMatchObject([
      { position: 60, avgCost: first.exchange.positions()[0]?.avgCost, realizedPNL: 0 },
    ]);
    expect(second.exchange.pnl(account).realized).toBe(0);
    const cash = (venue: RememberingVenue) =>
      venue.exchange.accountValues(account).find(({ key }) => key === 'TotalCashBalance');
    expect(cash(second)).toEqual(cash(first));
    expect(completed()).toEqual([]);
    expect(second.exchange.executions(everything)).toHaveLength(2);
    expect(second.exchange.executions({ ...everything, since: null })).toEqual([]);
  });

  test('what is older than a week is forgotten, but not what open orders still need', () => {
    const home = folder();
    const first = home.open();
    first.pin(99.99, 100.01, { last: 100 });
    first.place({ orderId: 1 }, 300);
    first.place({ orderId: 2, ...limit, totalQuantity: 10 }, 30);
    first.exchange.cancel(1, 2);
    first.place({ orderId: 3, orderType: 'LMT', lmtPrice: 100.01, tif: 'GTC', transmit: false });
    first.place({ orderId: 4, ...limit, action: 'SELL', lmtPrice: 110, tif: 'GTC', parentId: 3 }, 300);
    expect(first.order(3).status).toBe('Filled');
    const file = home.remains();
    home.open(file, { startMs: mondayMorning + 8 * day });
    const database = new DatabaseSync(join(home.path, home.remains(file)));
    cleanups.push(() => database.close());
    const ids = database.prepare("select json_extract(request, '$.orderId') as id from orders").all();
    expect(ids.map(({ id }) => id)).toEqual([3, 4]);
    expect(database.prepare('select count(*) as n from executions').get()).toEqual({ n: 0 });
  });

  test('values of a remembered position are told every three minutes', () => {
    const { second } = killed((venue) => venue.place({ orderId: 1 }, 300));
    second.clock.advance(180_001);
    expect(second.events).toContainEqual({ type: 'account', account });
  });
});

const everything = {
  clientId: 0,
  account: '',
  since: 0,
  symbol: '',
  secType: '',
  exchange: '',
  side: '',
} as const;

describe('a wrong file is refused by its name, with what to do', () => {
  function file(): string {
    const path = join(folder().path, 'broker.db');
    const memory = openMemory(path);
    memory.close();
    return path;
  }
  function change(path: string, sql: string): void {
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  }
  const refusal = (path: string): string => {
    try {
      openMemory(path).close();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return 'no refusal';
  };

  test('another format', () => {
    const path = file();
    change(path, 'pragma user_version = 99');
    expect(refusal(path)).toContain(path);
    expect(refusal(path)).toMatch(/format 99, this program knows \d+\. Delete it/);
  });

  test('no database', () => {
    const path = file();
    writeFileSync(path, 'x'.repeat(5_000));
    expect(refusal(path)).toContain(path);
    expect(refusal(path)).toMatch(/damaged .*Delete it/);
  });

  test('a damaged page', () => {
    const home = folder();
    const venue = home.open();
    for (let orderId = 1; orderId <= 60; orderId++) venue.place({ orderId, ...limit });
    venue.exchange.close();
    venue.memory.close();
    const path = join(home.path, 'broker.db');
    const bytes = readFileSync(path);
    expect(bytes.length).toBeGreaterThan(40_000);
    bytes.fill(0xa5, 8_192, bytes.length - 8_192);
    writeFileSync(path, bytes);
    expect(refusal(path)).toContain(path);
    expect(refusal(path)).toMatch(/damaged .*Delete it/);
  });

  test('a damaged row', async () => {
    const home = folder();
    const path = join(home.path, 'broker.db');
    const venue = home.open();
    venue.place({ orderId: 1, ...limit });
    venue.exchange.close();
    venue.memory.close();
    change(path, `update orders set state = '{'`);
    await expect(createSimulator({ memoryPath: path })).rejects.toThrow(/broker\.db is damaged .*Delete it/);
    // the refusal leaves the file free
    change(path, `delete from orders`);
    const simulator = await createSimulator({ memoryPath: path });
    await simulator.close();
  });

  test("somebody else's database", () => {
    const path = join(folder().path, 'other.db');
    change(path, 'create table theirs (x)');
    expect(refusal(path)).toMatch(/other\.db is not a memory of the simulated gateway: name another file/);
  });

  test('a file in use', () => {
    const home = folder();
    home.open();
    expect(refusal(join(home.path, 'broker.db'))).toMatch(
      /broker\.db is in use by another simulated gateway: stop that one/,
    );
  });

  test('a folder that cannot be', () => {
    const home = folder();
    writeFileSync(join(home.path, 'file'), '');
    expect(refusal(join(home.path, 'file', 'broker.db'))).toMatch(/cannot open its memory .*broker\.db/);
  });

  test('other accounts', () => {
    const home = folder();
    home.open().place({ orderId: 1 }, 300);
    expect(() => home.open(home.remains(), { accounts: ['DU7'] })).toThrow(
      /killed-1\.db is of account DU1234567, which is not among DU7/,
    );
  });

  test('an exchange of the caller has no memory', async () => {
    const { exchange } = folder().open();
    await expect(createSimulator({ exchange, memoryPath: 'x.db' })).rejects.toThrow(/memoryPath/);
  });

  test('the worker says so', async () => {
    const path = file();
    change(path, 'pragma user_version = 99');
    const worker = new Worker(new URL('../../src/simulator/worker.ts', import.meta.url), {
      workerData: { options: { memoryPath: path } },
    });
    const [message] = await once(worker, 'message');
    expect(message).toEqual({ type: 'failed', message: expect.stringContaining(`${path} has format 99`) });
    await worker.terminate();
  });
});

const main = new URL('../../src/simulator/main.ts', import.meta.url).pathname;

/** The simulator as a process; resolves when it listens. */
async function startProcess(memoryPath: string) {
  const child = spawn(process.execPath, [main, '--port', '0', '--memory', memoryPath], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  cleanups.push(kill);
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += String(chunk);
        const found = /gateway on 127\.0\.0\.1:(\d+)/.exec(output)?.[1];
        if (found !== undefined) resolve(Number(found));
      });
    child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${output}`)));
  });
  return { port, kill };
}

const version = 'v173..173';

test('a gateway process killed with SIGKILL comes back with the order, the fill and the ids', async () => {
  const path = join(folder().path, 'deep', 'broker.db');
  const first = await startProcess(path);
  const before = await RawClient.start(first.port, version);
  before.send(...stockOrder(1, 173, { limit: 1, orderRef: 'rests' }));
  const told = await before.message(([id, orderId]) => id === '3' && orderId === '1');
  before.send(...stockOrder(2, 173, { type: 'MKT', limit: '', quantity: 7 }));
  const filled = await before.message(([id, , orderId]) => id === '11' && orderId === '2');
  await before.message(([id]) => id === '59');
  before.send(...stockOrder(9, 173, { type: 'NO SUCH TYPE' }));
  await before.message(([id, , orderId, code]) => id === '4' && orderId === '9' && code === '387');
  await first.kill();
  before.end();

  const second = await startProcess(path);
  const after = await RawClient.start(second.port, version);
  cleanups.push(() => after.end());
  expect(after.all(9)).toEqual([['9', '1', '10']]);
  const open = await after.answers(5, 1);
  const status = open.filter(([id]) => id === '3');
  expect(status).toHaveLength(1);
  // id, permId
  expect([status[0]?.[1], status[0]?.[6]]).toEqual(['1', told[6]]);
  const executions = (await after.answers(7, 3, 77, 0, '', '', '', '', '', '')).filter(([id]) => id === '11');
  expect(executions.map((fields) => fields.slice(2))).toEqual([filled.slice(2)]);
  const positions = (await after.answers(61, 1)).filter(([id]) => id === '61');
  expect(positions.map((fields) => fields.at(-2))).toEqual(['7']);
  after.send(4, 1, 1, '');
  await after.message(([id, orderId, state]) => id === '3' && orderId === '1' && state === 'Cancelled');
  after.send(...stockOrder(2, 173, { type: 'MKT', limit: '' }));
  await after.message(([id, , orderId, code]) => id === '4' && orderId === '2' && code === '104');
}, 30_000);

test('a gateway that restarts by script keeps its book, and ids that a script lowered are not remembered', async () => {
  const path = join(folder().path, 'broker.db');
  const first = await createSimulator({ memoryPath: path });
  const client = await RawClient.start(first.port, version);
  client.send(...stockOrder(40, 173, { limit: 1 }));
  await client.message(([id, orderId]) => id === '3' && orderId === '40');
  await first.faults.restart({ nextValidId: 3 });
  const again = await RawClient.start(first.port, version);
  expect(again.all(9)).toEqual([['9', '1', '3']]);
  expect((await again.answers(5, 1)).some(([id, orderId]) => id === '3' && orderId === '40')).toBe(true);
  client.end();
  again.end();
  await first.close();

  const second = await createSimulator({ memoryPath: path });
  cleanups.push(() => second.close());
  const last = await RawClient.start(second.port, version);
  cleanups.push(() => last.end());
  expect(last.all(9)).toEqual([['9', '1', '41']]);
  expect((await last.answers(5, 1)).some(([id, orderId]) => id === '3' && orderId === '40')).toBe(true);
});
