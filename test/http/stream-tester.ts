/** A WebSocket client that keeps what it heard, and complains of a frame that no schema describes. */
import WebSocket from 'ws';
import { FrameCheck } from './frame-check.ts';
import { until } from './running.ts';

export interface Frame {
  readonly type: string;
  readonly id?: unknown;
  readonly subscription?: number;
  readonly seq?: number;
  readonly journalSeq?: number;
  readonly event?: string;
  readonly rows?: readonly Record<string, unknown>[];
  readonly ok?: boolean;
  readonly problem?: { readonly code: string; readonly errors?: readonly { readonly pointer: string }[] };
  readonly [field: string]: unknown;
}

export class StreamTester {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #check = new FrameCheck();
  #wrong: Error | null = null;
  #lastId = 0;

  /** `running`: where the server listens. */
  constructor(
    running: { readonly port: number },
    headers: Record<string, string> = {},
    options: WebSocket.ClientOptions = {},
  ) {
    this.socket = new WebSocket(`ws://127.0.0.1:${running.port}/v1/stream`, { headers, ...options });
    this.socket.on('message', (data) => this.#hear(JSON.parse(String(data)) as Frame));
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
  }

  static async open(
    running: { readonly port: number },
    headers: Record<string, string> = {},
  ): Promise<StreamTester> {
    const tester = new StreamTester(running, headers);
    await tester.heard((frame) => frame.type === 'welcome');
    return tester;
  }

  #hear(frame: Frame): void {
    const [problem] = this.#check.problems(frame);
    if (problem !== undefined) this.#wrong ??= new Error(problem);
    this.frames.push(frame);
  }

  /** Throws when a frame was not as its schema says. */
  assertValid(): void {
    if (this.#wrong) throw this.#wrong;
  }

  send(message: Record<string, unknown>): void {
    this.#check.sent(message);
    this.socket.send(JSON.stringify(message));
  }

  /** The first frame heard, or still to come, that fits. */
  async heard(fits: (frame: Frame) => boolean, ms?: number): Promise<Frame> {
    await until(() => this.#wrong !== null || this.frames.some(fits), ms);
    this.assertValid();
    const frame = this.frames.find(fits);
    if (!frame) throw new Error('gone');
    return frame;
  }

  /** Sends a message with an id of its own and waits for the answer. */
  async ask(message: Record<string, unknown>): Promise<Frame> {
    this.#lastId += 1;
    const id = this.#lastId;
    this.send({ ...message, id });
    return this.heard((frame) => frame.id === id);
  }

  async subscribe(channel: string, more: Record<string, unknown> = {}): Promise<number> {
    const ack = await this.ask({ type: 'subscribe', channel, ...more });
    if (!ack.ok || ack.subscription === undefined) throw new Error(JSON.stringify(ack));
    return ack.subscription;
  }

  /** Frames with a seq of this subscription. */
  of(subscription: number): Frame[] {
    this.assertValid();
    return this.frames.filter((frame) => frame.subscription === subscription && frame.seq !== undefined);
  }

  close(): void {
    this.socket.terminate();
    this.assertValid();
  }
}

/** A row per key, as a client would keep them. */
export function tableOf(frames: readonly Frame[]): Map<unknown, Record<string, unknown>> {
  const table = new Map<unknown, Record<string, unknown>>();
  for (const frame of frames) {
    if (frame.type === 'snapshot') table.clear();
    for (const row of frame.rows ?? []) table.set(row.key, { ...table.get(row.key), ...row });
  }
  return table;
}
