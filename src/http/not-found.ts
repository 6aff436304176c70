/** The answer to paths and methods that nobody serves: 404, or 405 with Allow when the path is served otherwise. */
import type { FastifyInstance } from 'fastify';
import type { Limiter } from './limits.ts';
import { ProblemError, problem } from './problems.ts';

interface ServedPath {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

/** Call before the routes are added: it listens to them. */
export function addNotFound(server: FastifyInstance, limiter: Limiter): void {
  const served = new Map<string, ServedPath>();

  server.addHook('onRoute', ({ url, method }) => {
    const path = served.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    for (const name of [method].flat()) path.methods.add(name);
    served.set(url, path);
  });

  server.setNotFoundHandler(async (request) => {
    await limiter.count(request);
    const path = request.url.split('?', 1)[0] ?? '';
    const methods = new Set(
      [...served.values()].flatMap((entry) => (entry.pattern.test(path) ? [...entry.methods] : [])),
    );
    if (methods.size > 0) {
      const allow = [...methods].sort().join(', ');
      throw new ProblemError(
        problem('method-not-allowed', `${request.method} is not served here; ${allow} are`),
        {
          Allow: allow,
        },
      );
    }
    throw new ProblemError(
      problem('not-found', `nothing is served at ${request.method} ${path.slice(0, 200)}`),
    );
  });
}

/** `/v1/orders/:clientOrderId` as an expression over raw paths. */
function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => {
    if (part.startsWith(':')) return '[^/]+';
    return part === '*' ? '.*' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('/')}$`);
}
