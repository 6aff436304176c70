/** Reads the members of one command. Every complaint names the member. */
export class Args {
  readonly #members: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();

  constructor(members: Readonly<Record<string, unknown>>) {
    this.#members = members;
  }

  number(name: string): number {
    const value = this.optionalNumber(name);
    if (value === undefined) throw new RangeError(`${name}: is missing, must be a number`);
    return value;
  }

  optionalNumber(name: string): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw new RangeError(`${name}: must be a number`);
    return value;
  }

  text(name: string): string {
    const value = this.optionalText(name);
    if (value === undefined) throw new RangeError(`${name}: is missing, must be a string`);
    return value;
  }

  optionalText(name: string): string | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'string') return value;
    throw new RangeError(`${name}: must be a string`);
  }

  optionalFlag(name: string): boolean | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw new RangeError(`${name}: must be true or false`);
  }

  optionalChoice<T extends string | number>(name: string, choices: readonly T[]): T | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const choice = choices.find((entry) => entry === value);
    if (choice === undefined) throw new RangeError(`${name}: must be one of ${choices.join(', ')}`);
    return choice;
  }

  /** A list of strings and numbers. */
  optionalList(name: string): readonly (string | number)[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (
      Array.isArray(value) &&
      value.every((entry) => typeof entry === 'string' || typeof entry === 'number')
    ) {
      return value;
    }
    throw new RangeError(`${name}: must be a list of strings and numbers`);
  }

  optionalNumbers(name: string): readonly number[] | undefined {
    const list = this.optionalList(name);
    if (list === undefined) return undefined;
    return list.map((entry) => {
      if (typeof entry !== 'number') throw new RangeError(`${name}: must be a list of numbers`);
      return entry;
    });
  }

  /** An object from field index to value. */
  optionalFields(name: string): Readonly<Record<number, string | number>> | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const fields: Record<number, string | number> = {};
    if (typeof value !== 'object' || value === null) throw new RangeError(`${name}: must be an object`);
    for (const [index, field] of Object.entries(value)) {
      if (!/^\d+$/.test(index)) throw new RangeError(`${name}: "${index}" is not the index of a field`);
      if (typeof field !== 'string' && typeof field !== 'number') {
        throw new RangeError(`${name}.${index}: must be a string or a number`);
      }
      fields[Number(index)] = field;
    }
    return fields;
  }

  optionalObject(name: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new RangeError(`${name}: must be an object`);
    }
    return { ...value };
  }

  /** Throws when a member was given that nobody read. */
  end(): void {
    const unknown = Object.keys(this.#members).filter((name) => !this.#read.has(name));
    if (unknown.length > 0) throw new RangeError(`${unknown.join(', ')}: not a member of this command`);
  }

  #get(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#members, name) ? (this.#members[name] ?? undefined) : undefined;
  }
}

/** Copies without the members that are undefined, as exact optional properties want it. */
export function given<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const result: { [K in keyof T]?: Exclude<T[K], undefined> } = {};
  for (const key of Object.keys(members) as (keyof T)[]) {
    const value = members[key];
    if (value !== undefined) result[key] = value as Exclude<T[typeof key], undefined>;
  }
  return result;
}
