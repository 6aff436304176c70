/** The stream's own description: `/asyncapi.json` (AsyncAPI 3.0) and `/asyncapi` (to read), from the schemas that check messages. */
import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import type { HttpOptions } from './options.ts';
import { fields, pagePolicy, renderPage, type SchemaNode, text } from './schema-page.ts';
import { frameKinds } from './stream-frames.ts';
import { messageKinds } from './stream-schema.ts';

const description =
  'One WebSocket for prices, orders and commands. Conflated channels tell the newest value per key once a beat; lossless ones ' +
  'tell every durable fact and are resumed with `after`. Ignore types and fields that you do not know.';

/** What a client may hear when the connection ends. */
export const closings = {
  1001: 'shutdown; a bye came before',
  1008: 'the origin may not call',
  1009: 'the message was too big',
  1011: 'something broke here; the log knows the session',
  1013: 'no room, come back later',
  4400: 'a message that cannot be read',
  4401: 'not authenticated in time, or with a wrong token',
  4403: 'the token lacks the scope',
  4408: 'too slow: resume with `after`',
  4429: 'too many messages',
} as const;

type Description = Readonly<Record<string, unknown>>;

/** The document. `host` is what the client called, for the address of the server. */
function asyncApi({ name, version }: Pick<HttpOptions, 'name' | 'version'>, host: string): Description {
  const sent = frameKinds();
  const all: readonly { readonly name: string; readonly summary: string; readonly schema: TSchema }[] = [
    ...messageKinds,
    ...sent,
  ];
  const inChannel = (message: string) => ({ $ref: `#/channels/stream/messages/${message}` });
  const channel = { $ref: '#/channels/stream' };
  const received = messageKinds.map((message) => [
    message.name,
    {
      action: 'receive',
      channel,
      summary: message.summary,
      messages: [inChannel(message.name)],
      reply: { channel, messages: [inChannel(message.answer)] },
    },
  ]);
  const unasked = sent.filter((kind) => !messageKinds.some(({ answer }) => answer === kind.name));
  const told = unasked.map(({ name: message, summary }) => [
    `tell.${message}`,
    { action: 'send', channel, summary, messages: [inChannel(message)] },
  ]);
  return {
    asyncapi: '3.0.0',
    info: { title: `${name} stream`, version, description: `${description}\n\n${closingText()}` },
    defaultContentType: 'application/json',
    servers: {
      here: { host, protocol: 'ws', security: [{ $ref: '#/components/securitySchemes/bearer' }] },
    },
    channels: {
      stream: {
        address: '/v1/stream',
        messages: Object.fromEntries(
          all.map((message) => [message.name, { $ref: `#/components/messages/${message.name}` }]),
        ),
        bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
      },
    },
    operations: Object.fromEntries([...received, ...told]),
    components: {
      messages: Object.fromEntries(
        all.map((message) => [
          message.name,
          { name: message.name, summary: message.summary, payload: message.schema },
        ]),
      ),
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'On the upgrade, or as the message `auth`; never in the query.',
        },
      },
    },
  };
}

/** Serves the document and the page. */
export function addStreamDocs(server: FastifyInstance, options: Pick<HttpOptions, 'name' | 'version'>): void {
  server.get('/asyncapi.json', { schema: { hide: true } }, (request) => asyncApi(options, request.host));
  server.get('/asyncapi', { schema: { hide: true } }, (_request, reply) => {
    reply.type('text/html; charset=utf-8');
    reply.header('Content-Security-Policy', pagePolicy);
    return renderStreamReference(options);
  });
}

function renderStreamReference({ name, version }: Pick<HttpOptions, 'name' | 'version'>): string {
  const groups = [
    { title: 'What clients send', kinds: messageKinds },
    { title: 'What the server sends', kinds: frameKinds() },
  ];
  const menu = groups.map(
    ({ title, kinds }) =>
      `<h4>${title}</h4>${kinds.map((kind) => `<a href="#${kind.name}"><code>${text(kind.name)}</code></a>`).join('')}`,
  );
  const body = groups.map(
    ({ title, kinds }) =>
      `<section><h2>${title}</h2>${kinds
        .map(
          (kind) =>
            `<article id="${kind.name}"><h3><code>${text(kind.name)}</code></h3><p>${text(kind.summary)}</p>${shapes(kind.schema as SchemaNode)}</article>`,
        )
        .join('')}</section>`,
  );
  const closes = Object.entries(closings).map(
    ([code, why]) => `<tr><td><code>${code}</code></td><td>${text(why)}</td></tr>`,
  );
  return renderPage({
    title: `${name} stream`,
    version,
    description: `GET /v1/stream. ${description}`,
    menu: menu.join(''),
    body: `${body.join('')}<section><h2>Close codes</h2><table>${closes.join('')}</table></section>`,
  });
}

function shapes(schema: SchemaNode): string {
  return (schema.anyOf ?? [schema]).map((shape) => fields(shape, 0)).join('<p>or</p>');
}

function closingText(): string {
  const lines = Object.entries(closings).map(([code, why]) => `- ${code}: ${why}`);
  return `Close codes:\n\n${lines.join('\n')}`;
}
