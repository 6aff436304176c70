import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts';
import { RawClient, stockOrder } from './rawClient.ts';

const AAPL = ['', 'AAPL', 'STK', '', '', '', '', 'SMART', '', 'USD', '', ''];
const REST = { limit: 1 };

let simulator: Simulator;
const clients: RawClient[] = [];

async function open(options: SimulatorOptions = {}): Promise<void> {
  simulator = await createSimulator({ limits: UNLIMITED, latencyMs: { min: 0, max: 0 }, ...options });
}
afterEach(async () => {
  for (const client of clients.splice(0)) client.end();
  await simulator.close();
});

function dial(): RawClient {
  const client = new RawClient(simulator.port);
  clients.push(client);
  return client;
}
async function start(clientId = 1): Promise<RawClient> {
  const client = await RawClient.start(simulator.port, 'v100..193', clientId);
  clients.push(client);
  return client;
}
const codes = (client: RawClient): string[] => client.all(4).map(([, , , code = '']) => code);
const statuses = (client: RawClient): string[] => client.all(3).map(([, , status = '']) => status);

describe('connections', () => {
  beforeEach(() => open());

  it('drop resets one client or all', async () => {
    const [one, two] = [await start(1), await start(2)];
    simulator.faults.drop(1);
    await one.closed();
    expect(one.error?.code).toBe('ECONNRESET');
    expect(two.isClosed).toBe(false);
    simulator.faults.drop();
    await two.closed();
  });

  it('close ends the connection in order', async () => {
    const client = await start(1);
    simulator.faults.close(1);
    await client.closed();
    expect(client.error).toBeNull();
  });

  it('freeze stops both directions, thaw delivers everything', async () => {
    const client = await start(1);
    simulator.faults.freeze();
    client.send(49, 1);
    client.send(8, 1, 1);
    const other = await start(2);
    // A round trip of another client shows that the server had its turns.
    await other.answers(8, 1, 1);
    expect(client.all(49)).toEqual([]);
    simulator.faults.thaw();
    await client.message(([id]) => id === '49');
    await client.until(() => client.all(9).length === 2);
  });

  it('refuse leaves sessions alone, accept takes new ones on the same port', async () => {
    const client = await start(1);
    const { port } = simulator;
    await simulator.faults.refuse();
    const refused = dial();
    await refused.closed();
    expect(refused.error?.code).toBe('ECONNREFUSED');
    expect(await client.answers(8, 1, 1)).toEqual([['9', '1', '1']]);
    await simulator.faults.accept();
    expect(simulator.port).toBe(port);
    await start(2);
  });

  it('acceptSilently takes connections and never greets', async () => {
    await simulator.faults.acceptSilently();
    const silent = dial();
    silent.greet('v100..193');
    await new Promise((resolve) => silent.socket.once('connect', resolve));
    await simulator.faults.accept();
    await silent.closed();
    expect(silent.messages).toEqual([]);
    await start(1);
  });

  it('restart drops everybody and comes back, with lower ids when scripted', async () => {
    const client = await start(1);
    client.send(...stockOrder(40, 193, REST));
    await client.message(([id]) => id === '3');
    const back = simulator.faults.restart({ downMs: 20, nextValidId: 7 });
    await client.closed();
    await back;
    const again = await start(1);
    // The open order is told again, and what is told raises the ids.
    expect(again.all(9)).toEqual([['9', '1', '7']]);
    await again.message(([id, orderId]) => id === '5' && orderId === '40');
  });
});

