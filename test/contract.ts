/** How the contract with clients is told: promises by name, each with a check against the whole runtime. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamTester } from './http/stream-tester.ts';
import { type Answer, startWhole, type Whole, type WholeOptions } from './whole.ts';

export const tradeToken = 'trade-token-of-the-contract';
export const readToken = 'read-token-of-the-contract';
export const origin = 'https://desk.example';
export const trader = { Authorization: `Bearer ${tradeToken}` };
export const reader = { Authorization: `Bearer ${readToken}` };

export type Promises = Readonly<Record<string, () => unknown>>;
export type Headers = Record<string, string>;

export let whole: Whole;
export const testers: StreamTester[] = [];
export const call = (
  method: string,
  path: string,
  body?: unknown,
  headers: Headers = trader,
): Promise<Answer> => whole.call(method, path, body, headers);
export const get = (path: string, headers: Headers = trader) => call('GET', path, undefined, headers);
export const resting = { instrument: 'AAPL', side: 'buy', quantity: '10', type: 'limit', limitPrice: '1.00' };
export const place = (more: object = {}, query = '?wait=accepted&timeoutMs=5000') =>
  call('POST', `/v1/orders${query}`, { ...resting, ...more });
export const open = async (headers: Headers = {}) => {
  const tester = await StreamTester.open({ port: Number(new URL(whole.url).port) }, headers);
  testers.push(tester);
  return tester;
};
export const fields = (value: unknown): string[] => Object.keys(value as object);
export const has = (...names: string[]) => expect.arrayContaining(names);
export const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Asks for a problem and holds it to the shape that all errors have. */
export async function refused(asked: Promise<Answer>, status: number, code: string): Promise<Answer> {
  const answer = await asked;
  expect(answer).toMatchObject({ status, body: { status, code } });
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(fields(answer.body)).toEqual(has('type', 'title', 'status', 'detail', 'code'));
  return answer;
}

const guarded = {
  DEBUG: 'true',
  TRADE_TOKEN: tradeToken,
  READ_TOKEN: readToken,
  ALLOWED_ORIGINS: origin,
};

/** Boots the whole once for a file, by default with tokens, and makes one test of each promise. */
export function contract(
  sections: Readonly<Record<string, Promises>>,
  options: WholeOptions = { environment: guarded },
): void {
  beforeAll(async () => {
    whole = await startWhole(options);
  }, 40_000);
  afterAll(async () => {
    for (const tester of testers) tester.close();
    await whole.stop();
  });
  describe.each(Object.entries(sections))('%s', (_name, section) => {
    it.each(Object.entries(section))(
      '%s',
      async (_promise, check) => {
        await check();
      },
      30_000,
    );
  });
}
