/** Promises that take their time: doubts about orders, pacing. Told on a runtime of their own, beside the others. */
import { expect } from 'vitest';
import { eventually } from './program.ts';
import { type Answer, startWhole, type Whole } from './whole.ts';

// biome-ignore lint/suspicious/noExplicitAny: rows of the public API, read by name
type Row = any;

export const received = (of: Whole, message: string) => of.simulator.received({ message });
/** The broker's own record of the order that carries this reference. */
export const brokerOf = ({ simulator: { exchange } }: Whole, reference: string) => {
  const found = [...exchange.openOrders(), ...exchange.completedOrders()].find(
    ({ request }) => request.orderRef === reference,
  );
  if (!found) throw new Error(`the broker has no order "${reference}"`);
  return found;
};

/** What goes on, and its ends. */
export interface Slow {
  readonly patient: Whole;
  readonly doubts: Promise<Doubts>;
  readonly paced: Promise<Answer>;
  readonly refusedForPace: Promise<Answer>;
}
/** Waits until no list is under way: what is asked for from now on has a new reason. */
export const untilQuiet = (of: Whole) =>
  eventually(
    () => of.program.runtime.child('reconciliation').getSnapshot(),
    (asking) => asking.hasTag('reconciled') && asking.context.wanted === 0,
  );
export const bars = (of: Whole, instrument: string) =>
  of.call('GET', `/v1/bars/${instrument}?duration=3600%20S&barSize=5%20mins`);

/** Answers each request for bars of this symbol with an error of its own, as often as it is asked. */
export function refuseBars(of: Whole, symbol: string, text: string) {
  const { faults } = of.simulator;
  const ignored = faults.ignore({ messages: ['reqHistoricalData'], fields: { 3: symbol } });
  let told = 0;
  const timer = setInterval(() => {
    const requests = received(of, 'reqHistoricalData').filter((request) => request.fields[3] === symbol);
    for (const request of requests.slice(told))
      faults.injectError(
        Number(request.fields[1]),
        162,
        `Historical Market Data Service error message:${text}`,
      );
    told = requests.length;
  }, 20);
  return () => {
    clearInterval(timer);
    ignored.clear();
  };
}

/** Orders as they were seen in doubt, and when the broker was asked about them, ms. */
export interface Doubts {
  readonly seen: Readonly<Record<string, Row>>;
  readonly sentAt: number;
  readonly unansweredAskedAt: number;
  /** between one question about the missing ones and the next, ms */
  readonly pauses: readonly number[];
  readonly settled: Readonly<Record<string, Row>>;
  /** what keeps the missing ones from the lists */
  readonly unlisting: readonly { clear(): void }[];
}
async function doubt(patient: Whole): Promise<Doubts> {
  const { faults, exchange } = patient.simulator;
  const inDoubt = (id: string) => patient.order(id, ({ state }) => state === 'inDoubt', 20_000);
  const words = ['openOrder', 'orderStatus'];
  const unlisting = [faults.swallow({ messages: ['completedOrder'] })];
  for (const clientOrderId of ['unlisted', 'ended']) await patient.place({ clientOrderId });
  for (const id of ['unlisted', 'ended']) {
    const { orderId } = brokerOf(patient, id).request;
    unlisting.push(
      faults.swallow({ messages: words, fields: { 1: orderId } }),
      faults.swallow({ messages: ['error'], fields: { 2: orderId } }),
    );
  }
  exchange.script.end(brokerOf(patient, 'ended').permId, 'Cancelled');
  const neverArrived = faults.ignore({ messages: ['placeOrder'] }, 1);
  await patient.place({ clientOrderId: 'lost' }, '');
  await eventually(
    () => neverArrived.acted,
    (acted) => acted === 1,
  );
  await untilQuiet(patient);
  // No list is complete until these two have been seen in doubt, and were asked about.
  const silence = faults.hold({ messages: [...words, 'openOrderEnd'] });
  await patient.place({ clientOrderId: 'unanswered' }, '');
  const sent = await eventually(
    () => received(patient, 'placeOrder'),
    ({ length }) => length === 4,
  );
  const seen: Record<string, Row> = {};
  for (const id of ['lost', 'unanswered']) seen[id] = await inDoubt(id);
  const questions = (order: Row) =>
    patient.simulator
      .received({ message: 'reqAllOpenOrders', since: Date.parse(order.updatedAt) })
      .map(({ at }) => at);
  const [unansweredAskedAt = 0] = await eventually(
    () => questions(seen.unanswered),
    ({ length }) => length > 0,
  );
  silence.clear();
  faults.releaseHeld();
  for (const id of ['unlisted', 'ended']) seen[id] = await inDoubt(id);
  // A question is several lists at once, and the next one comes after a pause of seconds.
  const pauses = await eventually(
    () =>
      questions(seen.unlisted)
        .map((at, place, all) => at - (all[place - 1] ?? at))
        .filter((ms) => ms > 1_000),
    (all) => all.length >= 2 && Math.max(...all) > 3_000,
    20_000,
  );
  const settled: Record<string, Row> = {};
  for (const id of ['lost', 'unanswered', 'unlisted', 'ended'])
    settled[id] = (await patient.call('GET', `/v1/orders/${id}`)).body;
  return { seen, sentAt: sent.at(-2)?.at ?? 0, unansweredAskedAt, pauses, settled, unlisting };
}

export async function startSlow(): Promise<Slow> {
  const patient = await startWhole({ simulator: { limits: { historicalRequestsPerTenMinutes: 3 } } });
  const endPacing = refuseBars(patient, 'MSFT', 'Historical data request pacing violation');
  expect((await bars(patient, 'AAPL')).status).toBe(200);
  const slowly = {
    patient,
    doubts: doubt(patient),
    paced: bars(patient, 'AAPL'),
    refusedForPace: bars(patient, 'MSFT').finally(endPacing),
  };
  for (const promise of [slowly.doubts, slowly.paced, slowly.refusedForPace]) promise.catch(() => undefined);
  return slowly;
}
