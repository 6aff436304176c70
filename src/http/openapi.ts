/** The API's own description: `/openapi.json`, `/docs` (to try out), `/redoc` (to read), and the stream's. Everything is served from here. */
import { STATUS_CODES } from 'node:http';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { addStreamDocs } from './asyncapi.ts';
import type { HttpOptions } from './options.ts';
import { type ApiDocument, renderReference } from './redoc.ts';
import { pagePolicy } from './schema-page.ts';
import { ProblemView } from './view-schema.ts';

/** Call before the routes are added: it listens to them. */
export async function addDocs(
  server: FastifyInstance,
  options: Pick<HttpOptions, 'name' | 'version'>,
): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: options.name,
        version: options.version,
        description:
          'Orders, positions and market data of Interactive Brokers. Streams are at /v1/stream (WebSocket), described at /asyncapi.',
      },
      tags: [
        { name: 'orders', description: 'Place, change and cancel. Decimals are text.' },
        { name: 'trading', description: 'The switch over all orders.' },
        { name: 'reading', description: 'What the runtime knows.' },
        { name: 'machines', description: 'The statecharts that decide.' },
        { name: 'market', description: 'Instruments and prices, asked of the broker.' },
        { name: 'health', description: 'Probes and figures; no token needed.' },
      ],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    transform: ({ schema, url, route }) => {
      const scope = route.config?.scope;
      const takesBody = schema?.body !== undefined;
      return { url, schema: describe(schema, scope, takesBody) };
    },
  });
  await server.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
  server.get('/openapi.json', { schema: { hide: true } }, () => server.swagger());
  server.get('/redoc', { schema: { hide: true } }, (_request, reply) => {
    reply.type('text/html; charset=utf-8');
    reply.header('Content-Security-Policy', pagePolicy);
    return renderReference(server.swagger() as ApiDocument);
  });
  addStreamDocs(server, options);
}

/** What any route behind a token may answer, before its own code is reached. */
const anywhere = [401, 403, 429] as const;
const withBody = [413, 415] as const;

function describe(
  schema: FastifySchema | undefined,
  scope: string | undefined,
  takesBody: boolean,
): FastifySchema {
  const shared = scope ? [...anywhere, ...(takesBody ? withBody : [])] : [];
  const own = (schema?.response ?? {}) as Record<string, unknown>;
  const all = { ...Object.fromEntries(shared.map((status) => [status, ProblemView])), ...own };
  const responses = Object.entries(all).map(([status, body]) => {
    const type = Number(status) >= 400 && scope ? 'application/problem+json' : 'application/json';
    return [status, { description: STATUS_CODES[status] ?? '', content: { [type]: { schema: body } } }];
  });
  return {
    ...schema,
    ...(responses.length > 0 && { response: Object.fromEntries(responses) }),
    ...(scope && { security: [{ bearer: [scope] }] }),
  };
}