describe('the link to IB', () => {
  beforeEach(() => open());

  it('lost: the book moves on unseen; restored with 1102: everything is told and data go on', async () => {
    const client = await start(1);
    client.send(1, 11, 100, ...AAPL, 0, '', 0, 0, '');
    client.send(...stockOrder(1, 193, REST));
    const [, , , , , , permId = ''] = await client.message(([id]) => id === '3');
    simulator.faults.upstreamLost();
    await client.message(([id, , , code]) => id === '4' && code === '1100');
    simulator.exchange.script.fill(Number(permId), 60, 1);
    client.send(...stockOrder(2, 193, REST));
    const frozen = await client.answers(5, 1);
    expect(frozen.filter(([id]) => id === '3').map((fields) => fields.slice(1, 5))).toEqual([
      ['1', expect.stringMatching(/Submitted/), '0', '100'],
    ]);
    expect(client.all(11)).toEqual([]);
    const ticksBefore = client.all(1).length;
    expect(simulator.exchange.openOrders()).toHaveLength(1);

    simulator.faults.upstreamBack(1102);
    await client.message(([id]) => id === '11');
    await client.message(([id, orderId]) => id === '3' && orderId === '2');
    await client.until(() => client.all(1).length > ticksBefore);
    const texts = client.all(4).map(([, , , code, text]) => `${code} ${text}`);
    expect(texts.find((text) => text.startsWith('1102'))).toContain('data maintained');
  });

  it('restored with 1101: data requests are lost, the state is told once', async () => {
    const client = await start(1);
    client.send(1, 11, 100, ...AAPL, 0, '', 0, 0, '');
    client.send(...stockOrder(1, 193, REST));
    const [, , , , , , permId = ''] = await client.message(([id]) => id === '3');
    simulator.faults.upstreamLost({ orders: 'swallow' });
    simulator.exchange.script.fill(Number(permId), 60, 1);
    client.send(...stockOrder(2, 193, REST));
    await client.answers(8, 1, 1);
    simulator.faults.upstreamBack(1101, { replay: 'status' });
    await client.message(([id, , , filled]) => id === '3' && filled === '60');
    expect(client.all(11)).toEqual([]);
    expect(simulator.exchange.openOrders()).toHaveLength(1);
    const answers = await client.answers(2, 1, 100);
    expect(answers.map(([, , , code]) => code)).toEqual(['300']);
  });

  it('a broken farm is named and silent, another kind of contract goes on', async () => {
    const client = await start(1);
    simulator.faults.farmBroken('usfarm');
    await client.message(
      ([id, , , code, text]) => id === '4' && code === '2103' && text?.endsWith(':usfarm') === true,
    );
    client.send(1, 11, 100, ...AAPL, 0, '', 0, 0, '');
    client.send(
      1,
      11,
      101,
      '',
      'EUR',
      'CASH',
      '',
      '',
      '',
      '',
      'IDEALPRO',
      '',
      'USD',
      '',
      '',
      0,
      '',
      0,
      0,
      '',
    );
    await client.message(([id, , reqId]) => id === '1' && reqId === '101');
    expect(client.all(1).filter(([, , reqId]) => reqId === '100')).toEqual([]);
    const late = await start(2);
    await late.message(([id, , , code]) => id === '4' && code === '2103');
    simulator.faults.farmOk('usfarm');
    await client.message(([id, , reqId]) => id === '1' && reqId === '100');
    expect(() => simulator.faults.farmOk('nofarm')).toThrow('usfarm');
  });

  it('shows delayed data or none when the account may not see more', async () => {
    const client = await start(1);
    simulator.faults.marketData('none');
    const [none] = await client.answers(1, 11, 1, ...AAPL, 0, '', 0, 0, '');
    expect(none?.slice(2, 4)).toEqual(['1', '354']);
    simulator.faults.marketData('delayed');
    const [refused] = await client.answers(1, 11, 2, ...AAPL, 0, '', 0, 0, '');
    expect(refused?.slice(2, 4)).toEqual(['2', '354']);
    client.send(59, 1, 3);
    client.send(1, 11, 3, ...AAPL, 0, '', 0, 0, '');
    await client.message(([id, , reqId, type]) => id === '1' && reqId === '3' && type === '66');
    expect(codes(client)).toContain('10167');
  });
});

describe('messages', () => {
  beforeEach(() => open());

  it('swallow takes so many of a kind, and no others', async () => {
    const client = await start(1);
    const fault = simulator.faults.swallow({ messages: ['orderStatus'], fields: { 1: 1 } }, 1);
    client.send(...stockOrder(1, 193, REST));
    client.send(...stockOrder(2, 193, REST));
    await client.message(([id, orderId]) => id === '3' && orderId === '2');
    expect(client.all(5).map(([, orderId]) => orderId)).toContain('1');
    expect(client.all(3).filter(([, orderId]) => orderId === '1')).toEqual([]);
    expect(fault.acted).toBe(1);
  });

  it('hold keeps messages until they are released', async () => {
    const client = await start(1);
    const hold = simulator.faults.hold({ messages: ['openOrder', 3] });
    client.send(...stockOrder(1, 193, REST));
    await expect.poll(() => hold.acted, { timeout: 5000 }).toBeGreaterThanOrEqual(2);
    await client.answers(8, 1, 1);
    expect(client.all(5)).toEqual([]);
    expect(simulator.faults.releaseHeld()).toBeGreaterThanOrEqual(2);
    await client.message(([id]) => id === '3');
    expect(client.all(5).length).toBeGreaterThan(0);
  });

  it('duplicate, reorder and alter', async () => {
    const client = await start(1);
    const duplicate = simulator.faults.duplicate({ messages: ['nextValidId'] }, { copies: 2 });
    expect(await client.answers(8, 1, 1)).toHaveLength(3);
    duplicate.clear();
    simulator.faults.alter({ messages: ['nextValidId'] }, { set: { 2: 99 }, add: ['extra'] }, 1);
    simulator.faults.alter({ messages: ['nextValidId'] }, { cut: 1 }, 1);
    expect(await client.answers(8, 1, 1)).toEqual([['9', '1', '99', 'extra']]);
    expect(await client.answers(8, 1, 1)).toEqual([['9', '1']]);
    simulator.faults.reorder({ messages: ['managedAccounts', 'nextValidId'] }, { window: 2, times: 1 });
    client.send(17, 1);
    expect((await client.answers(8, 1, 1)).map(([id]) => id)).toEqual(['9', '15']);
  });

  it('inject sends any message, also a broken one', async () => {
    const client = await start(3);
    simulator.faults.injectError(-1, 1300, 'moved', 3);
    simulator.faults.inject([9], 3);
    await client.message((fields) => fields.length === 1 && fields[0] === '9');
    expect(codes(client)).toContain('1300');
  });

  it('clear ends every rule and releases what is held', async () => {
    const client = await start(1);
    simulator.faults.hold({ messages: ['nextValidId'] });
    simulator.faults.swallow({ messages: ['managedAccounts'] });
    simulator.faults.reorder({ messages: ['familyCodes'] }, { window: 2 });
    client.send(80);
    expect(await client.answers(8, 1, 1)).toEqual([]);
    simulator.faults.clear();
    await client.message(([id]) => id === '78');
    await client.until(() => client.all(9).length === 2);
    expect(await client.answers(17, 1)).toHaveLength(1);
  });

  it('refuses names of messages that do not exist', () => {
    expect(() => simulator.faults.swallow({ messages: ['orderStatuss'] })).toThrow('orderStatuss');
  });
});

