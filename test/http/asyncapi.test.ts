import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import { afterEach, expect, it } from 'vitest';
import { closings } from '../../src/http/asyncapi.ts';
import { closeCodes } from '../../src/http/stream-client.ts';
import { messageChecks, messageKinds } from '../../src/http/stream-schema.ts';
import { call, type Running, startServer } from './running.ts';

const specification = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json') as object;

let running: Running;
afterEach(() => running.server.close());

interface Document {
  readonly asyncapi: string;
  readonly servers: { readonly here: { readonly host: string } };
  readonly channels: { readonly stream: { readonly address: string; readonly messages: object } };
  readonly operations: Readonly<
    Record<
      string,
      {
        readonly action: string;
        readonly reply?: { readonly messages: readonly { readonly $ref: string }[] };
      }
    >
  >;
  readonly components: { readonly messages: Readonly<Record<string, { readonly payload: object }>> };
}

it('is a valid AsyncAPI 3.0 document that names every message and channel', async () => {
  running = await startServer({ debug: true });
  const document = (await (await call(running, 'GET', '/asyncapi.json')).json()) as Document;
  const check = new Ajv({
    strict: false,
    allErrors: true,
    validateFormats: false,
    // the specification brings its own
    meta: false,
    validateSchema: false,
  }).compile(specification);
  check(document);
  expect(check.errors ?? []).toEqual([]);
  expect(document.asyncapi).toBe('3.0.0');
  expect(document.servers.here.host).toBe(`127.0.0.1:${running.port}`);
  expect(document.channels.stream.address).toBe('/v1/stream');

  const messages = Object.keys(document.components.messages);
  expect(Object.keys(document.channels.stream.messages)).toEqual(messages);
  for (const name of ['auth', 'subscribe', 'unsubscribe', 'ping', 'order.submit', 'order.modify'])
    expect(document.operations[name]?.action).toBe('receive');
  for (const name of ['welcome', 'heartbeat', 'notice', 'bye'])
    expect(document.operations[`tell.${name}`]?.action).toBe('send');
  for (const channel of ['quotes', 'depth', 'trades', 'bars', 'pnl', 'actors'])
    expect(messages).toEqual(expect.arrayContaining([`${channel}.snapshot`, `${channel}.update`]));
  for (const channel of ['orders', 'positions', 'alerts', 'health'])
    expect(messages).toEqual(expect.arrayContaining([`${channel}.snapshot`, `${channel}.event`]));
  expect(document.operations['order.submit']?.reply?.messages).toEqual([
    { $ref: '#/channels/stream/messages/result' },
  ]);
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = '']) => path);
  expect(refs.length).toBeGreaterThan(50);
  for (const path of refs) {
    let at: unknown = document;
    for (const part of path.split('/')) at = (at as Record<string, unknown>)[part];
    expect(at, path).toBeDefined();
  }
});

it('compiles to checks that agree with ours', async () => {
  running = await startServer({ debug: true });
  const document = (await (await call(running, 'GET', '/asyncapi.json')).json()) as Document;
  const order = { instrument: 'AAPL', side: 'buy', quantity: '1', type: 'market' };
  const samples: Readonly<Record<string, Record<string, unknown>>> = {
    auth: { type: 'auth', id: 1, token: 't' },
    subscribe: { type: 'subscribe', id: 'a', channel: 'quotes', keys: ['AAPL', { conId: 1 }] },
    unsubscribe: { type: 'unsubscribe', id: 9, subscription: 7 },
    ping: { type: 'ping' },
    'order.submit': { type: 'command', id: 5, command: 'order.submit', order },
    'order.modify': {
      type: 'command',
      id: 5,
      command: 'order.modify',
      clientOrderId: 'c',
      change: { quantity: 1 },
    },
    'order.cancel': { type: 'command', id: 6, command: 'order.cancel', clientOrderId: 'c-1' },
    'lease.renew': { type: 'command', id: 11, command: 'lease.renew', cancelAfterMs: 60000 },
  };
  expect(Object.keys(samples).sort()).toEqual(messageKinds.map(({ name }) => name).sort());
  const ajv = new Ajv({ strict: false });
  for (const [name, sample] of Object.entries(samples)) {
    const described = ajv.compile(document.components.messages[name]?.payload ?? false);
    const checked = messageChecks[sample.type as keyof typeof messageChecks];
    for (const [message, fits] of [
      [sample, true],
      [{ ...sample, surprise: 1 }, false],
      [{ ...sample, id: {} }, false],
    ] as const) {
      expect(described(message), JSON.stringify(message)).toBe(fits);
      expect(checked(message).errors === undefined, JSON.stringify(message)).toBe(fits);
    }
  }
});

it('is a page to read, without script and without anything from elsewhere', async () => {
  running = await startServer({ debug: true });
  const answer = await call(running, 'GET', '/asyncapi');
  const html = await answer.text();
  expect(answer.headers.get('content-type')).toContain('text/html');
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(html).toContain('<code>lease.renew</code>');
  expect(html).toContain('skippedBeats');
  for (const code of Object.keys(closings)) expect(html).toContain(`<code>${code}</code>`);
  expect(html).not.toMatch(/https?:|<script/);
});

it('names every close code that we use', async () => {
  running = await startServer();
  expect(Object.keys(closings).map(Number)).toEqual(expect.arrayContaining(Object.values(closeCodes)));
  for (const path of ['/asyncapi', '/asyncapi.json'])
    expect((await call(running, 'GET', path)).status).toBe(404);
});
