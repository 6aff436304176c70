/** Routes of orders: place, read, change, cancel, preview. */
import type { FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import type { Order } from '../../machines/order.ts';
import type { HttpOptions, SubmitTiming } from './options.ts';
import { readChange, readOrder, readSettlement } from './order-input.ts';
import { ChangeInput, OrderInput, SettlementInput } from './order-schema.ts';
import { type Answer, answerToChange, answerToSubmit, orderNotFound } from './outcomes.ts';
import { listOf, pageQuery, pageRequest, queried } from './pages.ts';
import { ProblemError, problem } from './problems.ts';
import { type Server, valid } from './routing.ts';
import { FateView, OrderView, PreviewView, ProblemView } from './view-schema.ts';

const OrderPath = Type.Object(
  { clientOrderId: Type.String({ maxLength: 64 }) },
  { additionalProperties: false },
);
const closed = { additionalProperties: false } as const;

const WaitQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Enum(['accepted', 'closed'], { description: 'Holds the answer until the broker spoke.' }),
    ),
    timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 30_000, default: 2000 })),
  },
  closed,
);
const OrdersQuery = Type.Object(
  { state: Type.Optional(Type.Enum(['open', 'closed', 'all'], { default: 'all' })), ...pageQuery },
  closed,
);

const tags = ['orders'];
const trade = { scope: 'trade' } as const;
/** What takes risk away is never limited. */
const cancel = { scope: 'trade', rateLimit: false } as const;
const read = { scope: 'read' } as const;
const problems = (...statuses: number[]) =>
  Object.fromEntries(statuses.map((status) => [status, ProblemView]));

