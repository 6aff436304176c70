/** Where chance begins: the same in every run, another with `FUZZ_SEED=7 vitest run test/fuzz`. Test names tell it. */
export const seed = Number(process.env.FUZZ_SEED ?? 20_260_112);
