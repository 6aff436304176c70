import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type Limits, UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { IN } from '../../src/simulator/wire/names.ts';
import { RawClient, stockOrder } from './rawClient.ts';
import { TinyExchange } from './tinyExchange.ts';

let simulator: Simulator;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.end();
  await simulator.close();
});

async function open(limits: Partial<Limits> = {}): Promise<void> {
  simulator = await createSimulator({ exchange: new TinyExchange(), limits: { ...UNLIMITED, ...limits } });
}
async function start(clientId = 1, version = 'v100..193'): Promise<RawClient> {
  const client = await RawClient.start(simulator.port, version, clientId);
  clients.push(client);
  return client;
}
function dial(): RawClient {
  const client = new RawClient(simulator.port);
  clients.push(client);
  return client;
}
const errors = (client: RawClient): string[] => client.all(4).map(([, , , code = '']) => code);

describe('connections', () => {
  it('negotiates each connection for itself', async () => {
    await open();
    const versions: (string | undefined)[] = [];
    for (const [index, hello] of ['v100..173', 'v157..178 +PACEAPI', 'v100..200', 'v176'].entries()) {
      versions.push((await start(index, hello)).messages[0]?.[0]);
    }
    expect(versions).toEqual(['173', '178', '193', '176']);
    expect(simulator.clients().map(({ version }) => version)).toEqual([173, 178, 193, 176]);
  });

  it('answers garbage with 320 and closes', async () => {
    await open();
    for (const send of [
      (client: RawClient) => client.socket.write('GET / HTTP/1.1\r\n\r\n'),
      (client: RawClient) => client.greet('hello'),
    ]) {
      const client = dial();
      send(client);
      await client.closed();
      expect(errors(client)).toEqual(['320']);
    }
    for (const fields of [['nonsense'], ['3', '1', 'x'], ['1', '11'], ['']]) {
      const client = await start();
      client.send(...fields);
      await client.closed();
      expect(errors(client)).toContain('320');
    }
    const client = await start();
    client.socket.write(Buffer.from([0, 0, 0, 0]));
    await client.closed();
    expect(errors(client)).toContain('320');
  });

  it('closes a connection whose frame is over the limit, and survives the others', async () => {
    await open({ frameBytes: 1000 });
    const bystander = await start(2);
    const client = await start(1);
    client.send(49, 'x'.repeat(2000));
    await client.closed();
    expect(errors(client)).toContain('320');
    expect((await bystander.answers(8, 1, 1))[0]).toEqual(['9', '1', '1']);
  });

  it('refuses a client id that is in use, and takes it again after the first is gone', async () => {
    await open();
    const first = await start(5);
    const second = dial();
    second.greet('v100..193');
    second.send(71, 2, 5, '');
    await second.closed();
    expect(errors(second)).toEqual(['326']);
    first.end();
    while (simulator.clients().length > 0) await new Promise((resolve) => setTimeout(resolve, 2));
    await start(5);
  });

  it('serves thirty-two clients and refuses the next', async () => {
    await open();
    await Promise.all(Array.from({ length: 32 }, (_, clientId) => start(clientId)));
    const extra = dial();
    await extra.closed();
    expect(extra.messages).toEqual([]);
    expect(simulator.clients()).toHaveLength(32);
  });

  it('ignores requests before START_API', async () => {
    await open();
    const client = dial();
    client.greet('v100..193');
    client.send(49, 1);
    client.send(71, 2, 1, '');
    await client.message(([id]) => id === '9');
    expect(client.all(49)).toEqual([]);
  });

  it('binds loopback only', async () => {
    await open();
    const outcome = await new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.2', port: simulator.port });
      socket.on('connect', () => {
        socket.destroy();
        resolve('connected');
      });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
    expect(outcome).toBe('ECONNREFUSED');
  });
});

