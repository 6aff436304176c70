/**
 * One connection to Redis after another. Each has its own client object, which is thrown away on any loss: nothing that
 * waited in a lost one is ever sent by the next.
 */

type Redis = typeof import('redis');

/** One command in words: `['SET', key, value]`. */
export type Command = readonly string[];

export interface Connection {
  /**
   * Sends all at once and gives the replies in their order; what Redis refused is an Error among them.
   * @throws when the connection is lost, or when not all was answered within the deadline
   */
  run(commands: readonly Command[]): Promise<readonly unknown[]>;
  readonly isLost: boolean;
  /** resolves when it is lost; never rejects */
  readonly lost: Promise<void>;
}

export interface LinkOptions {
  readonly url: string;
  /** name by which `CLIENT LIST` shows the connection */
  readonly name: string;
  /** for a connection to stand, and for each batch of commands to be answered, ms */
  readonly deadlineMs: number;
  /** the first pause before another attempt, ms; doubles up to `longestPauseMs` */
  readonly shortestPauseMs: number;
  readonly longestPauseMs: number;
  /** Works with a connection that stands, as long as it stands. Throws or returns when it is over. */
  readonly serve: (connection: Connection) => Promise<void>;
  /** Told once for each attempt that failed and each connection that was lost. */
  readonly onLoss: (error: Error) => void;
}

export interface Link {
  /** Ends the connection and makes no other. */
  close(): void;
}

/** Connects, serves, and connects again, without end. */
export function openLink(options: LinkOptions): Link {
  let isClosed = false;
  let current: { destroy(): void } | null = null;
  let callOff = (): void => undefined;

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      callOff = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const attempt = async (redis: Redis, onStanding: () => void): Promise<void> => {
    const dialed = dial(redis, options);
    current = dialed;
    try {
      const connection = await dialed.connection;
      onStanding();
      await options.serve(connection);
    } finally {
      dialed.destroy();
    }
  };

  const keep = async (): Promise<void> => {
    let failures = 0;
    // Loaded only where a Redis is used: it is a fifth of what a start has to load.
    const redis = await import('redis');
    while (!isClosed) {
      try {
        await attempt(redis, () => {
          failures = 0;
        });
      } catch (error) {
        if (isClosed) return;
        options.onLoss(error instanceof Error ? error : new Error(String(error)));
      }
      const longest = Math.min(options.longestPauseMs, options.shortestPauseMs * 2 ** failures);
      failures = Math.min(failures + 1, 20);
      // spread: several runtimes must not come back to a Redis in one moment
      if (!isClosed) await pause(longest * (0.5 + Math.random() / 2));
    }
  };
  void keep();

  return {
    close() {
      isClosed = true;
      callOff();
      current?.destroy();
    },
  };
}

function dial(
  redis: Redis,
  { url, name, deadlineMs }: LinkOptions,
): {
  readonly connection: Promise<Connection>;
  destroy(): void;
} {
  let client: ReturnType<typeof makeClient>;
  try {
    client = makeClient(redis, url, name, deadlineMs);
  } catch (error) {
    return { connection: Promise.reject(error), destroy: () => undefined };
  }
  let isLost = false;
  let tellLost = (): void => undefined;
  const lost = new Promise<void>((resolve) => {
    tellLost = () => {
      isLost = true;
      resolve();
    };
  });
  // The error itself reaches whoever waits for the connection or for a reply.
  client.on('error', tellLost);
  client.on('end', tellLost);
  const connection: Connection = {
    lost,
    get isLost() {
      return isLost;
    },
    async run(commands) {
      // What Redis says of one command is an answer; anything else is the end of the connection.
      const asReply = (error: unknown): unknown => {
        if (error instanceof redis.ErrorReply) return error;
        throw error;
      };
      const replies = commands.map((command) => client.sendCommand([...command]).catch(asReply));
      return within(deadlineMs, Promise.all(replies), `Redis did not answer within ${deadlineMs} ms`);
    },
  };
  return {
    connection: within(
      deadlineMs,
      client.connect().then(() => connection),
      `no connection to Redis within ${deadlineMs} ms`,
    ),
    destroy: () => client.destroy(),
  };
}

const makeClient = ({ createClient }: Redis, url: string, name: string, deadlineMs: number) =>
  createClient({
    url,
    name,
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    // The whole batch has a deadline: the library's own ends with the write, and a Redis that hangs takes writes.
    commandOptions: { timeout: 0 },
    socket: { connectTimeout: deadlineMs, reconnectStrategy: false },
  });

function within<T>(ms: number, promise: Promise<T>, message: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(message)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(deadline));
  });
}
