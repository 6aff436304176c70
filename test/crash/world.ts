/**
 * One broker that lives on, and one program that is killed again and again on the same journal. What the user wanted is
 * remembered here, so that the books can be compared with it.
 */
import type { BookOrder, ExchangeEvent, Execution } from '../../src/simulator/model.ts';
import { seededRandom } from '../../src/simulator/shuffle.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { eventually, type Program, startProgram, temporaryFolder } from '../program.ts';
import { type BrokerBook, disagreements, passingDenial } from './books.ts';

/** How the program is to die: at a named point, or so many ms after the first command (negative: after its start). */
export type Death = { readonly at: string } | { readonly afterMs: number };

export interface World {
  readonly steps: readonly string[];
  /** Lets a program live until its death. Whether it died where it was told to. */
  live(death: Death): Promise<boolean>;
  /** Starts a program once more, lets it settle, and compares the books. Throws with what disagrees. */
  settle(): Promise<void>;
  /** the newest lines of the log of the newest program, warnings and worse last */
  log(): readonly string[];
  close(): Promise<void>;
}

const preload = new URL('./preload.ts', import.meta.url).href;
/** A batch is over within this time, if nobody dies. */
const batchMs = 1_500;
const settleMs = 30_000;
const stocks = ['AAPL', 'MSFT', 'SPY'] as const;