describe('requests', () => {
  beforeEach(() => open());

  it('ignore records them and answers nothing', async () => {
    const client = await start(1);
    simulator.faults.ignore({ messages: ['reqIds'] }, 1);
    expect(await client.answers(8, 1, 1)).toEqual([]);
    expect(await client.answers(8, 1, 1)).toHaveLength(1);
    expect(simulator.received({ message: 'reqIds', clientId: 1 })).toHaveLength(2);
    expect(
      simulator
        .received()
        .map(({ name }) => name)
        .slice(0, 2),
    ).toEqual(['hello', 'startApi']);
  });

  it('a dialog lets one order through and hides the rest', async () => {
    const client = await start(1);
    simulator.faults.dialog();
    for (const orderId of [1, 2, 3]) client.send(...stockOrder(orderId, 193, REST));
    await client.message(([id, orderId]) => id === '3' && orderId === '1');
    await client.answers(8, 1, 1);
    expect(client.all(3).map(([, orderId]) => orderId)).not.toContain('2');
    expect(simulator.received({ message: 'placeOrder' })).toHaveLength(3);
    simulator.faults.dismissDialog();
    client.send(...stockOrder(4, 193, REST));
    await client.message(([id, orderId]) => id === '3' && orderId === '4');
  });

  it('reject answers the next orders with an error', async () => {
    const client = await start(1);
    simulator.faults.reject(201, 'Order rejected - reason:test');
    client.send(...stockOrder(1, 193, REST));
    await client.message(([id, , orderId, code]) => id === '4' && orderId === '1' && code === '201');
    client.send(...stockOrder(2, 193, REST));
    await client.message(([id, orderId]) => id === '3' && orderId === '2');
  });

  it('punish sends error 100 and closes', async () => {
    const client = await start(1);
    simulator.faults.punish({ clientId: 1, times: 2 });
    await client.closed();
    expect(codes(client).filter((code) => code === '100')).toHaveLength(2);
  });

  it('setNextValidId and offerVersion change what clients are told', async () => {
    simulator.faults.setNextValidId(500, 2);
    simulator.faults.offerVersion(176);
    const client = await start(2);
    expect(client.messages[0]?.[0]).toBe('176');
    expect(client.all(9)).toEqual([['9', '1', '500']]);
  });
});

