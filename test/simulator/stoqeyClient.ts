import { EventName, IBApi } from '@stoqey/ib';

const DEADLINE_MS = 10_000;

interface Seen {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** @stoqey/ib's low-level client with everything that it emitted. */
export class StoqeyClient {
  readonly api: IBApi;
  readonly seen: Seen[] = [];

  constructor(port: number, clientId = 1) {
    this.api = new IBApi({ host: '127.0.0.1', port, clientId, maxReqPerSec: 10_000 });
    this.api.on(EventName.all, (name: string, args: unknown[]) => this.seen.push({ name, args }));
  }

  async connect(): Promise<number> {
    this.api.connect();
    const [orderId] = await this.event(EventName.nextValidId);
    return Number(orderId);
  }

  events(name: string): readonly (readonly unknown[])[] {
    return this.seen.filter((entry) => entry.name === name).map(({ args }) => args);
  }

  async event(name: string, test: (args: readonly unknown[]) => boolean = () => true) {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const found = this.events(name).find(test);
      if (found !== undefined) return found;
      if (Date.now() > deadline) {
        throw new Error(`no ${name}; seen: ${this.seen.map((entry) => entry.name).slice(-20)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** What the client could not decode. */
  complaints(): readonly string[] {
    return this.events(EventName.error)
      .filter(([, code]) => code === 505 || code === 506 || code === 507)
      .map(([error]) => String(error));
  }
}