/** `cache`: a folder of compiled modules, so that a life begins sooner. */
export async function createWorld(seed: number, cache: string): Promise<World> {
  const random = seededRandom(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const folder = temporaryFolder();
  const simulator = await createSimulator({ seed, latencyMs: { min: 0, max: 8 }, tickIntervalMs: 40 });
  const broker = followBroker(simulator);
  const steps: string[] = [];
  /** every order that was ever asked for, and what its first definite answer was */
  const intents = new Map<string, { readonly body: object; status: number | null }>();
  const changes = new Map<string, number>();
  let running: Program | null = null;
  let lives = 0;

  // Some orders fill in several executions.
  for (const { contract } of simulator.exchange.findContracts({ ...anything, symbol: 'AAPL' }))
    simulator.exchange.script.setLiquidity(contract.conId, 4);

  async function start(environment: Record<string, string>): Promise<Program> {
    lives += 1;
    return startProgram(folder.path, {
      GATEWAY: 'tws',
      TWS_PORT: String(simulator.port),
      LOG_LEVEL: 'info',
      // What one life left unanswered is asked of the next all at once, and on a slow machine that is a lot.
      MAX_ORDERS_PER_SECOND: '0',
      NODE_OPTIONS: `--import ${preload}`,
      NODE_COMPILE_CACHE: cache,
      ...environment,
    });
  }

  /** One request of a client that survives the program; null when the program died before the answer. */
  async function ask(program: Program, method: string, path: string, body?: unknown) {
    try {
      return await program.call(method, path, body);
    } catch {
      return null;
    }
  }

  async function submit(program: Program, clientOrderId: string): Promise<void> {
    const intent = intents.get(clientOrderId);
    if (!intent) return;
    const answer = await ask(program, 'POST', '/v1/orders', intent.body);
    steps.push(`POST ${clientOrderId} -> ${answer?.status ?? 'nothing'}`);
    if (!answer || answer.status === 503) return;
    const isDenied = answer.status === 422 && answer.body.code === `denied-${passingDenial}`;
    if (answer.status !== 201 && answer.status !== 200 && !isDenied)
      throw new Error(
        `${clientOrderId} is answered with ${answer.status} ${JSON.stringify(answer.body)}, at first with ${intent.status}`,
      );
    intent.status = answer.status;
  }

  function want(kind: string, terms: object): string {
    const clientOrderId = `${kind}-${intents.size + 1}`;
    intents.set(clientOrderId, { body: { clientOrderId, ...terms }, status: null });
    return clientOrderId;
  }

  const resting = (limitPrice: string) => ({
    instrument: pick(stocks),
    side: 'buy',
    quantity: '7',
    type: 'limit',
    limitPrice,
    timeInForce: 'gtc',
  });

  async function openOrders(program: Program): Promise<string[]> {
    const answer = await ask(program, 'GET', '/v1/orders?state=open&limit=500');
    const orders = (answer?.body.orders ?? []) as { clientOrderId: string; state: string }[];
    return orders.filter(({ state }) => state === 'working').map(({ clientOrderId }) => clientOrderId);
  }

  /** Orders that fill, orders that rest, a bracket; changes and cancels of what rests; repeats of what was not answered. */
  async function batch(program: Program): Promise<void> {
    const unanswered = [...intents].filter(([, { status }]) => status === null).map(([id]) => id);
    const old = await openOrders(program);
    const fresh = [
      want('fills', { instrument: 'AAPL', side: pick(['buy', 'sell']), quantity: '10', type: 'market' }),
      want('rests', resting('1.00')),
      want('fills', { instrument: pick(stocks), side: pick(['buy', 'sell']), quantity: '3', type: 'market' }),
      want('bracket', {
        ...resting('1.50'),
        bracket: { takeProfit: { limitPrice: '900.00' }, stopLoss: { stopPrice: '0.50' } },
      }),
      want('rests', resting('1.10')),
      want('fills', { instrument: 'SPY', side: 'buy', quantity: '2', type: 'market' }),
    ];
    const submissions = [...unanswered, ...fresh].map((id) => submit(program, id));
    const mine = [...old];
    await Promise.all([
      ...submissions,
      (async () => {
        await submissions.at(-5);
        const others = await openOrders(program);
        const known = [...new Set([...mine, ...others])].filter((id) => id.startsWith('rests'));
        await Promise.all([
          ...known.slice(0, 3).map(async (id) => {
            changes.set(id, (changes.get(id) ?? 0) + 1);
            const limitPrice = (1.2 + Math.floor(random() * 50) / 100).toFixed(2);
            const answer = await ask(program, 'PATCH', `/v1/orders/${id}`, { limitPrice });
            steps.push(`PATCH ${id} ${limitPrice} -> ${answer?.status ?? 'nothing'}`);
          }),
          ...[...known.slice(3), ...old.filter((id) => /^bracket-\d+$/.test(id))].map(async (id) => {
            const answer = await ask(program, 'DELETE', `/v1/orders/${id}`);
            steps.push(`DELETE ${id} -> ${answer?.status ?? 'nothing'}`);
          }),
        ]);
      })(),
    ]);
  }

  const isTrading = async (program: Program) =>
    (await ask(program, 'GET', '/health/ready?gate=trading'))?.status === 200;

  const world: World = {
    steps,

    async live(death) {
      const point = 'at' in death ? death.at : null;
      steps.push(
        `life ${lives + 1}, to die ${point ?? `after ${'afterMs' in death ? death.afterMs : 0} ms`}`,
      );
      let program: Program;
      try {
        program = await start(point === null ? {} : { CRASH_AT: point });
      } catch (error) {
        if (point === null || !String(error).includes('ended with null')) throw error;
        steps.push('died before it listened');
        return true;
      }
      running = program;
      let isDead = false;
      const ended = program.ended.then(() => {
        isDead = true;
      });
      const early = 'afterMs' in death && death.afterMs < 0;
      if (early) await Promise.race([ended, pause(-death.afterMs)]);
      else {
        await eventually(
          async () => isDead || (await isTrading(program)),
          (value) => value,
          settleMs,
        );
        const work = isDead ? Promise.resolve() : batch(program);
        const timer = 'afterMs' in death ? pause(death.afterMs) : work.then(() => pause(batchMs));
        await Promise.race([ended, timer, work.then(() => ended)]);
        const died = isDead;
        await program.kill();
        await work;
        running = null;
        steps.push(died ? `died ${point}` : 'killed from outside');
        return died || point === null;
      }
      await program.kill();
      running = null;
      steps.push('killed early');
      return true;
    },

    async settle() {
      const program = await start({});
      running = program;
      await eventually(
        () => isTrading(program),
        (value) => value,
        settleMs,
      );
      for (const [id, { status }] of intents) if (status === null) await submit(program, id);
      const books = { call: program.call, broker, intents, changes };
      await eventually(
        () => disagreements(books),
        (found) => found.length === 0,
        settleMs,
      );
      steps.push('the books agree');
      await program.kill();
      running = null;
    },

    log: () => running?.lines.slice(-25) ?? [],

    async close() {
      await running?.kill();
      await simulator.close();
      folder.remove();
    },
  };
  return world;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const anything = {
  conId: 0,
  symbol: '',
  secType: 'STK',
  lastTradeDateOrContractMonth: '',
  strike: 0,
  right: '' as const,
  multiplier: '',
  exchange: 'SMART',
  primaryExchange: '',
  currency: 'USD',
  localSymbol: '',
  tradingClass: '',
  comboLegs: [],
  includeExpired: false,
  secIdType: '',
  secId: '',
};

/** The broker's book as its own events tell it, from the first to the last, across days. */
function followBroker(simulator: Simulator): BrokerBook {
  const orders = new Map<number, BookOrder>();
  const executions = new Map<string, Execution>();
  const hear = (event: ExchangeEvent): void => {
    if (event.type === 'openOrder' || event.type === 'orderStatus') {
      if (event.order.permId !== 0 && !event.order.request.whatIf)
        orders.set(event.order.permId, event.order);
    }
    if (event.type === 'execution') executions.set(event.execution.execId, event.execution);
  };
  simulator.exchange.onEvent(hear);
  return { simulator, orders, executions };
}