export function addOrders(server: Server, { trading, reading }: HttpOptions): void {
  /** Answers once the broker spoke, or after `timeoutMs` with the order as it is then. */
  async function hold(reply: FastifyReply, answer: Answer, query: Static<typeof WaitQuery>): Promise<Order> {
    const { wait, timeoutMs = 2000 } = query;
    const order = send(reply, answer);
    return wait ? versioned(reply, await trading.waitFor(order.clientOrderId, wait, timeoutMs)) : order;
  }

  server.post(
    '/v1/orders',
    {
      config: trade,
      schema: {
        tags,
        summary: 'Place an order',
        body: OrderInput,
        querystring: WaitQuery,
        response: { 200: OrderView, 201: OrderView, ...problems(400, 409, 422, 503) },
      },
    },
    async (request, reply) => {
      const answer = answerToSubmit(await trading.submit(valid(readOrder(request.body)), request.startedAt));
      if (answer.problem) throw new ProblemError(answer.problem, locationOf(answer.problem.order));
      const { wait, timeoutMs = 2000 } = request.query;
      if (answer.timing) reply.serverTiming = serverTiming(answer.timing);
      const order = wait ? await trading.waitFor(answer.order.clientOrderId, wait, timeoutMs) : answer.order;
      reply.code(answer.status).headers(locationOf(order));
      return versioned(reply, order);
    },
  );

  server.get(
    '/v1/orders',
    {
      config: read,
      schema: {
        tags,
        summary: 'Orders, newest first',
        querystring: OrdersQuery,
        response: { 200: listOf('orders', OrderView), ...problems(400) },
      },
    },
    (request) => {
      const { state = 'all' } = request.query;
      const { rows, next } = queried(() => reading.orders({ state, ...pageRequest(request.query) }));
      return { orders: rows, next };
    },
  );

  server.get(
    '/v1/orders/:clientOrderId',
    {
      config: read,
      schema: {
        tags,
        summary: 'One order',
        params: OrderPath,
        response: { 200: OrderView, ...problems(404) },
      },
    },
    (request, reply) => {
      const { clientOrderId } = request.params;
      const order = reading.order(clientOrderId);
      if (!order) throw new ProblemError(orderNotFound(clientOrderId));
      return versioned(reply, order);
    },
  );

  server.patch(
    '/v1/orders/:clientOrderId',
    {
      config: trade,
      schema: {
        tags,
        summary: 'Change an order',
        description: 'If-Match: "<version>" changes it only while it is still at that version.',
        params: OrderPath,
        body: ChangeInput,
        querystring: WaitQuery,
        response: { 200: OrderView, 202: OrderView, ...problems(400, 404, 409, 412, 422, 503) },
      },
    },
    async (request, reply) => {
      const { clientOrderId } = request.params;
      const change = valid(readChange(request.body, reading.order(clientOrderId)));
      const ifVersion = versionOf(request.headers['if-match']);
      const result = await trading.modify(clientOrderId, change, ifVersion);
      return hold(reply, answerToChange(clientOrderId, 'modify', result), request.query);
    },
  );

  server.delete(
    '/v1/orders/:clientOrderId',
    {
      config: cancel,
      schema: {
        tags,
        summary: 'Cancel an order',
        params: OrderPath,
        querystring: WaitQuery,
        response: { 202: OrderView, ...problems(404, 409, 503) },
      },
    },
    async (request, reply) => {
      const { clientOrderId } = request.params;
      const answer = answerToChange(clientOrderId, 'cancel', await trading.cancel(clientOrderId));
      return hold(reply, answer, request.query);
    },
  );

  server.post(
    '/v1/orders/:clientOrderId/settle',
    {
      config: trade,
      schema: {
        tags,
        summary: "End an order that the broker's lists lack",
        description:
          'For an order in doubt with the reason missing-at-broker. Positions follow the broker; what it says of the order later outranks this.',
        params: OrderPath,
        body: SettlementInput,
        response: { 200: OrderView, ...problems(400, 404, 409, 503) },
      },
    },
    async (request, reply) => {
      const { clientOrderId } = request.params;
      const settlement = valid(readSettlement(request.body, reading.order(clientOrderId)?.contract));
      const result = await trading.settle(clientOrderId, settlement);
      return send(reply, answerToChange(clientOrderId, 'settle', result));
    },
  );

  server.delete(
    '/v1/orders',
    {
      config: cancel,
      schema: {
        tags,
        summary: 'Cancel all of our orders',
        response: { 200: listOf('orders', FateView) },
      },
    },
    async () => ({ orders: await trading.cancelAll(), next: null }),
  );

  server.post(
    '/v1/orders/preview',
    {
      config: trade,
      schema: {
        tags,
        summary: 'What if: margin, commission, and what the gate would say',
        body: OrderInput,
        response: { 200: PreviewView, ...problems(400, 409, 503) },
      },
    },
    async (request, reply) => {
      const result = await trading.preview(valid(readOrder(request.body)));
      switch (result.outcome) {
        case 'previewed':
          return { accepted: true, reason: null, preview: result.preview, gate: result.gate };
        case 'rejected':
          return { accepted: false, reason: result.reason, preview: null, gate: result.gate };
        default:
          return send(reply, answerToSubmit(result));
      }
    },
  );
}

function send(reply: FastifyReply, answer: Answer): Order {
  if (answer.problem) throw new ProblemError(answer.problem);
  reply.code(answer.status);
  return versioned(reply, answer.order);
}

function versioned(reply: FastifyReply, order: Order): Order {
  reply.header('ETag', `"${order.version}"`);
  return order;
}

/** A denied order exists too: its problem carries it. */
function locationOf(order: unknown): Record<string, string> {
  const id = (order as Order | undefined)?.clientOrderId;
  return id === undefined ? {} : { Location: `/v1/orders/${encodeURIComponent(id)}` };
}

function serverTiming({ reviewUs, journalUs, totalUs }: SubmitTiming): string {
  const ms = (us: number) => (us / 1000).toFixed(3);
  return `review;dur=${ms(reviewUs)}, journal;dur=${ms(journalUs)}, submit;dur=${ms(totalUs)}`;
}

function versionOf(ifMatch: string | undefined): number | null {
  if (ifMatch === undefined || ifMatch === '*') return null;
  const version = /^(?:W\/)?"?(\d{1,15})"?$/.exec(ifMatch)?.[1];
  if (version !== undefined) return Number(version);
  const detail = `header If-Match: is "<version>" of the order, e.g. "3", not ${ifMatch.slice(0, 40)}`;
  throw new ProblemError(problem('validation-failed', detail));
}
