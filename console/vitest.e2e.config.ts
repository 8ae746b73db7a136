import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/e2e.ts', 'test/e2e-sweep.ts'],
    testTimeout: 150_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    bail: 0,
    // A browser on a busy machine may miss its moment once.
    retry: 1,
  },
});