describe('time and chance', () => {
  it('delay sends messages later', async () => {
    const clock = new VirtualClock();
    await open({ clock });
    const client = await start(1);
    simulator.faults.delay({ messages: ['nextValidId'] }, 50, 1);
    expect(await client.answers(8, 1, 1)).toEqual([]);
    clock.advance(49);
    expect(await client.answers(17, 1)).toHaveLength(1);
    clock.advance(1);
    await client.until(() => client.all(9).length === 2);
  });

  it('a virtual clock moves the market, fills and outages only when told', async () => {
    await open({ clock: new VirtualClock() });
    const client = await start(1);
    client.send(1, 11, 100, ...AAPL, 0, '', 0, 0, '');
    await client.answers(8, 1, 1);
    const before = client.messages.length;
    await client.answers(8, 1, 1);
    expect(client.messages.length - before).toBe(2);
    simulator.advance(5000);
    await client.until(() => client.messages.length > before + 20);
    expect(() => new VirtualClock().advance(-1)).toThrow(RangeError);
  });

  it('the same seed gives the same session, byte for byte', async () => {
    const record = async (seed: number): Promise<string> => {
      await open({ clock: new VirtualClock(), seed });
      const client = await start(1);
      simulator.faults.reorder({ messages: ['tickPrice'] }, { window: 5, order: 'shuffled' });
      client.send(1, 11, 100, ...AAPL, 0, '', 0, 0, '');
      client.send(...stockOrder(1, 193, { type: 'MKT', limit: '' }));
      await client.answers(8, 1, 1);
      for (let step = 0; step < 10; step += 1) {
        simulator.advance(500);
        await client.answers(8, 1, 1);
      }
      const text = client.messages.map((fields) => fields.join('|')).join('\n');
      client.end();
      await simulator.close();
      return text;
    };
    const first = await record(7);
    expect(first.split('\n').length).toBeGreaterThan(50);
    expect(await record(7)).toBe(first);
    expect(await record(8)).not.toBe(first);
    await open();
  });

  it('fires virtual timers one by one, each at its own time', () => {
    const clock = new VirtualClock(0);
    const fired: string[] = [];
    const note = (name: string) => () => fired.push(`${name}@${clock.now()}`);
    clock.setTimeout(note('b'), 20);
    clock.setTimeout(() => {
      note('a')();
      clock.setTimeout(note('inner'), 5);
    }, 10);
    const cancelled = clock.setTimeout(note('never'), 12);
    clock.setTimeout(note('b2'), 20);
    clock.clearTimeout(cancelled);
    clock.advance(19);
    expect(fired).toEqual(['a@10', 'inner@15']);
    clock.advance(1);
    expect(fired).toEqual(['a@10', 'inner@15', 'b@20', 'b2@20']);
    expect(clock.now()).toBe(20);
  });
});

describe('orders of TWS itself', () => {
  beforeEach(() => open());

  function manualOrder() {
    const apple = simulator.exchange.resolve({
      conId: 265598,
      symbol: '',
      secType: '',
      lastTradeDateOrContractMonth: '',
      strike: 0,
      right: '',
      multiplier: '',
      exchange: 'SMART',
      primaryExchange: '',
      currency: '',
      localSymbol: '',
      tradingClass: '',
      comboLegs: [],
    });
    if (!('details' in apple)) throw new Error(apple.text);
    return {
      contract: apple.details.contract,
      action: 'BUY',
      totalQuantity: 5,
      orderType: 'LMT',
      lmtPrice: 1,
    };
  }

  it('are listed for all, and bound by client 0', async () => {
    const [zero, one] = [await start(0), await start(1)];
    const manual = manualOrder();
    simulator.exchange.script.external(manual);
    await one.answers(16, 1);
    expect(one.all(5)[0]?.[1]).toBe('0');
    expect((await one.answers(5, 1)).map(([id]) => id)).toEqual(['53']);
    expect(zero.all(5)).toEqual([]);
    await zero.answers(5, 1);
    const [bound] = zero.all(100);
    const boundId = bound?.[3] ?? '';
    expect(Number(boundId)).toBeLessThan(-1);
    expect(zero.all(5)[0]?.[1]).toBe(boundId);
    zero.send(4, Number(boundId), '', '', 2147483647);
    await zero.message(
      ([id, orderId, status]) => id === '3' && orderId === boundId && status === 'Cancelled',
    );
    expect(statuses(one)).not.toContain('Cancelled');
    zero.send(15, 1, 1);
    await zero.answers(8, 1, 1);
    simulator.exchange.script.external(manual);
    await zero.until(() => zero.all(100).length === 2);
  });

  it('can be changed by client 0 once they are bound, and every error carries the bound id', async () => {
    const zero = await start(0);
    zero.send(15, 1, 1);
    await zero.answers(8, 1, 1);
    simulator.exchange.script.external(manualOrder());
    const [, permId = '', , boundId = ''] = await zero.message(([id]) => id === '100');
    const change = (limit: number) => zero.send(...stockOrder(Number(boundId), 193, { quantity: 5, limit }));
    change(2);
    const changed = await zero.message(
      ([id, orderId, ...rest]) => id === '5' && orderId === boundId && rest[14] === '2.0',
    );
    expect(changed[25]).toBe(permId);
    change(2.001);
    await zero.message(([id, , orderId, code]) => id === '4' && orderId === boundId && code === '110');
    zero.send(4, Number(boundId), '', '', 2147483647);
    await zero.message(([id, , , code]) => id === '4' && code === '202');
    const told = zero.all(4).filter(([, , id]) => id !== '-1');
    expect(told.map(([, , id, code]) => [id, code])).toEqual([
      [boundId, '110'],
      [boundId, '202'],
    ]);
    expect(simulator.exchange.openOrders()).toEqual([]);
  });
});
