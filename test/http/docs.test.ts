import { afterEach, describe, expect, it } from 'vitest';
import { call, type Running, startServer } from './running.ts';

let running: Running;
afterEach(() => running.server.close());

interface Document {
  openapi: string;
  paths: Record<
    string,
    Record<
      string,
      {
        responses: Record<string, { content?: Record<string, unknown> }>;
        security?: unknown;
        requestBody?: unknown;
      }
    >
  >;
}

describe('the description of the API', () => {
  it('is served with DEBUG, all of it from here', async () => {
    running = await startServer({ debug: true });
    const document = (await (await call(running, 'GET', '/openapi.json')).json()) as Document;
    expect(document.openapi).toBe('3.1.0');
    for (const path of [
      '/',
      '/health/detailed',
      '/v1/orders',
      '/v1/orders/{clientOrderId}',
      '/v1/orders/preview',
      '/v1/orders/{clientOrderId}/settle',
      '/v1/kill',
      '/v1/trading',
      '/v1/quotes/{instrument}',
      '/v1/bars/{instrument}',
      '/v1/journal',
      '/v1/reconciliations/latest',
    ]) {
      expect(Object.keys(document.paths)).toContain(path);
    }
    const submit = document.paths['/v1/orders']?.post;
    expect(submit?.requestBody).toMatchObject({
      content: {
        'application/json': { schema: { properties: { limitPrice: { type: ['string', 'number'] } } } },
      },
    });
    expect(submit?.security).toEqual([{ bearer: ['trade'] }]);
    expect(Object.keys(submit?.responses['409']?.content ?? {})).toEqual(['application/problem+json']);
    expect(document.paths['/health']?.get?.security).toBeUndefined();

    expect(await (await call(running, 'GET', '/')).json()).toMatchObject({ docs: '/docs' });
    const docs = await call(running, 'GET', '/docs/');
    expect(docs.status).toBe(200);
    expect(await docs.text()).not.toMatch(/(src|href)="https?:/);
    const reference = await call(running, 'GET', '/redoc');
    const html = await reference.text();
    expect(reference.headers.get('content-type')).toContain('text/html');
    expect(html).toContain('<code>POST /v1/orders</code>');
    expect(html).toContain('clientOrderId');
    expect(html).not.toMatch(/https?:|<script/);
  });

  it('is not served without', async () => {
    running = await startServer();
    for (const path of ['/docs', '/redoc', '/openapi.json']) {
      expect((await call(running, 'GET', path)).status).toBe(404);
    }
  });
});
