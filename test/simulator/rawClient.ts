import { connect, type Socket } from 'node:net';
import { encodeFrame, type Field, FrameDecoder, splitFields } from '../../src/simulator/wire/frames.ts';

const DEADLINE_MS = 10_000;

/** A client that speaks bytes: what it sends and receives are fields, nothing is interpreted. */
export class RawClient {
  readonly socket: Socket;
  readonly messages: string[][] = [];
  isClosed = false;
  error: NodeJS.ErrnoException | null = null;
  #waiting: (() => void)[] = [];

  constructor(port: number) {
    const decoder = new FrameDecoder({ expectGreeting: false });
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.socket.on('data', (segment: Buffer) => {
      decoder.push(segment, (frame) => {
        this.messages.push(splitFields(frame));
        return true;
      });
      this.#wake();
    });
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** Greeting and START_API; resolves with the greeting's answer once nextValidId came. */
  static async start(port: number, version: string, clientId = 1): Promise<RawClient> {
    const client = new RawClient(port);
    client.greet(version);
    await client.until(() => client.messages.length > 0);
    client.send(71, 2, clientId, '');
    await client.message((fields) => fields[0] === '9');
    return client;
  }

  greet(version: string): void {
    const body = Buffer.from(version, 'latin1');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length, 0);
    this.socket.write(Buffer.concat([Buffer.from('API\0', 'latin1'), length, body]));
  }

  send(...fields: readonly Field[]): void {
    this.socket.write(encodeFrame(fields));
  }

  all(id: number): string[][] {
    return this.messages.filter((fields) => fields[0] === String(id));
  }

  /** The first message for which this holds, waiting for it. */
  async message(test: (fields: readonly string[]) => boolean): Promise<string[]> {
    await this.until(() => this.messages.some(test));
    return this.messages.find(test) ?? [];
  }

  /** Everything that came in answer to `fields`, up to the answer of a time request that follows it. */
  async answers(...fields: readonly Field[]): Promise<string[][]> {
    const before = this.messages.length;
    this.send(...fields);
    this.send(49, 1);
    await this.until(() => this.messages.slice(before).some(([id]) => id === '49'));
    const answers = this.messages.slice(before);
    return answers.slice(
      0,
      answers.findIndex(([id]) => id === '49'),
    );
  }

  async until(test: () => boolean): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!test()) {
      if (this.isClosed) throw new Error(`closed while waiting; last messages: ${this.#tail()}`);
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`nothing came; last messages: ${this.#tail()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async closed(): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!this.isClosed) {
      if (Date.now() > deadline) throw new Error('the connection was not closed');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  end(): void {
    this.socket.destroy();
  }

  #tail(): string {
    return this.messages
      .slice(-5)
      .map((fields) => fields.join('|').slice(0, 120))
      .join(' ; ');
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** The fields after `id` of a plain stock order of this version, as a client that fills in every default sends them. */
export function stockOrder(
  orderId: number,
  version: number,
  terms: {
    readonly action?: string;
    readonly quantity?: number;
    readonly type?: string;
    readonly limit?: number | '';
    readonly orderRef?: string;
    readonly transmit?: number;
    readonly whatIf?: number;
    /** how the client spells a number that it leaves out */
    readonly unset?: string;
  } = {},
): Field[] {
  const { unset = '' } = terms;
  const head: Field[] = [
    3,
    orderId,
    265598,
    'AAPL',
    'STK',
    '',
    0,
    '',
    '',
    'SMART',
    '',
    'USD',
    '',
    '',
    '',
    '',
  ];
  head.push(
    terms.action ?? 'BUY',
    terms.quantity ?? 100,
    terms.type ?? 'LMT',
    terms.limit ?? 1,
    unset,
    'DAY',
  );
  head.push('', '', '', 0, terms.orderRef ?? '', terms.transmit ?? 1, 0, 0, 0, 0, 0, 0, 0);
  const middle: Field[] = ['', 0, '', '', '', '', ''];
  if (version < 177) middle.push('');
  middle.push(
    '',
    0,
    '',
    -1,
    0,
    '',
    '',
    0,
    unset,
    unset,
    0,
    0,
    unset,
    0,
    unset,
    unset,
    unset,
    unset,
    unset,
    0,
  );
  middle.push(
    unset,
    unset,
    '',
    unset,
    0,
    unset,
    unset,
    unset,
    unset,
    unset,
    unset,
    '',
    '',
    '',
    '',
    0,
    '',
    '',
    0,
  );
  middle.push(
    0,
    '',
    '',
    terms.whatIf ?? 0,
    '',
    0,
    0,
    0,
    0,
    '',
    unset,
    unset,
    unset,
    unset,
    unset,
    0,
    '',
    '',
    '',
  );
  middle.push(unset, '', '', '', '', 0, 0, 0, '', unset, unset, 0, '', '');
  const tail: Field[] = [];
  if (version >= 183) tail.push('');
  if (version >= 184) tail.push(0);
  if (version >= 187 && version < 190) tail.push('', 2147483647);
  if (version >= 189) tail.push(0);
  if (version >= 192) tail.push(unset);
  return [...head, ...middle, ...tail];
}