describe('limits of a TWS', () => {
  it('answers the fifty-first message of a second with error 100', async () => {
    await open({ messagesPerSecond: 50, rateViolations: 3 });
    const client = await start();
    for (let count = 0; count < 60; count += 1) client.send(8, 1, 1);
    await client.until(() => errors(client).filter((code) => code === '100').length === 11);
    // START_API counts as well.
    expect(client.all(9)).toHaveLength(1 + 49);
    expect(client.isClosed).toBe(false);
  });

  it('closes the connection when it goes on', async () => {
    await open({ messagesPerSecond: 1, rateViolations: 1 });
    const client = await start();
    client.send(8, 1, 1);
    await client.closed();
    expect(errors(client)).toContain('100');
  });

  it('has so many lines of each kind', async () => {
    await open({ marketDataLines: 2, depthLines: 1, tickByTickLines: 1, accountSummaries: 2 });
    const client = await start();
    const aapl = ['', 'AAPL', 'STK', '', '', '', '', 'SMART', '', 'USD', '', ''];
    for (const reqId of [1, 2, 3]) client.send(1, 11, reqId, ...aapl, 0, '', 0, 0, '');
    for (const reqId of [11, 12]) client.send(10, 5, reqId, ...aapl, 1, 1, '');
    for (const reqId of [21, 22]) client.send(97, reqId, ...aapl, 'Last', 0, 0);
    for (const reqId of [31, 32, 33]) client.send(62, 1, reqId, 'All', 'NetLiquidation');
    await client.answers(8, 1, 1);
    expect(client.all(4).map(([, , id, code]) => `${id} ${code}`)).toEqual(
      expect.arrayContaining(['3 101', '12 309', '22 10190', '33 322']),
    );
    client.send(2, 1, 1);
    client.send(1, 11, 4, ...aapl, 0, '', 0, 0, '');
    await client.message(([id, , reqId]) => id === '58' && reqId === '4');
  });
});

describe('order ids', () => {
  it('are per client, rise with use, and are spent once', async () => {
    await open();
    const one = await start(1);
    const two = await start(2);
    one.send(...stockOrder(10, 193));
    await one.message(([id]) => id === '3');
    expect(await one.answers(8, 1, 1)).toEqual([['9', '1', '11']]);
    expect(await two.answers(8, 1, 1)).toEqual([['9', '1', '1']]);
    const spent = await one.answers(...stockOrder(4, 193));
    expect(spent).toEqual([['4', '2', '4', '103', 'Duplicate order id', '']]);
    const modified = await one.answers(...stockOrder(10, 193, { limit: 2 }));
    expect(modified.map(([id]) => id)).toEqual(['5', '3']);
    const unsent = await one.answers(...stockOrder(11, 193, { transmit: 0 }));
    expect(unsent).toEqual([]);
    const sent = await one.answers(...stockOrder(11, 193, { transmit: 1 }));
    expect(sent.map(([id]) => id)).toEqual(['5', '3']);
  });

  it('are remembered across connections, and open orders are told again', async () => {
    await open();
    const first = await start(1);
    first.send(...stockOrder(3, 193));
    await first.message(([id]) => id === '3');
    first.end();
    while (simulator.clients().length > 0) await new Promise((resolve) => setTimeout(resolve, 2));
    const again = await start(1);
    expect(again.all(9)).toEqual([['9', '1', '4']]);
    await again.message(([id, orderId]) => id === '5' && orderId === '3');
    const other = await start(2);
    await other.answers(16, 1);
    expect(other.all(5)[0]?.slice(0, 2)).toEqual(['5', '3']);
    // What was shown to a client raises its own ids.
    expect(await other.answers(8, 1, 1)).toEqual([['9', '1', '4']]);
    expect((await other.answers(5, 1)).map(([id]) => id)).toEqual(['53']);
  });
});

describe('damaged input', () => {
  it('never takes the gateway down, whatever the bytes', async () => {
    await open();
    const bystander = await start(99);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, isStarted) => {
        const client = isStarted ? await start(1) : dial();
        client.socket.end(Buffer.from(bytes));
        await client.closed();
      }),
      { numRuns: 60 },
    );
    expect(await bystander.answers(8, 1, 1)).toEqual([['9', '1', '1']]);
  });

  it('never takes the gateway down, whatever the fields of a known request', async () => {
    simulator = await createSimulator({ limits: UNLIMITED });
    const field = fc.oneof(
      fc.constantFrom('', '0', '1', '-1', 'AAPL', 'STK', 'SMART', 'USD', '2147483647', '1.5', 'x'),
      fc.string({ maxLength: 6 }).map((text) => text.replaceAll('\0', '')),
    );
    const ids = Object.values(IN).filter((id) => id !== IN.hello && id !== IN.startApi);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ids), fc.array(field, { maxLength: 40 }), async (id, fields) => {
        const client = await start(1);
        client.send(id, ...fields);
        client.send(49, 1);
        client.socket.end();
        await client.closed();
        expect(client.all(49).length > 0 || errors(client).includes('320')).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
