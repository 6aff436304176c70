/** Holds frames of the stream to the schemas that describe them. */
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { framesOf, plainFrames } from '../../src/http/stream-frames.ts';

type Check = (frame: Record<string, unknown>) => string[];

/** A known frame has no field that its schema does not name. What lies inside of rows and orders may have more. */
function checkOf(schema: TSchema): Check {
  const compiled = Compile(schema);
  const known = Object.keys((schema as TSchema & { properties: object }).properties);
  return (frame) => {
    const strangers = Object.keys(frame).filter((field) => !known.includes(field));
    const wrong = compiled.Check(frame) ? [] : compiled.Errors(frame);
    return [
      ...strangers.map((field) => `/${field} is in no schema`),
      ...wrong.map(({ instancePath, message }) => `${instancePath} ${message}`),
    ];
  };
}

const checks = new Map<string, readonly Check[]>();
function checksOf(name: string, schemas: () => readonly TSchema[]): readonly Check[] {
  const made = checks.get(name) ?? schemas().map(checkOf);
  checks.set(name, made);
  return made;
}

/** Reads the frames of one connection in order, and complains of what no schema allows. */
export class FrameCheck {
  readonly #asked = new Map<unknown, string>();
  readonly #channels = new Map<unknown, string>();

  /** A message of the client: what it subscribes to says what the frames must be. */
  sent(message: Record<string, unknown>): void {
    if (message.type === 'subscribe') this.#asked.set(message.id, String(message.channel));
  }

  /** Nothing, or what is wrong. */
  problems(frame: Record<string, unknown>): readonly string[] {
    const { type, id, subscription } = frame;
    const name = String(type);
    const asked = this.#asked.get(id);
    if (name === 'ack' && frame.ok === true && asked !== undefined && !this.#channels.has(subscription)) {
      this.#channels.set(subscription, asked);
    }
    const plain = plainFrames[name];
    if (plain)
      return this.#judge(
        frame,
        checksOf(name, () => plain.shapes),
      );
    const channel = this.#channels.get(subscription) ?? 'none';
    const schema = framesOf(channel)?.[name];
    if (!schema) return [`a frame of type ${name} and channel ${channel} is in no schema`];
    return this.#judge(
      frame,
      checksOf(`${channel}.${name}`, () => [schema]),
    );
  }

  /** One of the shapes must fit; otherwise the complaints of the one that fits best. */
  #judge(frame: Record<string, unknown>, shapes: readonly Check[]): readonly string[] {
    const found = shapes.map((check) => check(frame)).sort((a, b) => a.length - b.length);
    return (found[0] ?? []).map((problem) => `${problem}: ${JSON.stringify(frame).slice(0, 300)}`);
  }
}
